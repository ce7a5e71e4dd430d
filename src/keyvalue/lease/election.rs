//! `$kv elect` and `nats::kv_election`: one of several programs leads.

use super::action::{Event, Kind};
use super::driver::{Keeper, Leader};
use super::options::{TTL, prefix, put_status, usual_value, wanted};
use crate::bridge::{self, LanePlace, Promise, Receiver, Rest};
use crate::connection::Follower;
use crate::error::Error;
use crate::keyvalue::entry::{Entry, Operation};
use crate::keyvalue::object::KeyValue;
use crate::keyvalue::unfinished::Unfinished;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{
    Call, Dict, Interp, InterpHandle, Method, Native, Obj, ObjectHandle, Prefix, Result, Return, oo,
};
use std::cell::OnceCell;
use std::rc::Rc;

struct Election {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    kv: Rc<KeyValue>,
    key: Obj,
    /// As the bucket has it.
    stored_key: String,
    /// Who we are.
    id: Obj,
    callback: Prefix,
    keeper: OnceCell<Rc<Keeper>>,
    events: OnceCell<Receiver<Event>>,
    lane: LanePlace<Event>,
}

impl Native for Election {
    fn gone(&self) {
        self.kv.js.release(&self.handle);
        if let Some(keeper) = self.keeper.get() {
            keeper.destroy();
        }
    }
}

impl Election {
    fn event(&self, event: Event, rest: &Rest<'_, Event>) {
        if !self.handle.is_alive() {
            return;
        }
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let words = self.callback.words();
        let Some(event) = rest.admit(interp, &self.lane, words, event) else { return };
        let arguments = match event {
            Event::Acquired(token) => [Obj::new("leader"), Obj::uint(token)],
            Event::Led(value) => [Obj::new("follower"), self.value_obj(&value)],
            Event::Lost(reason) => [Obj::new("lost"), Obj::new(reason.word())],
            _ => return,
        };
        self.callback.call(interp, arguments);
        rest.delivered(&self.lane);
    }

    fn value_obj(&self, value: &[u8]) -> Obj {
        let entry = Entry::new(&self.stored_key, value, Operation::Put);
        self.kv.codecs.value_shown(&self.kv.js, &entry)
    }

    fn keeper(&self) -> Result<&Rc<Keeper>> {
        self.keeper.get().ok_or_else(|| Error::invalid("The election has not begun").into())
    }
}

fn elect(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] =
        &[TTL, ("callback", Type::ValidStr), ("value", Type::ValidStr)];
    let interp = call.interp;
    let kv = call.data::<KeyValue>()?;
    let key = call.arg(0)?.clone();
    let given = options::parse(interp, OPTIONS, &call.args()[1..])?;
    let id = given.get("value").cloned().unwrap_or_else(|| usual_value(interp));
    let wanted = wanted(&kv, "elect", Kind::Forever, &key, &id, &given)?;
    let Some(callback) = prefix(interp, &given, "callback")? else {
        return Err(Error::invalid("Option callback is required").into());
    };
    let js = kv.js.clone();
    let this = oo::instantiate(interp, "::nats::kv_election", |handle| {
        Rc::new(Election {
            interp_handle: interp.handle(),
            handle,
            kv,
            key,
            stored_key: wanted.key.clone(),
            id,
            callback: Prefix::new(callback),
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
            return Err(Error::invalid("The election was destroyed").into());
        };
        unfinished.finish();
        if let Some(events) = this.events.get() {
            events.start();
        }
        Ok(this.handle.command(interp).into())
    })
}

fn leader(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Election>()?;
    Ok(match this.keeper()?.leader()? {
        Leader::Us => this.id.clone(),
        Leader::Other(value) => this.value_obj(&value),
        Leader::Nobody => Obj::empty(),
    }
    .into())
}

fn is_leader(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Election>()?;
    Ok(Obj::int(this.keeper()?.is_valid().into()).into())
}

fn token(call: &Call<'_>) -> Result<Return> {
    Ok(Obj::uint(call.data::<Election>()?.keeper()?.token()?).into())
}

fn resign(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Election>()?;
    let (promise, pending): (Promise<bool>, _) = bridge::promise(call.interp);
    this.keeper()?.release(promise);
    let js = this.kv.js.clone();
    js.wait(call.interp, pending, |_, outcome| Ok(Obj::int(outcome?.into()).into()))
}

fn status(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Election>()?;
    let status = this.keeper()?.status()?;
    let mut dict = Dict::new();
    dict.put("key", &this.key);
    dict.put("id", &this.id);
    dict.put("is_leader", &Obj::int(status.valid.into()));
    put_status(&mut dict, &status);
    Ok(dict.into())
}

const OF_BUCKETS: &[Method] =
    &[Method { name: "elect", usage: "name ?arg ...?", min: 1, max: ANY, body: elect }];

const METHODS: &[Method] = &[
    Method { name: "leader", usage: "", min: 0, max: 0, body: leader },
    Method { name: "is_leader", usage: "", min: 0, max: 0, body: is_leader },
    Method { name: "token", usage: "", min: 0, max: 0, body: token },
    Method { name: "resign", usage: "", min: 0, max: 0, body: resign },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, OF_BUCKETS)?;
    oo::define(interp, "::nats::kv_election", None, None, METHODS)
}
