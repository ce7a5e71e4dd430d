//! What a lease and an election have in common: an object that wants a key, waits until it has begun, and is told
//! of what becomes of it.

use super::action::Event;
use super::driver::{Keeper, Status, Wanted};
use super::options::put_status;
use crate::bridge::{self, LanePlace, Promise, Receiver, Rest};
use crate::bucket::unfinished::Unfinished;
use crate::connection::Follower;
use crate::error::Error;
use crate::keyvalue::object::KeyValue;
use crate::tcl::{
    Call, Dict, Interp, InterpHandle, Native, Obj, ObjectHandle, Prefix, Result, Return, oo,
};
use std::cell::OnceCell;
use std::rc::Rc;

pub struct Owner {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    pub kv: Rc<KeyValue>,
    /// As the program calls it.
    pub key: Obj,
    callback: Option<Prefix>,
    keeper: OnceCell<Rc<Keeper>>,
    events: OnceCell<Receiver<Event>>,
    lane: LanePlace<Event>,
}

/// The data of an object that is an owner.
pub trait Owns: Native {
    fn owner(&self) -> &Owner;
    /// Tells the callback, if that is for it.
    fn tell(&self, interp: Interp<'_>, callback: &Prefix, event: Event);
}

impl Owner {
    /// Ends it, when its object is gone.
    pub fn gone(&self) {
        self.kv.js.release(&self.handle);
        if let Some(keeper) = self.keeper.get() {
            keeper.destroy();
        }
    }

    pub fn keeper(&self) -> Result<&Rc<Keeper>> {
        self.keeper.get().ok_or_else(|| Error::invalid("It has not begun").into())
    }

    /// Lets the key go; whether it was ours until then.
    pub fn give_back(&self, call: &Call<'_>) -> Result<Return> {
        let (promise, pending): (Promise<bool>, _) = bridge::promise(call.interp);
        self.keeper()?.release(promise);
        let js = self.kv.js.clone();
        js.wait(call.interp, pending, |_, outcome| Ok(Obj::int(outcome?.into()).into()))
    }

    /// The status as a dict, behind what `first` puts there.
    pub fn status(&self, first: impl FnOnce(&mut Dict, &Status)) -> Result<Return> {
        let status = self.keeper()?.status()?;
        let mut dict = Dict::new();
        dict.put("key", &self.key);
        first(&mut dict, &status);
        put_status(&mut dict, &status);
        Ok(dict.into())
    }
}

/// Makes an object of this class, which wants the key, and returns its command when it has begun: a lease when it has
/// the key, a candidate when it knows who has it.
pub fn begin<T: Owns>(
    interp: Interp<'_>,
    class: &str,
    (kv, key, callback): (Rc<KeyValue>, Obj, Option<Vec<Obj>>),
    wanted: Wanted,
    data: impl FnOnce(Owner) -> T,
) -> Result<Return> {
    let js = kv.js.clone();
    let this = oo::instantiate(interp, class, |handle| {
        Rc::new(data(Owner {
            interp_handle: interp.handle(),
            handle,
            kv,
            key,
            callback: callback.map(Prefix::new),
            keeper: OnceCell::new(),
            events: OnceCell::new(),
            lane: LanePlace::new(),
        }))
    })?;
    let unfinished = Unfinished::new(interp, &this.owner().handle);
    js.adopt(interp, &this.owner().handle)?;
    let weak = Rc::downgrade(&this);
    let (sender, events) = bridge::channel(interp.handle(), move |event, rest| {
        if let Some(this) = weak.upgrade() {
            deliver(&*this, event, rest);
        }
    });
    let (promise, pending) = bridge::promise(interp);
    let keeper = Rc::new(Keeper::start(wanted, sender, promise));
    let follower: Rc<dyn Follower> = keeper.clone();
    js.connection.follow(Rc::downgrade(&follower));
    // An object is begun once.
    let _ = this.owner().keeper.set(keeper);
    let _ = this.owner().events.set(events);
    unfinished.wait(interp, &js, pending, this, |this| {
        if let Some(events) = this.owner().events.get() {
            events.start();
        }
        Ok(())
    })
}

fn deliver(this: &impl Owns, event: Event, rest: &Rest<'_, Event>) {
    let owner = this.owner();
    if !owner.handle.is_alive() {
        return;
    }
    let Some(callback) = &owner.callback else { return };
    let Some(guard) = owner.interp_handle.enter() else { return };
    let interp = guard.interp();
    let Some(event) = rest.admit(interp, &owner.lane, callback.words(), event) else { return };
    this.tell(interp, callback, event);
    rest.delivered(&owner.lane);
}
