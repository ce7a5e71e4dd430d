//! `$js events`: a subscription whose callback gets advisories as dicts.

use super::kinds::{self, Wanted};
use crate::error::Error;
use crate::jetstream::context::JetStream;
use crate::json;
use crate::options::{self, Type};
use crate::subject;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Dict, Interp, Method, Obj, Result, Return, oo};
use crate::transport::PackedMessage;
use serde_json::{Map, Value};

fn events(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[
        ("stream", Type::ValidStr),
        ("consumer", Type::ValidStr),
        ("kinds", Type::List),
        ("callback", Type::ValidStr),
    ];
    let js = call.data::<JetStream>()?;
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    let callback =
        given.get("callback").ok_or_else(|| Error::invalid("Option callback is required"))?;
    let callback = callback.elements(call.interp)?;
    let kinds = match given.get("kinds") {
        Some(kinds) => Some(known(kinds.elements(call.interp)?)?),
        None => None,
    };
    let name = |option| name(option, given.string(option));
    let wanted = Wanted::new(kinds.as_deref(), name("stream")?, name("consumer")?);
    let subject = wanted.subject().ok_or_else(|| {
        let option = if given.get("consumer").is_some() { "consumer" } else { "stream" };
        Error::invalid(format!("None of these kinds is about a {option}"))
    })?;
    subject::check_subscribe(&subject)?;
    let has = Box::new(move |subject: &str| wanted.has(subject));
    let id =
        js.connection.subscribe_shaped(call.interp, subject, callback, has, Box::new(shown))?;
    js.subscribed(id);
    Ok(Obj::int(id).into())
}

/// Names that are kinds.
fn known(words: Vec<Obj>) -> crate::error::Result<Vec<String>> {
    let names = kinds::names();
    let kinds: Vec<String> = words.iter().map(Obj::string).collect();
    match kinds.iter().find(|kind| !names.contains(&kind.as_str())) {
        None => Ok(kinds),
        Some(kind) => Err(Error::invalid(format!(
            "Invalid value for the enum kinds : {kind}; allowed values: {}",
            names.join(" ")
        ))),
    }
}

/// The name of a stream or a consumer: one token of a subject.
fn name(option: &str, name: Option<String>) -> crate::error::Result<Option<String>> {
    let bad = |name: &str| name.chars().any(|c| c <= ' ' || matches!(c, '.' | '*' | '>'));
    match name {
        Some(name) if bad(&name) => Err(Error::invalid(format!("Invalid {option} name {name}"))),
        name => Ok(name),
    }
}

/// The dict of an advisory; `None` for what is none.
fn shown(message: &PackedMessage) -> Option<Obj> {
    let mut fields: Map<String, Value> = serde_json::from_slice(message.payload()).ok()?;
    let kind = Obj::new(kinds::of_type(fields.get("type")?.as_str()?));
    if let Some(time) = fields.get_mut("ack_time") {
        to_milliseconds(time);
    }
    let mut dict = Dict::new();
    dict.put("kind", &kind);
    for (name, value) in &fields {
        dict.put(name, &json::to_obj(value));
    }
    Some(dict.into())
}

/// With a fraction: acknowledgements may take less than one.
fn to_milliseconds(value: &mut Value) {
    if let Some(ns) = value.as_i64() {
        const MS: i64 = 1_000_000;
        *value = match ns % MS {
            0 => (ns / MS).into(),
            _ => (ns as f64 / MS as f64).into(),
        };
    }
}

const METHODS: &[Method] =
    &[Method { name: "events", usage: "?arg ...?", min: 0, max: ANY, body: events }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
