//! What is under way of publishes with a callback: `pending`, `publish_complete`.

use super::window::{Settled, within};
use crate::error::{Error, Kind};
use crate::jetstream::context::JetStream;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Dict, Method, Obj, Result, Return};

fn pending(call: &Call<'_>) -> Result<Return> {
    Ok(Obj::uint(call.data::<JetStream>()?.publishing.window.taken()).into())
}

fn publish_complete(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<JetStream>()?;
    const OPTIONS: &[options::Spec] = &[("timeout", Type::Timeout)];
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    let window = this.publishing.window.clone();
    if window.taken() == 0 {
        return Ok(settled(window.take_settled()).into());
    }
    let limit = given.time_limit("timeout", this.timeout().unwrap_or_default());
    let (waiting, counting) = (window.clone(), window.clone());
    let late = move || {
        Error::new(Kind::Timeout, format!("{} publishes are not settled", counting.taken()))
    };
    this.run(
        call.interp,
        |_| within(limit, waiting.idle(), late),
        move |_, outcome| {
            outcome?;
            Ok(settled(window.take_settled()).into())
        },
    )
}

fn settled(settled: Settled) -> Dict {
    let mut dict = Dict::new();
    dict.put("acknowledged", &Obj::uint(settled.acknowledged));
    dict.put("failed", &Obj::uint(settled.failed));
    dict.put("timed_out", &Obj::uint(settled.timed_out));
    dict
}

pub const METHODS: &[Method] = &[
    Method { name: "pending", usage: "", min: 0, max: 0, body: pending },
    Method {
        name: "publish_complete",
        usage: "?arg ...?",
        min: 0,
        max: ANY,
        body: publish_complete,
    },
];
