//! `$kv lease`, `$kv lock`, and `nats::kv_lease`: a key that is ours for a while.

use super::action::{Event, Kind};
use super::options::{TTL, prefix, usual_value, wanted};
use super::owner::{Owner, Owns, begin};
use crate::bridge;
use crate::keyvalue::object::KeyValue;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Native, Obj, Prefix, Result, Return, oo};
use crate::transport::Headers;
use std::cell::RefCell;

const CLASS: &str = "::nats::kv_lease";

struct Lease {
    owner: Owner,
    /// The last one that was stored, and its version.
    value: RefCell<(u64, Obj)>,
}

impl Native for Lease {
    fn gone(&self) {
        self.owner.gone();
    }
}

impl Owns for Lease {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn tell(&self, interp: Interp<'_>, callback: &Prefix, event: Event) {
        if let Event::Lost(reason) = event {
            callback.call(interp, [Obj::new(reason.word())]);
        }
    }
}

fn lease(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[TTL, ("on_lost", Type::Str)];
    let kv = call.data::<KeyValue>()?;
    let (key, value) = (call.arg(0)?.clone(), call.arg(1)?.clone());
    let given = options::parse(call.interp, OPTIONS, &call.args()[2..])?;
    let on_lost = prefix(call.interp, &given, "on_lost")?;
    let mut wanted = wanted(&kv, "lease", Kind::Once, &key, &value, &given)?;
    wanted.patience = kv.js.timeout();
    let value = RefCell::new((0, value));
    begin(call.interp, CLASS, (kv, key, on_lost), wanted, |owner| Lease { owner, value })
}

fn lock(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] =
        &[TTL, ("timeout", Type::Timeout), ("value", Type::Str), ("on_lost", Type::Str)];
    let kv = call.data::<KeyValue>()?;
    let key = call.arg(0)?.clone();
    let given = options::parse(call.interp, OPTIONS, &call.args()[1..])?;
    let on_lost = prefix(call.interp, &given, "on_lost")?;
    let value = given.get("value").cloned().unwrap_or_else(|| usual_value(call.interp));
    let mut wanted = wanted(&kv, "lock", Kind::Wait, &key, &value, &given)?;
    wanted.patience = match given.duration("timeout") {
        None => kv.js.timeout(),
        Some(limit) => Some(limit).filter(|limit| !limit.is_zero()),
    };
    let value = RefCell::new((0, value));
    begin(call.interp, CLASS, (kv, key, on_lost), wanted, |owner| Lease { owner, value })
}

fn valid(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Lease>()?;
    Ok(Obj::int(this.owner.keeper()?.is_valid().into()).into())
}

fn token(call: &Call<'_>) -> Result<Return> {
    Ok(Obj::uint(call.data::<Lease>()?.owner.keeper()?.token()?).into())
}

fn value(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Lease>()?;
    let Some(new) = call.args().first().cloned() else {
        return Ok(this.value.borrow().1.clone().into());
    };
    let kv = &this.owner.kv;
    let key = kv.codecs.key_in(&this.owner.key)?;
    let (_, out) = kv.writing(&key, Headers::new(), &new)?;
    let (promise, pending) = bridge::promise(call.interp);
    let version = this.owner.keeper()?.change(out, promise);
    let js = kv.js.clone();
    js.wait(call.interp, pending, move |_, outcome| {
        outcome?;
        // Who has waited for an earlier one may hear of it later.
        let mut value = this.value.borrow_mut();
        if version > value.0 {
            *value = (version, new.clone());
        }
        Ok(new.into())
    })
}

fn release(call: &Call<'_>) -> Result<Return> {
    call.data::<Lease>()?.owner.give_back(call)
}

fn status(call: &Call<'_>) -> Result<Return> {
    call.data::<Lease>()?
        .owner
        .status(|dict, status| dict.put("valid", &Obj::int(status.valid.into())))
}

const OF_BUCKETS: &[Method] = &[
    Method { name: "lease", usage: "key value ?arg ...?", min: 2, max: ANY, body: lease },
    Method { name: "lock", usage: "name ?arg ...?", min: 1, max: ANY, body: lock },
];

const METHODS: &[Method] = &[
    Method { name: "valid", usage: "", min: 0, max: 0, body: valid },
    Method { name: "token", usage: "", min: 0, max: 0, body: token },
    Method { name: "value", usage: "?new?", min: 0, max: 1, body: value },
    Method { name: "release", usage: "", min: 0, max: 0, body: release },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, OF_BUCKETS)?;
    oo::define(interp, CLASS, None, None, METHODS)
}
