//! Streams are made, changed, emptied and deleted.

use super::config;
use super::create::create;
use super::info::show;
use crate::error::{Error, Kind};
use crate::jetstream::api::{Api, Op};
use crate::jetstream::context::JetStream;
use crate::jetstream::names::check_stream;
use crate::jetstream::ordered::watched;
use crate::json;
use crate::schema::{self, Record};
use crate::tcl::call::ANY;
use crate::tcl::{self, Call, Interp, Method, Obj, Result, Return, oo};
use serde_json::Value;
use std::rc::Rc;

mod purge {
    use crate::schema::{any_str, pos_int, table};

    table! {
        FILTER: any_str("filter");
        KEEP:   pos_int("keep");
        SEQ:    pos_int("seq");
    }
}

mod message {
    use crate::schema::{boolean, int, table};

    table! {
        NO_ERASE: boolean("no_erase").or_flag(true);
        SEQ:      int("seq").required();
    }
}

/// The checked name of a stream, and the configuration that the options behind it make.
fn configuration(call: &Call<'_>, js: &JetStream) -> Result<(String, Value)> {
    let name = call.arg(0)?;
    check_stream(&name.text())?;
    let options = call.args().get(1..).unwrap_or_default();
    // Tcl's own error for an odd number, as a configuration that was shown is a dict.
    Obj::list(options).pairs(call.interp)?;
    let mut given = schema::lenient(&config::TABLE, options)?;
    given.set(config::NAME, name);
    Ok((name.string(), js.record(call.interp, given)?.into()))
}

async fn create_stream(api: &Api, name: &str, config: &Value) -> crate::error::Result<Value> {
    create(api, name, &format!("stream {name}"), config, &[&config::TABLE]).await
}

async fn update_or_create(api: &Api, name: &str, config: &Value) -> crate::error::Result<Value> {
    match api.call(Op::StreamUpdate(name), config.to_string()).await {
        Err(error) if error.kind == Kind::StreamNotFound => create_stream(api, name, config).await,
        other => other,
    }
}

fn add_stream(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let (name, config) = configuration(call, &js)?;
    let stream = name.clone();
    let create = |api: Api| async move { create_stream(&api, &stream, &config).await };
    js.run(call.interp, create, move |_, outcome| {
        let info = outcome?;
        watched::made(&name);
        Ok(show(info))
    })
}

fn update_stream(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let (name, config) = configuration(call, &js)?;
    let stream = name.clone();
    js.call(call.interp, Op::StreamUpdate(&stream), Some(&config), move |_, outcome| {
        let info = outcome?;
        // New limits may have removed messages.
        watched::emptied(&name);
        Ok(show(info))
    })
}

fn create_or_update_stream(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let (name, config) = configuration(call, &js)?;
    let stream = name.clone();
    let work = |api: Api| async move { update_or_create(&api, &stream, &config).await };
    js.run(call.interp, work, move |_, outcome| {
        let info = outcome?;
        watched::made(&name);
        watched::emptied(&name);
        Ok(show(info))
    })
}

/// The name that a configuration has in itself.
fn name_in(json: &str) -> Result<String> {
    let config: Value = serde_json::from_str(json)
        .map_err(|error| Error::invalid(format!("Invalid JSON: {error}")))?;
    match config.get("name") {
        Some(Value::String(name)) => Ok(name.clone()),
        Some(other) => Ok(other.to_string()),
        // As nats-tcl, which looks it up in a dict.
        None => Err(tcl::Error {
            message: "key \"name\" not known in dictionary".into(),
            code: ["TCL", "LOOKUP", "DICT", "name"].map(Into::into).to_vec(),
            hint: None,
        }
        .into()),
    }
}

fn add_stream_from_json(call: &Call<'_>) -> Result<Return> {
    let json = call.arg(0)?.string();
    let name = name_in(&json)?;
    let stream = name.clone();
    call.data::<JetStream>()?.verbatim(call.interp, Op::StreamCreate(&stream), json, move || {
        watched::made(&name);
    })
}

fn delete_stream(call: &Call<'_>) -> Result<Return> {
    let stream = call.arg(0)?.text();
    call.data::<JetStream>()?.call(call.interp, Op::StreamDelete(&stream), None, |_, outcome| {
        outcome?;
        Ok(Obj::word(true).into())
    })
}

/// Asks for messages to be removed, and tells those that watch the stream.
fn remove(
    call: &Call<'_>,
    js: &Rc<JetStream>,
    op: Op<'_>,
    request: Record,
    result: impl FnOnce(&Value) -> Obj + 'static,
) -> Result<Return> {
    let stream = call.arg(0)?.string();
    js.call(call.interp, op, request.request().as_ref(), move |_, outcome| {
        let reply = outcome?;
        watched::emptied(&stream);
        Ok(result(&reply).into())
    })
}

fn purge_stream(call: &Call<'_>) -> Result<Return> {
    let (js, stream) = (call.data::<JetStream>()?, call.arg(0)?.text());
    let given = schema::strict(call.interp, &purge::TABLE, &call.args()[1..])?;
    let request = js.record(call.interp, given)?;
    remove(call, &js, Op::StreamPurge(&stream), request, |reply| {
        json::to_obj(reply.get("purged").unwrap_or(&0.into()))
    })
}

fn stream_msg_delete(call: &Call<'_>) -> Result<Return> {
    let (js, stream) = (call.data::<JetStream>()?, call.arg(0)?.text());
    let given = schema::lenient(&message::TABLE, &call.args()[1..])?;
    let request = js.record(call.interp, given)?;
    remove(call, &js, Op::MessageDelete(&stream), request, |_| Obj::word(true))
}

const METHODS: &[Method] = &[
    Method { name: "add_stream", usage: "stream ?arg ...?", min: 1, max: ANY, body: add_stream },
    Method {
        name: "add_stream_from_json",
        usage: "json",
        min: 1,
        max: 1,
        body: add_stream_from_json,
    },
    Method {
        name: "create_or_update_stream",
        usage: "stream ?arg ...?",
        min: 1,
        max: ANY,
        body: create_or_update_stream,
    },
    Method { name: "delete_stream", usage: "stream", min: 1, max: 1, body: delete_stream },
    Method {
        name: "purge_stream",
        usage: "stream ?arg ...?",
        min: 1,
        max: ANY,
        body: purge_stream,
    },
    Method {
        name: "stream_msg_delete",
        usage: "stream ?arg ...?",
        min: 1,
        max: ANY,
        body: stream_msg_delete,
    },
    Method {
        name: "update_stream",
        usage: "stream ?arg ...?",
        min: 1,
        max: ANY,
        body: update_stream,
    },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
