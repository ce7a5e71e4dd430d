//! `$obj watch`, and `nats::object_watcher`: descriptions delivered to a callback.

use super::bucket::{Bucket, missing};
use super::consumer::ordered_config;
use super::info::ObjectInfo;
use super::info_dict::to_dict;
use super::names::meta_of;
use super::object::ObjectStore;
use super::observer::{MetaEvent, MetaObserver, Unreadable};
use crate::bridge::{self, LanePlace, Rest};
use crate::bucket::health::now_ms;
use crate::bucket::health::{Health, Healths};
use crate::bucket::known::Known;
use crate::bucket::unfinished::Unfinished;
use crate::connection::log::Level;
use crate::error::{self, Error};
use crate::jetstream::api::Api;
use crate::jetstream::context::JetStream;
use crate::jetstream::ordered::OrderedConfig;
use crate::jetstream::ordered::consumer::{Done, OrderedConsumer};
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::jetstream::ordered::watching::Watching;
use crate::jetstream::roll::Roll;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{
    Call, Dict, Interp, InterpHandle, Method, Native, Obj, ObjectHandle, Prefix, Result, Return, oo,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub struct Watcher {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    js: Rc<JetStream>,
    bucket: Arc<Bucket>,
    callback: Prefix,
    /// What the program was told of, to find what vanishes; nothing for a watch that is not interested in
    /// deletions.
    known: Option<RefCell<Known>>,
    watching: Watching<MetaEvent>,
    lane: LanePlace<MetaEvent>,
    healths: RefCell<Healths>,
    health: Cell<(Health, i64)>,
    delivered: Cell<u64>,
    created: Cell<u64>,
}

impl Watcher {
    fn create(
        interp: Interp<'_>,
        store: &ObjectStore,
        callback: Vec<Obj>,
        ignore_deletes: bool,
    ) -> Result<Rc<Watcher>> {
        let watcher = oo::instantiate(interp, "::nats::object_watcher", |handle| {
            Rc::new(Watcher {
                interp_handle: interp.handle(),
                handle,
                js: store.js.clone(),
                bucket: store.bucket.clone(),
                callback: Prefix::new(callback),
                known: (!ignore_deletes).then(|| RefCell::new(Known::new(false))),
                watching: Watching::default(),
                lane: LanePlace::new(),
                healths: RefCell::default(),
                health: Cell::new((Health::Initial, now_ms())),
                delivered: Cell::new(0),
                created: Cell::new(0),
            })
        })?;
        store.js.adopt(interp, &watcher.handle)?;
        Ok(watcher)
    }

    /// Begins to consume. Nothing is delivered before [`Watcher::deliver`].
    fn start(
        self: &Rc<Self>,
        interp: Interp<'_>,
        api: Api,
        config: OrderedConfig,
        done: Done,
    ) -> Result<()> {
        let weak = Rc::downgrade(self);
        let (sender, events) = bridge::channel(interp.handle(), move |event, rest| {
            if let Some(watcher) = weak.upgrade() {
                watcher.event(event, rest);
            }
        });
        let observer = MetaObserver::new(&self.bucket.name, move |event| {
            if !matches!(event, MetaEvent::Heard) {
                sender.send(event);
            }
        });
        let consumer = OrderedConsumer::start(api, config, Box::new(observer), done);
        self.watching.begin(interp, &self.js, consumer, events)
    }

    fn deliver(&self) {
        self.watching.deliver();
    }

    fn event(&self, event: MetaEvent, rest: &Rest<'_, MetaEvent>) {
        // Destroyed in a callback further up the stack: nothing more comes.
        if !self.handle.is_alive() {
            return;
        }
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let Some(event) = rest.admit(interp, &self.lane, self.callback.words(), event) else {
            return;
        };
        match event {
            MetaEvent::Object(info, seq) => {
                self.object(interp, &info, seq);
                self.consumed();
            }
            MetaEvent::Unreadable(Unreadable { text, .. }) => {
                self.js.connection.logger.log(Level::Warn, &format!("Object watcher: {text}"));
                self.consumed();
            }
            MetaEvent::EndOfData => {
                self.callback.call(interp, [Obj::empty()]);
            }
            MetaEvent::RollCallBegins => {
                if let Some(known) = &self.known {
                    known.borrow_mut().roll_call_begins();
                }
            }
            MetaEvent::RollCall(roll) => self.roll_call(interp, &roll),
            MetaEvent::Created => self.created.set(self.created.get() + 1),
            MetaEvent::LastError(kind, text) => {
                self.healths.borrow_mut().error(kind);
                self.watching.last_error(kind, text);
            }
            MetaEvent::State(state) => {
                let [before, now] = self.healths.borrow_mut().state(state);
                if let Some(health) = now.or(before) {
                    self.health.set((health, now_ms()));
                }
            }
            MetaEvent::Heard => {}
        }
        rest.delivered(&self.lane);
    }

    fn consumed(&self) {
        self.watching.consumed(1);
    }

    fn object(&self, interp: Interp<'_>, info: &ObjectInfo, seq: u64) {
        match &self.known {
            Some(known) if info.deleted => known.borrow_mut().delete(&info.name),
            Some(known) => known.borrow_mut().put(&info.name, seq),
            None if info.deleted => return,
            None => {}
        }
        self.delivered.set(self.delivered.get() + 1);
        self.callback.call(interp, [to_dict(info)]);
    }

    /// Reports the objects that are neither there nor were ever reported as deleted.
    fn roll_call(&self, interp: Interp<'_>, roll: &Roll) {
        let Some(known) = &self.known else { return };
        let present = |name: &str| roll.has(&meta_of(&self.bucket.name, name));
        let gone = known.borrow_mut().vanished(present, roll.first_seq, Vec::new());
        let now = now_ms();
        for name in gone {
            if !self.handle.is_alive() {
                return;
            }
            self.object(interp, &ObjectInfo::vanished(&self.bucket.name, &name, now), 0);
        }
    }

    fn status(&self) -> Dict {
        let (health, since) = self.health.get();
        let mut dict = Dict::new();
        dict.put("delivered", &Obj::uint(self.delivered.get()));
        dict.put("resets", &Obj::uint(self.created.get().saturating_sub(1)));
        dict.put("error", &self.watching.shown_error());
        dict.put("state", &Obj::new(health.word()));
        dict.put("since", &Obj::int(since));
        dict
    }
}

impl Native for Watcher {
    fn gone(&self) {
        self.js.release(&self.handle);
        self.watching.end(&self.interp_handle);
    }
}

fn watch(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[
        ("callback", Type::Str),
        ("updates_only", Type::Bool),
        ("include_history", Type::Bool),
        ("ignore_deletes", Type::Bool),
        ("idle_heartbeat", Type::Ms),
    ];
    let interp = call.interp;
    let store = call.data::<ObjectStore>()?;
    let given = options::parse(interp, OPTIONS, call.args())?;
    let Some(callback) = given.non_empty("callback") else {
        return Err(Error::invalid("-callback is required").into());
    };
    let callback = callback.elements(interp)?;
    let policy = match (given.flag("include_history"), given.flag("updates_only")) {
        (true, true) => {
            return Err(Error::invalid("-include_history conflicts with -updates_only").into());
        }
        (true, false) => DeliverPolicy::All,
        (false, true) => DeliverPolicy::New,
        (false, false) => DeliverPolicy::LastPerSubject,
    };
    let ignore_deletes = given.flag("ignore_deletes");
    let api = store.js.api()?;
    let mut config = ordered_config(&store, policy, !ignore_deletes);
    (config.end_before_news, config.never_waits) = (true, false);
    if let Some(ns) = given.get("idle_heartbeat").and_then(options::milliseconds) {
        config.config.idle_heartbeat = Duration::from_nanos(ns.max(0) as u64);
    }

    let watcher = Watcher::create(interp, &store, callback, ignore_deletes)?;
    let unfinished = Unfinished::new(interp, &watcher.handle);
    let (promise, pending) = bridge::promise(interp);
    let bucket = store.bucket.name.clone();
    let done = Box::new(move |created: error::Result<()>| {
        promise.complete(created.map_err(|error| missing(&bucket, error)));
    });
    watcher.start(interp, api, config, done)?;
    unfinished.wait(interp, &store.js, pending, watcher, |watcher| {
        watcher.deliver();
        Ok(())
    })
}

fn consumer(call: &Call<'_>) -> Result<Return> {
    Ok(call.data::<Watcher>()?.watching.command(call.interp).into())
}

fn status(call: &Call<'_>) -> Result<Return> {
    Ok(call.data::<Watcher>()?.status().into())
}

const OF_STORES: &[Method] =
    &[Method { name: "watch", usage: "?arg ...?", min: 0, max: ANY, body: watch }];

const METHODS: &[Method] = &[
    Method { name: "consumer", usage: "", min: 0, max: 0, body: consumer },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::object_store", None, None, OF_STORES)?;
    oo::define(interp, "::nats::object_watcher", None, None, METHODS)
}
