//! Push consumers: `$js push` and `nats::push_consumer`.
//!
//! | file | what it is |
//! |---|---|
//! | `machine` | decides and does nothing: no I/O, no clock |
//! | `driver` | does and decides nothing, on the runtime thread; the handle |
//! | `unreadable` | messages that nobody can read, found after losses |
//! | `object` | `nats::push_consumer` |

mod driver;
mod machine;
mod object;
mod unreadable;

#[cfg(test)]
mod machine_tests;

use self::machine::Consumer;
use self::object::{PushObject, Wanted};
use super::api::Op;
use super::context::JetStream;
use super::names::{check_consumer, check_stream};
use crate::error::{Error, Kind};
use crate::schema::{boolean, strict, table, valid_str};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Prefix, Result, Return, oo};
use serde_json::Value;

table! {
    CALLBACK: valid_str("callback").required().of_method();
    BATCH:    boolean("batch").of_method();
    STATE:    valid_str("state").of_method();
}

fn push(call: &Call<'_>) -> Result<Return> {
    let interp = call.interp;
    let js = call.data::<JetStream>()?;
    let (stream, name) = (call.arg(0)?.string(), call.arg(1)?.string());
    check_stream(&stream)?;
    check_consumer(&name)?;
    let given = strict(interp, &TABLE, call.args().get(2..).unwrap_or_default())?;
    let prefix = |value: Option<&Obj>| value.map(|value| value.elements(interp)).transpose();
    let callback = prefix(given.get(CALLBACK))?.unwrap_or_default();
    let on_state = prefix(given.get(STATE))?.map(Prefix::new);
    let given = given.record(interp, &|version| js.serves(version))?;
    let batch = given.get(BATCH).and_then(Value::as_bool).unwrap_or_default();
    let (asked, this) = ((stream.clone(), name.clone()), js.clone());
    let op = Op::ConsumerInfo { stream: &asked.0, consumer: &asked.1 };
    this.call(interp, op, None, move |interp, info| {
        let info = info?;
        let Some(consumer) = Consumer::of(&info) else {
            return Err(Error::invalid(format!("Consumer {name} is no push consumer")).into());
        };
        let bound = info.get("push_bound").and_then(Value::as_bool).unwrap_or_default();
        if bound && consumer.group.is_none() {
            let text = format!("Somebody listens to the consumer {name} already");
            return Err(Error::new(Kind::ConsumerBound, text).into());
        }
        let policy = info.get("config").and_then(|config| config.get("ack_policy"));
        // With `all`, too: what nobody has seen would count as acknowledged with the next message.
        let acknowledged = matches!(policy.and_then(Value::as_str), Some("explicit" | "all"));
        let wanted = Wanted { stream, name, acknowledged, callback, batch, on_state };
        let object = PushObject::create(interp, &js, js.api()?, wanted, consumer)?;
        Ok(object.command(interp).into())
    })
}

const METHODS: &[Method] =
    &[Method { name: "push", usage: "stream consumer ?arg ...?", min: 2, max: ANY, body: push }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)?;
    object::register(interp)
}
