//! `keys` and `history`: everything a bucket has now, gathered by a consumer of a moment.
//!
//! The list grows in the event loop while entries still arrive, so that a large bucket neither
//! stops timers nor is held twice. The time limit is one of silence, not of the whole transfer.

use super::bucket::Bucket;
use super::entry::{Entry, key_not_found};
use super::object::{EntryWords, KeyValue, bucket_gone, value_obj};
use super::watcher::spec;
use crate::bridge::{self, Promise, Sender};
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::State;
use crate::jetstream::ordered::create::Policy;
use crate::jetstream::ordered::driver::{Observer, OrderedConsumer};
use crate::jetstream::stored::StoredMessage;
use crate::lock::lock;
use crate::tcl::{Call, List, Obj, Result, Return};
use crate::transport::Message;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

enum Item {
    Entry(Entry),
    End(crate::error::Result<()>),
}

/// The list as it grows on the Tcl thread.
struct Harvest {
    list: RefCell<List>,
    done: RefCell<Option<Promise<()>>>,
    handle: RefCell<Option<Rc<OrderedConsumer>>>,
    any: Cell<bool>,
}

impl Harvest {
    fn item(&self, item: Item, add: &impl Fn(&mut List, &Entry) -> bool) {
        match item {
            Item::Entry(entry) => {
                if add(&mut self.list.borrow_mut(), &entry) {
                    self.any.set(true);
                }
                if let Some(handle) = self.handle.borrow().as_ref() {
                    handle.consumed(1);
                }
            }
            Item::End(outcome) => {
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

struct Relay {
    feed: Sender<Item>,
    bucket: Arc<Bucket>,
    activity: Arc<Activity>,
    created: bool,
}

impl Relay {
    fn end(&self, outcome: crate::error::Result<()>) {
        self.feed.send(Item::End(outcome));
    }
}

impl Observer for Relay {
    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        now(&self.activity);
        let header = |name: &str| message.header(name);
        if let Some(entry) =
            Entry::from_watch(&self.bucket, message.subject(), meta, header, message.payload())
        {
            self.feed.send(Item::Entry(entry));
        }
    }

    fn stored(&mut self, stored: &StoredMessage) {
        now(&self.activity);
        if let Some(entry) = Entry::from_stored_watch(&self.bucket, stored, true) {
            self.feed.send(Item::Entry(entry));
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

    fn state(&mut self, _state: State) {}
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end(Err(Error::connection_closed()));
    }
}

struct Wanted {
    pattern: String,
    policy: Policy,
    headers_only: bool,
    what: &'static str,
}

fn gather(
    call: &Call<'_>,
    wanted: Wanted,
    add: impl Fn(&mut List, &Entry) -> bool + 'static,
    none: impl FnOnce(&Bucket) -> Error + 'static,
) -> Result<Return> {
    let kv = call.data::<KeyValue>()?;
    let (api, traces) = kv.js.api()?;
    let (promise, answer) = bridge::promise(call.interp);
    let harvest = Rc::new(Harvest {
        list: RefCell::new(List::new()),
        done: RefCell::new(Some(promise)),
        handle: RefCell::new(None),
        any: Cell::new(false),
    });
    let weak = Rc::downgrade(&harvest);
    let (feed, items) = bridge::channel(call.interp.handle(), move |item, _| {
        if let Some(harvest) = weak.upgrade() {
            harvest.item(item, &add);
        }
    });
    let activity = Arc::new(Mutex::new(Instant::now()));
    if let Some(limit) = kv.js.timeout() {
        let bucket = &kv.bucket.name;
        let text = format!("Timeout while gathering {} in bucket {bucket}", wanted.what);
        let (feed, activity) = (feed.clone(), Arc::downgrade(&activity));
        api.link.spawn(async move {
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
            feed.send(Item::End(Err(Error::new(Kind::Timeout, text))));
        });
    }
    let heartbeat = Duration::from_secs(5);
    let spec = spec(&kv, &wanted.pattern, wanted.policy, wanted.headers_only, heartbeat);
    let relay = Relay { feed: feed.clone(), bucket: kv.bucket.clone(), activity, created: false };
    let name = kv.bucket.name.clone();
    let done = Box::new(move |created: crate::error::Result<()>| {
        if let Err(error) = created {
            feed.send(Item::End(Err(bucket_gone(&name, error))));
        }
    });
    let handle = Rc::new(OrderedConsumer::start(api, spec, Box::new(relay), done));
    *harvest.handle.borrow_mut() = Some(handle);
    items.start();
    answer.wait(call.interp, move |_, outcome| {
        // Stops the consumer, as the end of the wait does in any other way.
        drop((items, harvest.handle.take()));
        kv.js.log(&traces);
        match outcome {
            Ok(()) => {}
            Err(error) => return Err(kv.js.connection.ended(error).into()),
        }
        if !harvest.any.get() {
            return Err(none(&kv.bucket).into());
        }
        Ok(harvest.list.replace(List::new()).into())
    })
}

pub fn keys(call: &Call<'_>) -> Result<Return> {
    let wanted = Wanted {
        pattern: ">".into(),
        policy: Policy::LastPerSubject,
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

pub fn history(call: &Call<'_>) -> Result<Return> {
    let kv = call.data::<KeyValue>()?;
    let pattern = call.arg(0)?.string();
    let key = pattern.clone();
    let wanted = Wanted { pattern, policy: Policy::All, headers_only: false, what: "history" };
    let words = EntryWords::new(&kv.bucket.name);
    let js = kv.js.clone();
    let add = move |list: &mut List, entry: &Entry| {
        let value = value_obj(&js, entry);
        list.push(&words.dict(entry, &Obj::new(entry.key()), &value));
        true
    };
    gather(call, wanted, add, move |bucket| key_not_found(&bucket.name, &key))
}
