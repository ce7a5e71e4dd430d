//! `nats::kv_watcher`: entries of a bucket delivered to a callback, to an array, or to both.

use super::bucket::Bucket;
use super::entry::Entry;
use super::entry_dict::{EntryWords, value_obj};
use super::known::Known;
use super::object::KeyValue;
use super::watch_observer::{WatchEvent, WatchObserver};
use crate::bridge::{self, LanePlace, Receiver, Rest};
use crate::jetstream::api::Api;
use crate::jetstream::context::JetStream;
use crate::jetstream::ordered::OrderedConfig;
use crate::jetstream::ordered::consumer::{Done, OrderedConsumer};
use crate::jetstream::ordered::object::ConsumerObject;
use crate::jetstream::roll::Roll;
use crate::tcl::{
    Call, Interp, InterpHandle, Method, Native, Obj, ObjectHandle, Prefix, Result, Return, oo,
};
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The variable in the watcher's namespace that stands for the user's array.
const ARRAY: &str = "ValuesArray";

pub struct Watcher {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    js: Rc<JetStream>,
    bucket: Arc<Bucket>,
    words: EntryWords,
    callback: Option<Prefix>,
    array: Option<Obj>,
    /// Nothing to remember for a watch that is not interested in deletions.
    known: Option<RefCell<Known>>,
    running: OnceCell<Running>,
    /// All that comes for it.
    lane: LanePlace<WatchEvent>,
}

/// What a watcher has once its consumer is being made.
struct Running {
    consumer: Rc<OrderedConsumer>,
    object: ConsumerObject,
    events: Receiver<WatchEvent>,
}

impl Watcher {
    /// Makes the object of a watch that has not begun. With `to_array` its array is
    /// [`Watcher::array`].
    pub fn create(
        interp: Interp<'_>,
        kv: &KeyValue,
        callback: Option<Vec<Obj>>,
        to_array: bool,
        ignore_deletes: bool,
    ) -> Result<Rc<Watcher>> {
        let watcher = oo::instantiate(interp, "::nats::kv_watcher", |handle| {
            let array = to_array.then(|| Obj::new(&format!("{}::{ARRAY}", handle.namespace())));
            Rc::new(Watcher {
                interp_handle: interp.handle(),
                handle,
                js: kv.js.clone(),
                bucket: kv.bucket.clone(),
                words: EntryWords::new(&kv.bucket.name),
                callback: callback.map(Prefix::new),
                array,
                known: (!ignore_deletes).then(|| RefCell::new(Known::new(to_array))),
                running: OnceCell::new(),
                lane: LanePlace::new(),
            })
        })?;
        kv.js.adopt(interp, &watcher.handle)?;
        Ok(watcher)
    }

    /// Begins to consume; `done` is told on the runtime thread whether the consumer could be made.
    /// Nothing is delivered before [`Watcher::deliver`].
    pub fn start(
        self: &Rc<Self>,
        interp: Interp<'_>,
        api: Api,
        config: OrderedConfig,
        meta_only: bool,
        done: Done,
    ) -> Result<()> {
        let weak = Rc::downgrade(self);
        let (sender, events) = bridge::channel(interp.handle(), move |event, rest| {
            if let Some(watcher) = weak.upgrade() {
                watcher.event(event, rest);
            }
        });
        let ignore_deletes = self.known.is_none();
        let observer = WatchObserver::new(sender, self.bucket.clone(), meta_only, ignore_deletes);
        let consumer = Rc::new(OrderedConsumer::start(api, config, Box::new(observer), done));
        let object = ConsumerObject::of_watcher(interp, &self.js, consumer.clone())?;
        consumer.follow(&self.js);
        // A watcher is started once.
        let _ = self.running.set(Running { consumer, object, events });
        Ok(())
    }

    pub fn deliver(&self) {
        if let Some(running) = self.running.get() {
            running.events.start();
        }
    }

    pub fn array(&self) -> Option<&Obj> {
        self.array.as_ref()
    }

    pub fn command(&self, interp: Interp<'_>) -> Obj {
        self.handle.command(interp)
    }

    pub fn destroy(&self) {
        if let Some(guard) = self.interp_handle.enter() {
            self.handle.destroy(guard.interp());
        }
    }

    fn event(&self, event: WatchEvent, rest: &Rest<'_, WatchEvent>) {
        // Destroyed in a callback further up the stack: nothing more comes.
        if !self.handle.is_alive() {
            return;
        }
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let callback = self.callback.as_ref().map_or(&[][..], Prefix::words);
        let Some(event) = rest.admit(interp, &self.lane, callback, event) else { return };
        match event {
            WatchEvent::Entry(entry) => {
                self.entry(interp, &entry);
                self.consumed();
            }
            WatchEvent::Foreign => self.consumed(),
            WatchEvent::EndOfData => self.call_back(interp, Obj::empty()),
            WatchEvent::RollCallBegins => {
                if let Some(known) = &self.known {
                    known.borrow_mut().roll_call_begins();
                }
            }
            WatchEvent::RollCall(roll) => self.roll_call(interp, &roll),
            WatchEvent::LastError(kind, text) => {
                if let Some(running) = self.running.get() {
                    running.object.last_error(kind, text);
                }
            }
        }
        rest.delivered(&self.lane);
    }

    fn consumed(&self) {
        if let Some(running) = self.running.get() {
            running.consumer.consumed(1);
        }
    }

    fn entry(&self, interp: Interp<'_>, entry: &Entry) {
        let deletes = entry.operation.deletes();
        if let Some(known) = &self.known {
            let mut known = known.borrow_mut();
            match deletes {
                true => known.delete(entry.key()),
                false => known.put(entry.key(), entry.revision),
            }
        }
        let key = Obj::new(entry.key());
        let value = value_obj(&self.js, entry);
        if let Some(array) = &self.array {
            if deletes {
                interp.unset_element(array, &key);
            } else if let Err(failure) = interp.set_var(array, Some(&key), &value) {
                // A trace of the user threw, or the variable is no array any more.
                interp.background(&failure);
            }
        }
        if self.callback.is_some() {
            let dict = self.words.dict(entry, &key, &value);
            self.call_back(interp, dict);
        }
    }

    /// Reports the keys that are neither present nor were ever reported as deleted.
    fn roll_call(&self, interp: Interp<'_>, roll: &Roll) {
        let Some(known) = &self.known else { return };
        // Traces may run here, and anything in them.
        let names = self.array.as_ref().map_or_else(Vec::new, |array| interp.array_names(array));
        let present = |key: &str| roll.has(&self.bucket.read_subject(key));
        let gone = known.borrow_mut().vanished(present, roll.first_seq, names);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for key in gone {
            if !self.handle.is_alive() {
                return;
            }
            self.entry(interp, &Entry::vanished(&key, now.as_millis() as i64));
        }
    }

    fn call_back(&self, interp: Interp<'_>, argument: Obj) {
        if let Some(callback) = &self.callback {
            callback.call(interp, [argument]);
        }
    }
}

impl Native for Watcher {
    fn gone(&self) {
        self.js.release(&self.handle);
        if let Some(running) = self.running.get() {
            running.consumer.stop();
            if let Some(guard) = self.interp_handle.enter() {
                running.object.destroy(guard.interp());
            }
        }
    }
}

fn consumer(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Watcher>()?;
    Ok(this.running.get().map_or_else(Obj::empty, |r| r.object.command(call.interp)).into())
}

const METHODS: &[Method] =
    &[Method { name: "consumer", usage: "", min: 0, max: 0, body: consumer }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::kv_watcher", None, None, METHODS)
}
