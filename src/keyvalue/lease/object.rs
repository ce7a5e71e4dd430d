//! `$kv lease`, `$kv lock`, and `nats::kv_lease`: a key that is ours for a while.

use super::action::{Event, Kind};
use super::driver::{Keeper, Wanted};
use super::options::{TTL, prefix, put_status, usual_value, wanted};
use crate::bridge::{self, LanePlace, Promise, Receiver, Rest};
use crate::connection::Follower;
use crate::error::{Error, Kind as ErrorKind};
use crate::keyvalue::object::KeyValue;
use crate::keyvalue::unfinished::Unfinished;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{
    Call, Dict, Interp, InterpHandle, Method, Native, Obj, ObjectHandle, Prefix, Result, Return, oo,
};
use crate::transport::Headers;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

struct Lease {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    kv: Rc<KeyValue>,
    key: Obj,
    value: RefCell<Obj>,
    on_lost: Option<Prefix>,
    keeper: OnceCell<Rc<Keeper>>,
    events: OnceCell<Receiver<Event>>,
    lane: LanePlace<Event>,
}

impl Native for Lease {
    fn gone(&self) {
        self.kv.js.release(&self.handle);
        if let Some(keeper) = self.keeper.get() {
            keeper.destroy();
        }
    }
}

/// What a lease begins with.
struct Begin {
    kv: Rc<KeyValue>,
    key: Obj,
    value: Obj,
    on_lost: Option<Vec<Obj>>,
    wanted: Wanted,
}

impl Lease {
    /// Makes the object, and waits until the key is ours.
    fn begin(interp: Interp<'_>, begin: Begin) -> Result<Return> {
        let Begin { kv, key, value, on_lost, wanted } = begin;
        let js = kv.js.clone();
        let this = oo::instantiate(interp, "::nats::kv_lease", |handle| {
            Rc::new(Lease {
                interp_handle: interp.handle(),
                handle,
                kv,
                key,
                value: RefCell::new(value),
                on_lost: on_lost.map(Prefix::new),
                keeper: OnceCell::new(),
                events: OnceCell::new(),
                lane: LanePlace::new(),
            })
        })?;
        let unfinished = Unfinished::new(interp, &this.handle);
        js.adopt(interp, &this.handle)?;
        let weak = Rc::downgrade(&this);
        let (sender, events) = bridge::channel(interp.handle(), move |event, rest| {
            if let Some(this) = weak.upgrade() {
                this.event(event, rest);
            }
        });
        let (promise, pending) = bridge::promise(interp);
        let keeper = Rc::new(Keeper::start(wanted, sender, promise));
        let follower: Rc<dyn Follower> = keeper.clone();
        js.connection.follow(Rc::downgrade(&follower));
        // An object is begun once.
        let _ = this.keeper.set(keeper);
        let _ = this.events.set(events);
        let weak = Rc::downgrade(&this);
        drop(this);
        js.wait(interp, pending, move |interp, outcome| {
            outcome?;
            let Some(this) = weak.upgrade() else {
                return Err(Error::invalid("The lease was destroyed").into());
            };
            unfinished.finish();
            if let Some(events) = this.events.get() {
                events.start();
            }
            Ok(this.handle.command(interp).into())
        })
    }

    fn event(&self, event: Event, rest: &Rest<'_, Event>) {
        if !self.handle.is_alive() {
            return;
        }
        let Some(on_lost) = &self.on_lost else { return };
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let Some(event) = rest.admit(interp, &self.lane, on_lost.words(), event) else { return };
        if let Event::Lost(reason) = event {
            on_lost.call(interp, [Obj::new(reason.word())]);
            rest.delivered(&self.lane);
        }
    }

    fn keeper(&self) -> Result<&Rc<Keeper>> {
        self.keeper.get().ok_or_else(|| Error::new(ErrorKind::LeaseLost, "No lease").into())
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
    Lease::begin(call.interp, Begin { kv, key, value, on_lost, wanted })
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
    Lease::begin(call.interp, Begin { kv, key, value, on_lost, wanted })
}

fn valid(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Lease>()?;
    Ok(Obj::int(this.keeper()?.is_valid().into()).into())
}

fn token(call: &Call<'_>) -> Result<Return> {
    Ok(Obj::uint(call.data::<Lease>()?.keeper()?.token()?).into())
}

fn value(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Lease>()?;
    let Some(new) = call.args().first().cloned() else {
        return Ok(this.value.borrow().clone().into());
    };
    let key = this.kv.codecs.key_in(&this.key)?;
    let (_, out) = this.kv.writing(&key, Headers::new(), &new)?;
    let (promise, pending) = bridge::promise(call.interp);
    this.keeper()?.change(out, promise);
    let js = this.kv.js.clone();
    js.wait(call.interp, pending, move |_, outcome| {
        outcome?;
        this.value.replace(new.clone());
        Ok(new.into())
    })
}

fn release(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Lease>()?;
    let (promise, pending): (Promise<bool>, _) = bridge::promise(call.interp);
    this.keeper()?.release(promise);
    let js = this.kv.js.clone();
    js.wait(call.interp, pending, |_, outcome| Ok(Obj::int(outcome?.into()).into()))
}

fn status(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Lease>()?;
    let status = this.keeper()?.status()?;
    let mut dict = Dict::new();
    dict.put("key", &this.key);
    dict.put("valid", &Obj::int(status.valid.into()));
    put_status(&mut dict, &status);
    Ok(dict.into())
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
    oo::define(interp, "::nats::kv_lease", None, None, METHODS)
}
