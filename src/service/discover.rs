//! The native half of `nats::service discover`: what is asked, and what was answered. Asking is a request for many.

use super::monitor::Kind;
use super::names::check_name;
use super::read::read;
use crate::error::Error;
use crate::json;
use crate::options::{self, Type};
use crate::tcl::call::{ANY, create};
use crate::tcl::{Call, Interp, Method, Obj, Result, Return};

const USUAL_TIMEOUT: i64 = 2000;
const USUAL_STALL: i64 = 300;

/// `Query ?option value ...?`: the kind, the subject, and the options of the request.
fn query(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[
        ("kind", Type::Enum(Kind::WORDS)),
        ("name", Type::ValidStr),
        ("id", Type::ValidStr),
        ("timeout", Type::Timeout),
        ("stall", Type::Timeout),
    ];
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    let word = given.string("kind").unwrap_or_else(|| "info".into());
    let kind = Kind::of(&word).unwrap_or(Kind::Info);
    let (name, id) = (given.string("name"), given.string("id"));
    let mut of = Vec::new();
    if let Some(name) = &name {
        check_name("service name", name)?;
        of.push(&**name);
    }
    if let Some(id) = &id {
        if name.is_none() {
            return Err(Error::invalid("Option id needs the option name").into());
        }
        check_name("service id", id)?;
        of.push(&**id);
    }
    let timeout = given.int("timeout").unwrap_or(USUAL_TIMEOUT);
    // The usual silence is not longer than all of it.
    let usual = if timeout == 0 || timeout > USUAL_STALL { USUAL_STALL } else { 0 };
    let stall = given.int("stall").unwrap_or(usual);
    if timeout == 0 && stall == 0 && id.is_none() {
        return Err(Error::invalid("Without a timeout and a stall it would not end").into());
    }
    // There is only one with this id.
    let most = if id.is_some() { 1 } else { 0 };
    let words = [
        Obj::new(&word),
        Obj::new(&kind.subject(&of)),
        Obj::new("-timeout"),
        Obj::int(timeout),
        Obj::new("-stall"),
        Obj::int(stall),
        Obj::new("-max_msgs"),
        Obj::int(most),
    ];
    Ok(Obj::list(&words).into())
}

/// `Answer kind data utf8`: the dict of an answer, nothing for what is none. The data may be text.
fn answer(call: &Call<'_>) -> Result<Return> {
    let kind = Kind::of(&call.arg(0)?.text()).unwrap_or(Kind::Info);
    let utf8 = options::boolean(&call.arg(2)?.text()).unwrap_or_default();
    match call.arg(1)?.with_payload(utf8, |json| read(kind, json)) {
        Some(answer) => Ok(json::to_dict(&answer).into()),
        None => Ok(Return::Empty),
    }
}

static QUERY: Method =
    Method { name: "::nats::service::Query", usage: "?arg ...?", min: 0, max: ANY, body: query };
static ANSWER: Method = Method {
    name: "::nats::service::Answer",
    usage: "kind data utf8",
    min: 3,
    max: 3,
    body: answer,
};

pub fn register(interp: Interp<'_>) -> Result<()> {
    create(interp, &QUERY)?;
    create(interp, &ANSWER)
}
