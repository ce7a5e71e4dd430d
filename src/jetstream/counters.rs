//! Counters: subjects of a stream with `-allow_msg_counter`. A message adds to its subject, and what is
//! stored of it is the sum. Sums are of any size, so they are strings of digits everywhere.

use super::context::JetStream;
use super::messages::last::{self, UpTo};
use super::messages::many::subjects;
use super::publish::ack::{self, Ack};
use super::publish::increment;
use super::stored::StoredMessage;
use crate::connection::MessageArgs;
use crate::error::{Error, Kind};
use crate::json;
use crate::options::{self, Type};
use crate::schema::{Version, too_old};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Dict, Interp, Method, Obj, Result, Return, oo};
use crate::transport::How;
use serde_json::Value;

const SINCE: Version = (2, 12, 0);
const SOURCES: &str = "Nats-Counter-Sources";

fn check_server(js: &JetStream, command: &str) -> crate::error::Result<()> {
    if js.serves(SINCE) { Ok(()) } else { Err(too_old(command, SINCE)) }
}

fn counter_add(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let (stream, subject) = (call.arg(0)?.string(), call.arg(1)?);
    let n = options::check(call.interp, "n", Type::Int, call.arg(2)?.clone())?;
    check_server(&js, "counter_add")?;
    let link = js.connection.link()?;
    let empty = Obj::empty();
    let mut args = MessageArgs::new(subject, &empty);
    args.set = vec![("Nats-Incr", increment(&n))];
    let out = js.connection.outgoing(call.interp, args)?;
    let how = How { timeout: js.timeout(), ..How::default() };
    js.request(
        call.interp,
        &link,
        |promise| {
            let subject = out.subject.clone();
            link.request_as(out, how, move |reply| {
                promise
                    .complete(ack::with_body(&subject, reply, |body| sum(body, &stream, &subject)));
            })
        },
        |_, sum| Ok(Obj::new(&sum?).into()),
    )
}

/// The sum in an acknowledgement. A server does not let a counter expect its stream.
fn sum(ack: &[u8], stream: &str, subject: &str) -> crate::error::Result<String> {
    let (other, sum) = match ack::read(ack)? {
        Ack::Plain { stream, .. } => (stream.to_owned(), None),
        Ack::Whole(ack) => {
            let text = |name: &str| ack.get(name).and_then(Value::as_str).map(str::to_owned);
            (text("stream").unwrap_or_default(), text("val"))
        }
    };
    if other != stream {
        let text = format!("{subject} belongs to the stream {other}, where it was added to");
        return Err(Error::new(Kind::Counter, text));
    }
    sum.ok_or_else(|| Error::new(Kind::InvalidJsAck, "Publish acknowledgement without a sum"))
}

fn counter_get(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("sources", Type::Bool)];
    let js = call.data::<JetStream>()?;
    let stream = call.arg(0)?.string();
    let given = options::parse(call.interp, OPTIONS, call.args().get(2..).unwrap_or_default())?;
    let subjects = subjects(call.interp, call.arg(1)?)?;
    check_server(&js, "counter_get")?;
    let with_sources = given.flag("sources");
    let work = |api| async move {
        let found = last::gather(api, stream, subjects, UpTo::Now).await?;
        found.iter().map(|message| Counter::read(message, with_sources)).collect()
    };
    js.run(call.interp, work, move |_, counters: crate::error::Result<Vec<Counter>>| {
        let mut dict = Dict::new();
        for counter in counters? {
            dict.put(&counter.subject, &counter.shown());
        }
        Ok(Obj::from(dict).into())
    })
}

/// A counter as it is stored.
struct Counter {
    subject: String,
    sum: String,
    /// What comes from other streams, if that is wanted.
    sources: Option<Value>,
}

impl Counter {
    fn read(message: &StoredMessage, with_sources: bool) -> crate::error::Result<Counter> {
        let subject = message.subject.clone();
        let broken =
            || Error::new(Kind::Counter, format!("{subject} has no sum: it is no counter"));
        let body: Value = serde_json::from_slice(&message.data).map_err(|_| broken())?;
        let sum = body.get("val").and_then(Value::as_str).ok_or_else(broken)?.to_owned();
        let sources = with_sources.then(|| {
            let sources = message.header(SOURCES).and_then(|text| serde_json::from_str(text).ok());
            sources.filter(Value::is_object).unwrap_or_else(|| Value::Object(Default::default()))
        });
        Ok(Counter { subject, sum, sources })
    }

    fn shown(&self) -> Obj {
        let sum = Obj::new(&self.sum);
        let Some(sources) = &self.sources else { return sum };
        let mut dict = Dict::new();
        dict.put("val", &sum);
        dict.put("sources", &json::to_obj(sources));
        dict.into()
    }
}

const METHODS: &[Method] = &[
    Method { name: "counter_add", usage: "stream subject n", min: 3, max: 3, body: counter_add },
    Method {
        name: "counter_get",
        usage: "stream subjects ?arg ...?",
        min: 2,
        max: ANY,
        body: counter_get,
    },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
