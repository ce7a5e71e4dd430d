//! What a program does with a message that a consumer has delivered: acknowledgements, and
//! `nats::metadata`.

use super::api::Api;
use super::context::JetStream;
use super::metadata::Metadata;
use crate::error::{Error, Kind};
use crate::message;
use crate::options::{self, Type};
use crate::tcl::call::{ANY, create};
use crate::tcl::{Call, Dict, Interp, Method, Obj, Result, Return, oo};
use crate::transport::Outgoing;
use bytes::Bytes;
use std::future::Future;

/// Says something about a message, and waits for nothing.
fn answer(call: &Call<'_>, payload: Bytes) -> Result<Return> {
    let connection = &call.data::<JetStream>()?.connection;
    let out = connection.outgoing_answer(call.interp, call.arg(0)?, payload)?;
    connection.send(out)?;
    Ok(Return::Empty)
}

fn ack(call: &Call<'_>) -> Result<Return> {
    answer(call, Bytes::new())
}

fn in_progress(call: &Call<'_>) -> Result<Return> {
    answer(call, Bytes::from_static(b"+WPI"))
}

fn nak(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("delay", Type::Timeout)];
    let words = call.args().get(1..).unwrap_or_default();
    let given = options::parse(call.interp, OPTIONS, words)?;
    match given.int("delay") {
        None => answer(call, Bytes::from_static(b"-NAK")),
        Some(delay) => answer(call, nak_later("delay", delay)?.into()),
    }
}

/// What says that a message is to come again after so many ms; `option` is where they are from.
pub fn nak_later(option: &str, delay: i64) -> Result<String> {
    // The server counts in signed 64 bits.
    let too_long = || options::refused(option, Type::Timeout, &Obj::int(delay));
    let ns = delay.checked_mul(1_000_000).ok_or_else(too_long)?;
    Ok(format!("-NAK {{\"delay\":{ns}}}"))
}

/// An older server takes a payload with a reason for none at all.
const REASONS: (u32, u32, u32) = (2, 10, 4);

fn term(call: &Call<'_>) -> Result<Return> {
    let reason = call.args().get(1).map(|reason| reason.text()).unwrap_or_default();
    if reason.is_empty() || !call.data::<JetStream>()?.serves(REASONS) {
        return answer(call, Bytes::from_static(b"+TERM"));
    }
    answer(call, format!("+TERM {reason}").into())
}

fn ack_sync(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("timeout", Type::Timeout)];
    let js = call.data::<JetStream>()?;
    let words = call.args().get(1..).unwrap_or_default();
    let given = options::parse(call.interp, OPTIONS, words)?;
    let out = js.connection.outgoing_answer(call.interp, call.arg(0)?, Bytes::new())?;
    let timeout = given.time_limit("timeout", js.timeout().unwrap_or_default());
    js.connection.ask(call.interp, out, timeout)
}

/// `$js ack_batch messages ?-sync bool?`
fn ack_batch(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("sync", Type::Bool)];
    let js = call.data::<JetStream>()?;
    let words = call.args().get(1..).unwrap_or_default();
    let given = options::parse(call.interp, OPTIONS, words)?;
    let messages = call.arg(0)?.elements(call.interp)?;
    let answer = |message| js.connection.outgoing_answer(call.interp, message, Bytes::new());
    // All of them are looked at before the first one is sent.
    let acks = messages.iter().map(answer).collect::<Result<Vec<_>>>()?;
    if acks.is_empty() {
        return Ok(Return::Empty);
    }
    if !given.flag("sync") {
        for ack in acks {
            js.connection.send(ack)?;
        }
        return Ok(Return::Empty);
    }
    js.run(
        call.interp,
        |api| confirmed(&api, acks),
        |_, outcome| outcome.map(|()| Return::Empty).map_err(Into::into),
    )
}

/// Asks for all at once and waits for all; the error is the first one.
fn confirmed(
    api: &Api,
    acks: Vec<Outgoing>,
) -> impl Future<Output = crate::error::Result<()>> + Send + use<> {
    let ask = |ack: Outgoing| {
        let late = format!("Request to {} timed out", ack.subject.as_str());
        (late, api.link.ask(ack, api.timeout))
    };
    let asked: Vec<_> = acks.into_iter().map(ask).collect();
    async move {
        let mut outcome = Ok(());
        for (late, reply) in asked {
            let reply = reply.await.map(drop).map_err(|error| error.into_error(late));
            outcome = outcome.and(reply);
        }
        outcome
    }
}

/// `nats::metadata msg`
fn metadata(call: &Call<'_>) -> Result<Return> {
    let dict = call.arg(0)?;
    let reply = message::field(call.interp, dict, &Obj::new("reply"))?;
    let reply = reply.text();
    let Some(meta) = Metadata::parse(&reply) else {
        let subject = dict.dict_get(call.interp, "subject")?.unwrap_or_else(Obj::empty);
        let text = format!("Message with subject {} is not a JetStream message", subject.text());
        return Err(Error::new(Kind::NotJsMessage, text).into());
    };
    let mut dict = Dict::new();
    dict.put("stream", &Obj::new(meta.stream));
    dict.put("consumer", &Obj::new(meta.consumer));
    dict.put("num_delivered", &Obj::uint(meta.delivered));
    dict.put("stream_seq", &Obj::uint(meta.stream_seq));
    dict.put("consumer_seq", &Obj::uint(meta.consumer_seq));
    dict.put("timestamp", &Obj::int(meta.timestamp_ms()));
    dict.put("num_pending", &Obj::uint(meta.pending));
    dict.put("domain", &Obj::new(meta.domain));
    Ok(dict.into())
}

const METHODS: &[Method] = &[
    Method { name: "ack", usage: "msg", min: 1, max: 1, body: ack },
    Method { name: "ack_sync", usage: "msg ?-timeout ms?", min: 1, max: ANY, body: ack_sync },
    Method { name: "nak", usage: "msg ?-delay ms?", min: 1, max: ANY, body: nak },
    Method { name: "term", usage: "msg ?reason?", min: 1, max: 2, body: term },
    Method { name: "ack_batch", usage: "messages ?-sync bool?", min: 1, max: ANY, body: ack_batch },
    Method { name: "in_progress", usage: "msg", min: 1, max: 1, body: in_progress },
];

static METADATA: Method =
    Method { name: "::nats::metadata", usage: "msg", min: 1, max: 1, body: metadata };

pub fn register(interp: Interp<'_>) -> Result<()> {
    create(interp, &METADATA)?;
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
