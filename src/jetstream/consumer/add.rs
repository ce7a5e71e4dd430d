//! Consumers are made and changed.

use super::config::{self, request};
use super::manage::show;
use crate::error::{Error, Result as OwnResult};
use crate::jetstream::api::{LONGEST_FILTER, Op};
use crate::jetstream::context::JetStream;
use crate::jetstream::names::{check_consumer, check_stream};
use crate::schema::{self, Field, Given, Record, Version};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use serde_json::Value;

/// Words that came later than their options.
const YOUNG_WORDS: &[(Field, &str, Version)] = &[
    (config::ACK_POLICY, "flow_control", (2, 14, 0)),
    (config::PRIORITY_POLICY, "prioritized", (2, 12, 0)),
];

/// What may be there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    Update,
    Either,
}

impl Action {
    /// Servers before 2.10 know but one.
    fn word(self) -> Option<&'static str> {
        match self {
            Action::Create => Some("create"),
            Action::Update => Some("update"),
            Action::Either => None,
        }
    }
}

/// Both names are right if they are the same, as replies show them.
fn check_names(given: &Given) -> OwnResult<()> {
    let Some(name) = given.get(config::NAME).map(Obj::text) else { return Ok(()) };
    check_consumer(&name)?;
    match given.get(config::DURABLE_NAME) {
        Some(durable) if durable.text() != name => {
            Err(Error::invalid("-name conflicts with -durable_name"))
        }
        _ => Ok(()),
    }
}

/// The operation for this configuration. Its subject says as much as it can, because permissions are
/// given by that.
fn operation<'a>(stream: &'a str, config: &'a Record) -> Op<'a> {
    let filter = config.text(config::FILTER_SUBJECT).filter(|filter| *filter != ">");
    // The server refuses a filter in the subject of a request that has several.
    let single = config.get(config::FILTER_SUBJECTS).is_none();
    let filter = filter.filter(|filter| single && filter.len() <= LONGEST_FILTER);
    match (config.text(config::NAME), config.text(config::DURABLE_NAME)) {
        (Some(name), _) => Op::ConsumerCreate { stream, name: Some(name), filter },
        (None, Some(consumer)) => Op::ConsumerDurable { stream, consumer },
        (None, None) => Op::ConsumerCreate { stream, name: None, filter: None },
    }
}

fn options(call: &Call<'_>, words: &[Obj]) -> Result<Given> {
    schema::strict(call.interp, &config::TABLE, words)
}

/// Makes or changes the consumer that is described.
fn add(call: &Call<'_>, given: Given, action: Action) -> Result<Return> {
    let (js, stream) = (call.data::<JetStream>()?, call.arg(0)?.text());
    check_names(&given)?;
    let config = js.record(call.interp, given)?;
    for (field, word, since) in YOUNG_WORDS {
        if config.text(*field) == Some(word) {
            js.needs(&format!("{} {word}", field.name()), *since)?;
        }
    }
    let mut request = Record::new(&request::TABLE);
    request.set(request::STREAM_NAME, &*stream);
    request.set(request::CONFIG, config.clone());
    if let Some(word) = action.word().filter(|_| js.serves((2, 10, 0))) {
        request.set(request::ACTION, word);
    }
    if let Some(pedantic) = config.get(config::PEDANTIC) {
        request.set(request::PEDANTIC, pedantic.clone());
    }
    let op = operation(&stream, &config);
    js.call(call.interp, op, Some(&request.into()), |_, outcome| Ok(show(outcome?)))
}

/// The options behind so many names, with those that names stand for; names win.
fn with_names(call: &Call<'_>, names: &[&str]) -> Result<Vec<Obj>> {
    let (given, options) = call.args().split_at(1 + names.len());
    // Tcl's own error for an odd number, as a configuration that was shown is a dict.
    Obj::list(options).pairs(call.interp)?;
    let values = names.iter().zip(&given[1..]);
    let added = values.flat_map(|(name, value)| [Obj::new(name), value.clone()]);
    Ok(options.iter().cloned().chain(added).collect())
}

fn add_consumer(call: &Call<'_>) -> Result<Return> {
    add(call, options(call, &call.args()[1..])?, Action::Create)
}

fn update_consumer(call: &Call<'_>) -> Result<Return> {
    add(call, options(call, &call.args()[1..])?, Action::Update)
}

fn add_pull_consumer(call: &Call<'_>) -> Result<Return> {
    let words = with_names(call, &["durable_name"])?;
    add(call, options(call, &words)?, Action::Create)
}

fn add_push_consumer(call: &Call<'_>) -> Result<Return> {
    let words = with_names(call, &["durable_name", "deliver_subject"])?;
    add(call, options(call, &words)?, Action::Create)
}

/// It is durable, unless it has only a name among the options, too: so what is shown of a consumer
/// makes the same one.
fn create_or_update_consumer(call: &Call<'_>) -> Result<Return> {
    let (js, consumer) = (call.data::<JetStream>()?, call.arg(1)?);
    check_stream(&call.arg(0)?.text())?;
    check_consumer(&consumer.text())?;
    let mut given = options(call, &call.args()[2..])?;
    let named = given.get(config::NAME).is_some_and(|name| name.text() == consumer.text());
    if !named || given.get(config::DURABLE_NAME).is_some() {
        given.set(config::DURABLE_NAME, consumer);
    }
    if given.get(config::NAME).is_none() && js.serves((2, 9, 0)) {
        given.set(config::NAME, consumer);
    }
    add(call, given, Action::Either)
}

fn add_consumer_from_json(call: &Call<'_>) -> Result<Return> {
    let (stream, consumer) = (call.arg(0)?.text(), call.arg(1)?.text());
    let name = Value::from(&*stream);
    // What is wrong with the configuration, the server says.
    let body = format!("{{\"stream_name\":{name},\"config\":{}}}", call.arg(2)?.text());
    let op = Op::ConsumerDurable { stream: &stream, consumer: &consumer };
    call.data::<JetStream>()?.verbatim(call.interp, op, body, || ())
}

const METHODS: &[Method] = &[
    Method {
        name: "add_consumer",
        usage: "stream ?arg ...?",
        min: 1,
        max: ANY,
        body: add_consumer,
    },
    Method {
        name: "add_consumer_from_json",
        usage: "stream consumer json",
        min: 3,
        max: 3,
        body: add_consumer_from_json,
    },
    Method {
        name: "add_pull_consumer",
        usage: "stream consumer ?arg ...?",
        min: 2,
        max: ANY,
        body: add_pull_consumer,
    },
    Method {
        name: "add_push_consumer",
        usage: "stream consumer deliver_subject ?arg ...?",
        min: 3,
        max: ANY,
        body: add_push_consumer,
    },
    Method {
        name: "create_or_update_consumer",
        usage: "stream consumer ?arg ...?",
        min: 2,
        max: ANY,
        body: create_or_update_consumer,
    },
    Method {
        name: "update_consumer",
        usage: "stream ?arg ...?",
        min: 1,
        max: ANY,
        body: update_consumer,
    },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
