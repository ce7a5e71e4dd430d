//! The methods of `nats::service`.

use super::endpoint::Wanted;
use super::group;
use super::monitor::Kind;
use super::names::{check_name, check_subject};
use super::object::{CLASS, Service, metadata_of, queue_of};
use super::stop::stop;
use crate::error::Error;
use crate::json;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};

const ENDPOINT: &[options::Spec] = &[
    ("subject", Type::ValidStr),
    ("callback", Type::ValidStr),
    ("queue_group", Type::Str),
    ("metadata", Type::Dict),
];

/// Adds an endpoint, below a prefix, with the queue group that it inherits.
pub fn add_endpoint(
    call: &Call<'_>,
    service: &Service,
    prefix: Option<&str>,
    outer: &Option<String>,
) -> Result<Return> {
    let name = call.arg(0)?.string();
    let words = call.args().get(1..).unwrap_or_default();
    let given = options::parse(call.interp, ENDPOINT, words)?;
    service.check_running()?;
    check_name("endpoint name", &name)?;
    let callback =
        given.get("callback").ok_or_else(|| Error::invalid("Option callback is required"))?;
    let callback = callback.elements(call.interp)?;
    let own = given.string("subject").unwrap_or_else(|| name.clone());
    let subject = match prefix {
        Some(prefix) => format!("{prefix}.{own}"),
        None => own,
    };
    check_subject(&subject)?;
    let queue = queue_of(&given, outer)?;
    let metadata = metadata_of(call.interp, &given)?;
    let shown = Obj::new(&subject);
    service.add_endpoint(call.interp, Wanted { name, subject, queue, metadata, callback })?;
    Ok(shown.into())
}

fn endpoint(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Service>()?;
    add_endpoint(call, &this, None, &this.queue)
}

fn group(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Service>()?;
    group::make(call, &this, None, &this.queue)
}

fn info(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Service>()?;
    Ok(json::to_dict(&this.answer(call.interp, Kind::Info)).into())
}

fn stats(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Service>()?;
    Ok(json::to_dict(&this.answer(call.interp, Kind::Stats)).into())
}

fn reset(call: &Call<'_>) -> Result<Return> {
    call.data::<Service>()?.reset();
    Ok(Return::Empty)
}

const METHODS: &[Method] = &[
    Method { name: "endpoint", usage: "name ?arg ...?", min: 1, max: ANY, body: endpoint },
    Method { name: "group", usage: "prefix ?arg ...?", min: 1, max: ANY, body: group },
    Method { name: "info", usage: "", min: 0, max: 0, body: info },
    Method { name: "stats", usage: "", min: 0, max: 0, body: stats },
    Method { name: "reset", usage: "", min: 0, max: 0, body: reset },
    Method { name: "stop", usage: "?arg ...?", min: 0, max: ANY, body: stop },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, CLASS, None, None, METHODS)
}
