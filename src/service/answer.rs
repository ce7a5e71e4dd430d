//! How the program answers requests: `nats::service respond` and `respond_error`.

use super::common::error_headers;
use super::desk;
use super::object::CLASS;
use crate::error::{Error, Kind};
use crate::message::header;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use crate::transport::Headers;

/// The number that the dict of a request has.
fn number_of(interp: Interp<'_>, request: &Obj) -> Result<i64> {
    let number = request.dict_get(interp, "request")?;
    number
        .as_ref()
        .and_then(Obj::as_int)
        .ok_or_else(|| Error::invalid("This is no request of a service").into())
}

/// Sends an answer: its data, and the headers on top of those that are given. `error` is its code and text.
fn answer(call: &Call<'_>, words: &[Obj], error: Option<(&str, &str)>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("header", Type::Dict)];
    let request = call.arg(0)?;
    let empty = Obj::empty();
    let (data, words) = match words {
        [] => (&empty, words),
        [data, rest @ ..] => (data, rest),
    };
    let mut headers = Headers::new();
    if !words.is_empty() {
        let given = options::parse(call.interp, OPTIONS, words)?;
        if let Some(given) = given.get("header") {
            headers = header::from_dict(call.interp, given)?;
        }
    }
    if let Some((code, description)) = error {
        for (name, value) in error_headers(code, description).iter() {
            headers.set(name, value);
        }
    }
    let number = number_of(call.interp, request)?;
    let Some((endpoint, reply)) = desk::find(number) else {
        let nobody_waits =
            request.dict_get(call.interp, "reply")?.is_some_and(|reply| reply.is_empty());
        if nobody_waits {
            return Ok(Return::Empty);
        }
        let text = "This request is not in hand: it was answered, or its service has ended";
        return Err(Error::new(Kind::RequestAnswered, text).into());
    };
    if !reply.is_empty() {
        let connection = endpoint.common.connection()?;
        connection.check_open()?;
        connection.send(connection.outgoing_to(&reply, headers, data)?)?;
    }
    endpoint.answered(number);
    if let Some((code, description)) = error {
        endpoint.counters.error(code, description);
    }
    Ok(Return::Empty)
}

fn respond(call: &Call<'_>) -> Result<Return> {
    answer(call, call.args().get(1..).unwrap_or_default(), None)
}

fn respond_error(call: &Call<'_>) -> Result<Return> {
    let code = options::integer(call.arg(1)?).filter(|code| *code > 0).ok_or_else(|| {
        Error::invalid(format!(
            "Invalid code of an error: {}; allowed is an integer above 0",
            call.args()[1].text()
        ))
    })?;
    let description = call.arg(2)?.string();
    if description.trim().is_empty() || description.chars().any(char::is_control) {
        return Err(Error::invalid(
            "Invalid description of an error; allowed is one line that is not empty",
        )
        .into());
    }
    answer(call, call.args().get(3..).unwrap_or_default(), Some((&code.to_string(), &description)))
}

const METHODS: &[Method] = &[
    Method { name: "respond", usage: "request ?data? ?arg ...?", min: 1, max: ANY, body: respond },
    Method {
        name: "respond_error",
        usage: "request code description ?data? ?arg ...?",
        min: 3,
        max: ANY,
        body: respond_error,
    },
];

/// Methods of the class itself: what answers a request need not know its service.
pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define_on(interp, CLASS, METHODS)
}
