//! What consumers are in besides their configuration: pauses, pins, places, leaders.

use super::manage::show;
use crate::error::Error;
use crate::jetstream::api::{Api, Op};
use crate::jetstream::context::JetStream;
use crate::rfc3339;
use crate::schema;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

mod pause {
    use crate::options::Type;
    use crate::rfc3339;
    use crate::schema::{ms, table, valid_str};

    fn is_time(text: &str) -> bool {
        rfc3339::nanoseconds(text).is_some()
    }

    table! {
        UNTIL: valid_str("pause_until").called("until").typed(Type::Checked("time", is_time));
        FOR:   ms("for").typed(Type::PosInt).of_method();
    }
}

mod reset {
    use crate::schema::{pos_int, table};

    table! {
        SEQ: pos_int("seq");
    }
}

/// The time so many ns from now; if there is none, the last one.
fn from_now(ns: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    rfc3339::text(now.saturating_add(ns))
}

fn pause_consumer(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let given = schema::strict(call.interp, &pause::TABLE, &call.args()[2..])?;
    match (given.get(pause::UNTIL), given.get(pause::FOR)) {
        (None, None) => return Err(Error::invalid("Option until or for is required").into()),
        (Some(_), Some(_)) => {
            return Err(Error::invalid("-until and -for are mutually exclusive").into());
        }
        _ => {}
    }
    let mut options = js.record(call.interp, given)?;
    if let Some(ns) = options.get(pause::FOR).and_then(Value::as_i64) {
        options.set(pause::UNTIL, from_now(ns));
    }
    set_pause(call, options.request())
}

fn resume_consumer(call: &Call<'_>) -> Result<Return> {
    set_pause(call, None)
}

fn set_pause(call: &Call<'_>, body: Option<Value>) -> Result<Return> {
    let (stream, consumer) = (call.arg(0)?.text(), call.arg(1)?.text());
    let js = call.data::<JetStream>()?;
    js.needs("pausing a consumer", (2, 11, 0))?;
    let op = Op::ConsumerPause { stream: &stream, consumer: &consumer };
    js.call(call.interp, op, body.as_ref(), |_, outcome| Ok(show(outcome?)))
}

fn unpin_consumer(call: &Call<'_>) -> Result<Return> {
    let (stream, consumer) = (call.arg(0)?.text(), call.arg(1)?.text());
    let js = call.data::<JetStream>()?;
    js.needs("unpinning a consumer", (2, 11, 0))?;
    let op = Op::ConsumerUnpin { stream: &stream, consumer: &consumer };
    js.call(call.interp, op, Some(&json!({"group": call.arg(2)?.text()})), done)
}

/// A missing consumer does not answer, so it is looked for before.
fn reset_consumer(call: &Call<'_>) -> Result<Return> {
    let (stream, consumer) = (call.arg(0)?.string(), call.arg(1)?.string());
    let js = call.data::<JetStream>()?;
    let given = schema::strict(call.interp, &reset::TABLE, &call.args()[2..])?;
    let body = js.record(call.interp, given)?.request();
    js.needs("resetting a consumer", (2, 14, 0))?;
    let body = body.as_ref().map(Value::to_string).unwrap_or_default();
    let work = |api: Api| async move {
        let (stream, consumer) = (&*stream, &*consumer);
        api.call(Op::ConsumerInfo { stream, consumer }, "").await?;
        api.call(Op::ConsumerReset { stream, consumer }, body).await
    };
    js.run(call.interp, work, |_, outcome| Ok(show(outcome?)))
}

fn consumer_stepdown(call: &Call<'_>) -> Result<Return> {
    let (stream, consumer) = (call.arg(0)?.text(), call.arg(1)?.text());
    let op = Op::ConsumerStepdown { stream: &stream, consumer: &consumer };
    call.data::<JetStream>()?.call(call.interp, op, None, done)
}

/// The reply says nothing more.
fn done(_: Interp<'_>, outcome: crate::error::Result<Value>) -> Result<Return> {
    outcome?;
    Ok(Obj::word(true).into())
}

const METHODS: &[Method] = &[
    Method {
        name: "consumer_stepdown",
        usage: "stream consumer",
        min: 2,
        max: 2,
        body: consumer_stepdown,
    },
    Method {
        name: "pause_consumer",
        usage: "stream consumer ?arg ...?",
        min: 2,
        max: ANY,
        body: pause_consumer,
    },
    Method {
        name: "reset_consumer",
        usage: "stream consumer ?arg ...?",
        min: 2,
        max: ANY,
        body: reset_consumer,
    },
    Method {
        name: "resume_consumer",
        usage: "stream consumer",
        min: 2,
        max: 2,
        body: resume_consumer,
    },
    Method {
        name: "unpin_consumer",
        usage: "stream consumer group",
        min: 3,
        max: 3,
        body: unpin_consumer,
    },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
