//! `nats::kv_watcher`: entries of a bucket delivered to a callback, to an array, or to both.

use super::bucket::Bucket;
use super::codec::Codecs;
use super::entry::Entry;
use super::latest::{Latest, Outlet};
use super::object::KeyValue;
use super::watch_observer::{Counts, WatchEvent, WatchObserver};
use super::watch_target::Target;
use crate::bridge::{self, LanePlace, Rest};
use crate::bucket::health::{Health, now_ms};
use crate::bucket::known::Known;
use crate::jetstream::api::Api;
use crate::jetstream::context::JetStream;
use crate::jetstream::ordered::OrderedConfig;
use crate::jetstream::ordered::consumer::{Done, OrderedConsumer};
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::jetstream::ordered::watching::Watching;
use crate::jetstream::roll::Roll;
use crate::message::Batch;
use crate::tcl::{
    Call, Dict, Interp, InterpHandle, Method, Native, Obj, ObjectHandle, Prefix, Result, Return, oo,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The variable in the watcher's namespace that stands for the user's array.
const ARRAY: &str = "ValuesArray";

/// What a watch delivers to, and how.
pub struct Wishes {
    pub callback: Option<Vec<Obj>>,
    pub on_state: Option<Vec<Obj>>,
    pub to_array: bool,
    pub ignore_deletes: bool,
    pub batch: bool,
    /// Of each key only the newest entry that has not been delivered.
    pub latest: bool,
}

pub struct Watcher {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    js: Rc<JetStream>,
    bucket: Arc<Bucket>,
    codecs: Rc<Codecs>,
    target: Target,
    on_state: Option<Prefix>,
    /// Nothing to remember for a watch that is not interested in deletions.
    known: Option<RefCell<Known>>,
    watching: Watching<WatchEvent>,
    /// All that comes for it, and what goes to `on_state`.
    lane: LanePlace<WatchEvent>,
    state_lane: LanePlace<WatchEvent>,
    health: Cell<(Health, i64)>,
    /// Entries that have come here.
    came: Cell<u64>,
    counts: Arc<Counts>,
    latest: Option<Arc<Latest>>,
}

impl Watcher {
    /// Makes the object of a watch that has not begun. With `to_array` its array is
    /// [`Watcher::array`].
    pub fn create(interp: Interp<'_>, kv: &KeyValue, wishes: Wishes) -> Result<Rc<Watcher>> {
        let Wishes { callback, on_state, to_array, ignore_deletes, batch, latest } = wishes;
        let watcher = oo::instantiate(interp, "::nats::kv_watcher", |handle| {
            let array = to_array.then(|| Obj::new(&format!("{}::{ARRAY}", handle.namespace())));
            Rc::new(Watcher {
                interp_handle: interp.handle(),
                target: Target::new(handle.clone(), kv, callback, array, batch),
                handle,
                js: kv.js.clone(),
                bucket: kv.bucket.clone(),
                codecs: kv.codecs.clone(),
                on_state: on_state.map(Prefix::new),
                known: (!ignore_deletes).then(|| RefCell::new(Known::new(to_array))),
                watching: Watching::default(),
                lane: LanePlace::new(),
                state_lane: LanePlace::new(),
                health: Cell::new((Health::Initial, now_ms())),
                came: Cell::new(0),
                counts: Arc::default(),
                latest: latest.then(Arc::default),
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
        let (outlet, counts) = (Outlet::new(sender, self.latest.clone()), self.counts.clone());
        let from = match config.policy {
            DeliverPolicy::ByStartSequence(revision) => revision,
            _ => 0,
        };
        let bucket = self.bucket.clone();
        let observer = WatchObserver::new(outlet, counts, bucket, meta_only, ignore_deletes, from);
        let consumer = OrderedConsumer::start(api, config, Box::new(observer), done);
        self.watching.begin(interp, &self.js, consumer, events)
    }

    pub fn deliver(&self) {
        self.watching.deliver();
    }

    pub fn array(&self) -> Option<&Obj> {
        self.target.array.as_ref()
    }

    pub fn handle(&self) -> &ObjectHandle {
        &self.handle
    }

    fn event(&self, event: WatchEvent, rest: &Rest<'_, WatchEvent>) {
        // Destroyed in a callback further up the stack: nothing more comes.
        if !self.handle.is_alive() {
            return;
        }
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let callback = self.target.callback();
        let Some(event) = rest.admit(interp, &self.lane, callback, event) else { return };
        let Some(event) = self.present(event) else { return };
        match event {
            WatchEvent::State(health, since) => {
                self.state(interp, health, since, rest);
            }
            event if self.target.batch && is_counted(&event) => self.list(interp, event, rest),
            WatchEvent::Entry(entry) => {
                self.entry_came(&entry);
                self.target.entry(interp, &entry);
                self.consumed(1);
            }
            WatchEvent::Foreign => self.consumed(1),
            WatchEvent::EndOfData => self.target.end_of_data(interp),
            WatchEvent::RollCallBegins => {
                if let Some(known) = &self.known {
                    known.borrow_mut().roll_call_begins();
                }
            }
            WatchEvent::RollCall(roll) => self.roll_call(interp, &roll),
            WatchEvent::LastError(kind, text) => self.watching.last_error(kind, text),
            WatchEvent::Next => {}
        }
        rest.delivered(&self.lane);
    }

    /// What is to be delivered now, if it waits elsewhere.
    fn present(&self, event: WatchEvent) -> Option<WatchEvent> {
        match (&self.latest, event) {
            (Some(latest), WatchEvent::Next) => latest.take(),
            (_, event) => Some(event),
        }
    }

    fn consumed(&self, count: u64) {
        self.watching.consumed(count);
    }

    fn entry_came(&self, entry: &Entry) {
        self.came.set(self.came.get() + 1);
        self.remember(entry);
    }

    fn remember(&self, entry: &Entry) {
        if let Some(known) = &self.known {
            let mut known = known.borrow_mut();
            match entry.operation.deletes() {
                true => known.delete(entry.key()),
                false => known.put(entry.key(), entry.revision),
            }
        }
    }

    /// Delivers this and what is behind it in one list.
    fn list(&self, interp: Interp<'_>, first: WatchEvent, rest: &Rest<'_, WatchEvent>) {
        let (mut count, mut data, mut batch) = (0, false, Batch::begin());
        let (mut plain, mut items) = (self.target.plain_list(), Vec::new());
        let mut put = |item: Option<Entry>| match &mut plain {
            Some(plain) => plain.push(item.as_ref()),
            None => items.push(item),
        };
        let mut add = |event: WatchEvent| {
            data |= event.is_data();
            match event {
                WatchEvent::Entry(entry) => {
                    self.entry_came(&entry);
                    count += 1;
                    put(Some(entry));
                }
                WatchEvent::EndOfData => put(None),
                _ => count += 1,
            }
            batch.add()
        };
        let wanted = |event: &WatchEvent| match (event, &self.latest) {
            (WatchEvent::Next, Some(latest)) => latest.begins_with_data(),
            (event, _) => is_counted(event),
        };
        if add(first) {
            rest.go_on(wanted, |event| self.present(event).is_none_or(&mut add));
        }
        match plain {
            Some(plain) if data => plain.call(interp),
            Some(_) => {}
            None => self.target.list(interp, items),
        }
        self.consumed(count);
    }

    /// Reports the keys that are neither present nor were ever reported as deleted.
    fn roll_call(&self, interp: Interp<'_>, roll: &Roll) {
        let Some(known) = &self.known else { return };
        // Traces may run here, and anything in them.
        let names = self.array().map_or_else(Vec::new, |array| interp.array_names(array));
        let names = self.codecs.names_in(names);
        let present = |key: &str| roll.has(&self.bucket.read_subject(key));
        let gone = known.borrow_mut().vanished(present, roll.first_seq, names);
        let now = now_ms();
        let gone = gone.into_iter().map(|key| Entry::vanished(&key, now));
        if self.target.batch {
            return self.target.list(interp, gone.map(Some).collect());
        }
        for entry in gone {
            if !self.handle.is_alive() {
                return;
            }
            self.remember(&entry);
            self.target.entry(interp, &entry);
        }
    }

    fn state(&self, interp: Interp<'_>, health: Health, since: i64, rest: &Rest<'_, WatchEvent>) {
        self.health.set((health, since));
        let Some(on_state) = &self.on_state else { return };
        let event = WatchEvent::State(health, since);
        if rest.admit(interp, &self.state_lane, on_state.words(), event).is_none() {
            return;
        }
        on_state.call(interp, [Obj::new(health.word()), self.progress().into()]);
        rest.delivered(&self.state_lane);
    }

    /// How far it has come.
    fn progress(&self) -> Dict {
        let mut dict = Dict::new();
        let resets = self.counts.created.load(Ordering::Relaxed).saturating_sub(1);
        dict.put("revision", &Obj::uint(self.target.revision.get()));
        dict.put("delivered", &Obj::uint(self.target.delivered.get()));
        dict.put("resets", &Obj::uint(resets));
        dict.put("error", &self.watching.shown_error());
        dict
    }

    fn status(&self) -> Dict {
        let (health, since) = self.health.get();
        let sent = self.counts.sent.load(Ordering::Relaxed);
        let (pending, skipped) = match &self.latest {
            Some(latest) => latest.counts(),
            None => (sent.saturating_sub(self.came.get()), 0),
        };
        let mut dict = self.progress();
        dict.put("state", &Obj::new(health.word()));
        dict.put("pending", &Obj::uint(pending));
        dict.put("skipped", &Obj::uint(skipped));
        dict.put("since", &Obj::int(since));
        dict
    }
}

/// Whether it is an entry, the end of the initial data, or what only has to be counted.
fn is_counted(event: &WatchEvent) -> bool {
    event.is_data() || matches!(event, WatchEvent::Foreign)
}

impl Native for Watcher {
    fn gone(&self) {
        self.js.release(&self.handle);
        self.watching.end(&self.interp_handle);
    }
}

fn consumer(call: &Call<'_>) -> Result<Return> {
    Ok(call.data::<Watcher>()?.watching.command(call.interp).into())
}

fn status(call: &Call<'_>) -> Result<Return> {
    Ok(call.data::<Watcher>()?.status().into())
}

const METHODS: &[Method] = &[
    Method { name: "consumer", usage: "", min: 0, max: 0, body: consumer },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::kv_watcher", None, None, METHODS)
}
