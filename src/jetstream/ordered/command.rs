//! `$js ordered_consumer`.

use super::consumer::OrderedConsumer;
use super::create::{ConsumerConfig, DeliverPolicy, name_prefix};
use super::feed::{Feed, Names};
use super::object::ConsumerObject;
use super::{OrderedConfig, Resume};
use crate::bridge;
use crate::error::Error;
use crate::jetstream::consumer::config as consumer;
use crate::jetstream::context::JetStream;
use crate::jetstream::delivery::Delivery;
use crate::jetstream::names::check_stream;
use crate::schema::{Record, boolean, strict, table, valid_str};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Prefix, Result, Return, oo};
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;

/// In ns.
const HEARTBEAT: i64 = 5_000_000_000;

table! {
    CALLBACK:        valid_str("callback").of_method();
    BATCH:           boolean("batch").of_method();
    STATE:           valid_str("state").of_method();
    POST:            boolean("post").or_flag(true).of_method();
    DESCRIPTION:     consumer::DESCRIPTION;
    HEADERS_ONLY:    consumer::HEADERS_ONLY;
    DELIVER_POLICY:  consumer::DELIVER_POLICY;
    OPT_START_SEQ:   consumer::OPT_START_SEQ;
    OPT_START_TIME:  consumer::OPT_START_TIME;
    FILTER_SUBJECT:  consumer::FILTER_SUBJECT;
    FILTER_SUBJECTS: consumer::FILTER_SUBJECTS;
    IDLE_HEARTBEAT:  consumer::IDLE_HEARTBEAT.or_int(HEARTBEAT);
}

/// What a consumer is asked for.
struct Wanted {
    callback: Option<Vec<Obj>>,
    batch: bool,
    on_state: Option<Prefix>,
    /// Whether it goes with the jet_stream, and not only with the connection.
    owned: bool,
    config: OrderedConfig,
}

impl Wanted {
    fn parse(js: &JetStream, interp: Interp<'_>, stream: String, words: &[Obj]) -> Result<Wanted> {
        let given = strict(interp, &TABLE, words)?;
        let conflict = |a, b| Error::invalid(format!("-{a} conflicts with -{b}"));
        if given.get(FILTER_SUBJECT).is_some() && given.get(FILTER_SUBJECTS).is_some() {
            return Err(conflict("filter_subject", "filter_subjects").into());
        }
        if given.get(OPT_START_SEQ).is_some() && given.get(OPT_START_TIME).is_some() {
            return Err(conflict("opt_start_seq", "opt_start_time").into());
        }
        let prefix = |value: Option<&Obj>| value.map(|value| value.elements(interp)).transpose();
        let callback = prefix(given.get(CALLBACK))?;
        let on_state = prefix(given.get(STATE))?.map(Prefix::new);
        let says_where = given.get(DELIVER_POLICY).is_some();
        let given = given.record(interp, &|version| js.serves(version))?;
        let flag = |field| given.get(field).and_then(Value::as_bool);
        Ok(Wanted {
            callback,
            on_state,
            batch: flag(BATCH).unwrap_or_default(),
            owned: flag(POST).unwrap_or(true),
            config: ordered_config(js, stream, &given, policy(&given, says_where)?),
        })
    }
}

/// Where to begin. A start says that it is the policy, too.
fn policy(given: &Record, said: bool) -> Result<DeliverPolicy> {
    let time = given.text(OPT_START_TIME).map(str::to_owned);
    let seq = given.get(OPT_START_SEQ);
    let word = match given.text(DELIVER_POLICY) {
        _ if !said && seq.is_some() => "by_start_sequence",
        _ if !said && time.is_some() => "by_start_time",
        word => word.unwrap_or_default(),
    };
    for (option, needs, is_given) in [
        ("opt_start_seq", "by_start_sequence", seq.is_some()),
        ("opt_start_time", "by_start_time", time.is_some()),
    ] {
        if is_given && word != needs {
            let text = format!("-{option} conflicts with -deliver_policy {word}");
            return Err(Error::invalid(text).into());
        }
    }
    Ok(match word {
        "last" => DeliverPolicy::Last,
        "last_per_subject" => DeliverPolicy::LastPerSubject,
        "new" => DeliverPolicy::New,
        // The server counts from 1, and refuses 0 as what is missing.
        "by_start_sequence" => {
            DeliverPolicy::ByStartSequence(seq.and_then(Value::as_u64).unwrap_or_default())
        }
        "by_start_time" => DeliverPolicy::ByStartTime(time),
        _ => DeliverPolicy::All,
    })
}

fn ordered_config(
    js: &JetStream,
    stream: String,
    given: &Record,
    policy: DeliverPolicy,
) -> OrderedConfig {
    let filters = match (given.text(FILTER_SUBJECT), given.get(FILTER_SUBJECTS)) {
        (Some(one), _) => vec![one.to_owned()],
        (None, Some(several)) => several
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|filter| filter.as_str().map(str::to_owned))
            .collect(),
        // The server wants one for that.
        (None, None) if policy == DeliverPolicy::LastPerSubject => vec![">".to_owned()],
        (None, None) => Vec::new(),
    };
    let heartbeat = given.get(IDLE_HEARTBEAT).and_then(Value::as_i64).unwrap_or(HEARTBEAT);
    let named = js.serves((2, 9, 0));
    OrderedConfig {
        config: ConsumerConfig {
            stream,
            filters,
            description: given.text(DESCRIPTION).map(str::to_owned),
            headers_only: given.get(HEADERS_ONLY).and_then(Value::as_bool),
            idle_heartbeat: Duration::from_nanos(heartbeat.max(0) as u64),
            name_prefix: named.then(|| name_prefix(&js.connection.name())),
            action: js.serves((2, 10, 0)),
        },
        policy,
        resume: Resume::BySequence,
        stream_created: None,
        behind: false,
        seeks_end: false,
        end_before_news: false,
        roll_call: false,
        never_waits: false,
    }
}

fn ordered_consumer(call: &Call<'_>) -> Result<Return> {
    let interp = call.interp;
    let js = call.data::<JetStream>()?;
    let stream = call.arg(0)?.string();
    check_stream(&stream)?;
    let Wanted { callback, batch, on_state, owned, config } =
        Wanted::parse(&js, interp, stream, call.args().get(1..).unwrap_or_default())?;
    let api = js.api()?;
    let names = Names {
        stream: config.config.stream.clone(),
        filter: config.config.filters.join(" "),
        headers_only: config.config.headers_only == Some(true),
    };
    let delivery = Delivery::new(&js.connection, callback.clone().unwrap_or_default(), batch);
    let (feed, observer) = Feed::new(interp, &js, names, delivery, on_state);
    let (promise, pending) = bridge::promise(interp);
    let done = Box::new(move |created| promise.complete(created));
    let consumer = Rc::new(OrderedConsumer::start(api, config, Box::new(observer), done));
    consumer.follow(&js);
    js.clone().wait(interp, pending, move |interp, created| {
        created?;
        // Not before: a stream that is not there is the better error.
        if callback.is_none() {
            return Err(Error::invalid("Option callback is required").into());
        }
        let object = ConsumerObject::of_program(interp, &js, consumer.clone(), &feed, owned)?;
        let command = object.command(interp);
        feed.start(consumer, Rc::new(object));
        Ok(command.into())
    })
}

const METHODS: &[Method] = &[Method {
    name: "ordered_consumer",
    usage: "stream ?arg ...?",
    min: 1,
    max: ANY,
    body: ordered_consumer,
}];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
