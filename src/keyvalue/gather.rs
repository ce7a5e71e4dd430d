//! `keys` and `history`: everything a bucket has now, gathered by a consumer of a moment.
//!
//! The list grows in the event loop while entries still arrive, so that a large bucket neither
//! stops timers nor is held twice. The time limit is one of silence, not of the whole transfer.

use super::bucket::{Bucket, bucket_gone};
use super::consumer::ordered_config;
use super::entry::{Entry, key_not_found};
use super::entry_dict::{EntryWords, value_obj};
use super::names::{check_filter, without_match};
use super::object::KeyValue;
use crate::bridge::{self, Promise, Sender};
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::consumer::{Observer, OrderedConsumer};
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::jetstream::stored::StoredMessage;
use crate::lock::lock;
use crate::tcl::{Call, Interp, List, Method, Obj, Result, Return, oo};
use crate::transport::{Message, Task};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

enum GatherEvent {
    Entry(Entry),
    End(crate::error::Result<()>),
}

/// The list as it grows on the Tcl thread.
struct Gathering {
    list: RefCell<List>,
    done: RefCell<Option<Promise<()>>>,
    consumer: RefCell<Option<OrderedConsumer>>,
    any: Cell<bool>,
    /// Watches the silence of the server; not needed once this has gone.
    timer: RefCell<Option<Task>>,
}

impl Drop for Gathering {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
    }
}

impl Gathering {
    fn event(&self, event: GatherEvent, add: &impl Fn(&mut List, &Entry) -> bool) {
        match event {
            GatherEvent::Entry(entry) => {
                if add(&mut self.list.borrow_mut(), &entry) {
                    self.any.set(true);
                }
                if let Some(consumer) = self.consumer.borrow().as_ref() {
                    consumer.consumed(1);
                }
            }
            GatherEvent::End(outcome) => {
                if let Some(promise) = self.done.take() {
                    promise.complete(outcome);
                }
            }
        }
    }
}

/// When something came last. The observer has it, the timer only looks.
type Activity = Mutex<Instant>;

fn now(activity: &Activity) {
    *lock(activity) = Instant::now();
}

struct GatherObserver {
    events: Sender<GatherEvent>,
    bucket: Arc<Bucket>,
    activity: Arc<Activity>,
    created: bool,
}

impl GatherObserver {
    fn end(&self, outcome: crate::error::Result<()>) {
        self.events.send(GatherEvent::End(outcome));
    }
}

impl Observer for GatherObserver {
    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        now(&self.activity);
        if let Some(entry) =
            Entry::from_watch(&self.bucket, message.subject(), meta, message, message.payload())
        {
            self.events.send(GatherEvent::Entry(entry));
        }
    }

    fn stored(&mut self, stored: &StoredMessage) {
        now(&self.activity);
        if let Some(entry) = Entry::from_stored_watch(&self.bucket, stored, true) {
            self.events.send(GatherEvent::Entry(entry));
        }
    }

    fn end_of_data(&mut self) {
        self.end(Ok(()));
    }

    fn roll_call_begins(&mut self) {}

    fn roll_call(&mut self, _present: HashSet<String>) {}

    /// The first creation starts the clock; another one is no progress.
    fn created(&mut self, _info: &Value) {
        if !std::mem::replace(&mut self.created, true) {
            now(&self.activity);
        }
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        // Only the end of the consumer ends the gathering; everything else heals.
        if matches!(kind, Kind::StreamNotFound | Kind::ConnectionClosed) {
            self.end(Err(bucket_gone(&self.bucket.name, Error::new(kind, text))));
        }
    }

    fn state(&mut self, _state: ConsumerState) {}
}

impl Drop for GatherObserver {
    fn drop(&mut self) {
        self.end(Err(Error::connection_closed()));
    }
}

struct Wanted {
    pattern: String,
    policy: DeliverPolicy,
    headers_only: bool,
    what: &'static str,
}

/// Ends a gathering after `limit` without anything.
async fn watch_silence(
    activity: Weak<Activity>,
    limit: Duration,
    events: Sender<GatherEvent>,
    text: String,
) {
    let mut wait = limit;
    loop {
        tokio::time::sleep(wait).await;
        let Some(activity) = activity.upgrade() else { return };
        let last = *lock(&activity);
        match limit.checked_sub(last.elapsed()) {
            Some(rest) if rest > Duration::ZERO => wait = rest,
            _ => break,
        }
    }
    events.send(GatherEvent::End(Err(Error::new(Kind::Timeout, text))));
}

fn gather(
    call: &Call<'_>,
    wanted: Wanted,
    add: impl Fn(&mut List, &Entry) -> bool + 'static,
    none: impl FnOnce(&Bucket) -> Error + 'static,
) -> Result<Return> {
    let kv = call.data::<KeyValue>()?;
    let api = kv.js.api()?;
    let (promise, pending) = bridge::promise(call.interp);
    let gathering = Rc::new(Gathering {
        list: RefCell::new(List::new()),
        done: RefCell::new(Some(promise)),
        consumer: RefCell::new(None),
        any: Cell::new(false),
        timer: RefCell::new(None),
    });
    let weak = Rc::downgrade(&gathering);
    let (sender, events) = bridge::channel(call.interp.handle(), move |event, _| {
        if let Some(gathering) = weak.upgrade() {
            gathering.event(event, &add);
        }
    });
    let activity = Arc::new(Mutex::new(Instant::now()));
    if let Some(limit) = kv.js.timeout() {
        let bucket = &kv.bucket.name;
        let text = format!("Timeout while gathering {} in bucket {bucket}", wanted.what);
        let activity = Arc::downgrade(&activity);
        let timer = api.link.spawn(watch_silence(activity, limit, sender.clone(), text));
        *gathering.timer.borrow_mut() = Some(timer);
    }
    let (policy, heartbeat) = (wanted.policy, Duration::from_secs(5));
    let config = ordered_config(&kv, &wanted.pattern, policy, wanted.headers_only, heartbeat);
    let observer = GatherObserver {
        events: sender.clone(),
        bucket: kv.bucket.clone(),
        activity,
        created: false,
    };
    let name = kv.bucket.name.clone();
    let done = Box::new(move |created: crate::error::Result<()>| {
        if let Err(error) = created {
            sender.send(GatherEvent::End(Err(bucket_gone(&name, error))));
        }
    });
    let consumer = OrderedConsumer::start(api, config, Box::new(observer), done);
    *gathering.consumer.borrow_mut() = Some(consumer);
    events.start();
    kv.js.clone().wait(call.interp, pending, move |_, outcome| {
        // Stops the consumer, as the end of the wait does in any other way.
        drop((events, gathering.consumer.take()));
        outcome?;
        if !gathering.any.get() {
            return Err(none(&kv.bucket).into());
        }
        Ok(gathering.list.replace(List::new()).into())
    })
}

fn keys(call: &Call<'_>) -> Result<Return> {
    let wanted = Wanted {
        pattern: ">".into(),
        policy: DeliverPolicy::LastPerSubject,
        headers_only: true,
        what: "keys",
    };
    let add = |list: &mut List, entry: &Entry| {
        let exists = !entry.operation.deletes();
        if exists {
            list.push(&Obj::new(entry.key()));
        }
        exists
    };
    gather(call, wanted, add, |bucket| {
        Error::new(Kind::KeyNotFound, format!("No keys found in bucket {}", bucket.name))
    })
}

fn history(call: &Call<'_>) -> Result<Return> {
    let kv = call.data::<KeyValue>()?;
    let pattern = call.arg(0)?.string();
    check_filter(&pattern)?;
    let key = pattern.clone();
    let wanted =
        Wanted { pattern, policy: DeliverPolicy::All, headers_only: false, what: "history" };
    let words = EntryWords::new(&kv.bucket.name);
    let js = kv.js.clone();
    let add = move |list: &mut List, entry: &Entry| {
        let value = value_obj(&js, entry);
        list.push(&words.dict(entry, &Obj::new(entry.key()), &value));
        true
    };
    gather(call, wanted, add, move |bucket| {
        // Not before: others may have made such a key.
        without_match(&key).unwrap_or_else(|| key_not_found(&bucket.name, &key))
    })
}

const METHODS: &[Method] = &[
    Method { name: "history", usage: "key", min: 1, max: 1, body: history },
    Method { name: "keys", usage: "", min: 0, max: 0, body: keys },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, METHODS)
}
