//! `keys` and `history`: everything a bucket has now, gathered by a consumer of a moment.
//!
//! The list grows in the event loop while entries still arrive, so that a large bucket neither
//! stops timers nor is held twice. The time limit is one of silence, not of the whole transfer.
//!
//! While others write, a key may come again before the end, or its deletion. What was listed for it
//! then is struck out when all is there.

use super::activity::{Activity, silence};
use super::bucket::{Bucket, bucket_gone};
use super::consumer::ordered_config;
use super::entry::{Entry, key_not_found};
use super::entry_dict::{EntryWords, value_obj};
use super::last::Last;
use super::names::{check_filter, without_match};
use super::object::KeyValue;
use crate::bridge::{self, Promise, Sender};
use crate::connection::log::Level;
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::consumer::{Observer, OrderedConsumer};
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::jetstream::roll::{Mark, mark};
use crate::jetstream::stored::StoredMessage;
use crate::tcl::{Call, Interp, List, Method, Obj, Result, Return, oo};
use crate::transport::{Message, Task};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

enum GatherEvent {
    Entry(Entry),
    /// A message that is no entry of the bucket; it only has to be counted.
    Foreign,
    /// The bucket was made again: what came before is of another one.
    Restart,
    /// For the log.
    Warning(String),
    /// Places in the list that do not count any more.
    Struck(Vec<u32>),
    End(crate::error::Result<()>),
}

/// The list as it grows on the Tcl thread.
struct Gathering {
    list: RefCell<List>,
    struck: RefCell<Vec<u32>>,
    done: RefCell<Option<Promise<()>>>,
    consumer: RefCell<Option<OrderedConsumer>>,
    count: Cell<u32>,
    activity: Arc<Activity>,
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
                    self.count.set(self.count.get() + 1);
                }
                self.activity.taken();
                self.consumed();
            }
            GatherEvent::Foreign => self.consumed(),
            GatherEvent::Restart => {
                self.list.replace(List::new());
                self.struck.take();
                self.count.set(0);
            }
            GatherEvent::Warning(_) => {}
            GatherEvent::Struck(places) => *self.struck.borrow_mut() = places,
            GatherEvent::End(outcome) => {
                if let Some(promise) = self.done.take() {
                    promise.complete(outcome);
                }
            }
        }
    }

    fn consumed(&self) {
        if let Some(consumer) = self.consumer.borrow().as_ref() {
            consumer.consumed(1);
        }
    }

    /// The list, unless it has nothing.
    fn finish(&self, interp: Interp<'_>) -> Result<Option<Obj>> {
        let list: Obj = self.list.replace(List::new()).into();
        let struck = self.struck.take();
        if self.count.get() as usize <= struck.len() {
            return Ok(None);
        }
        if struck.is_empty() {
            return Ok(Some(list));
        }
        let all = (0..).zip(list.elements(interp)?);
        let rest: Vec<Obj> = all
            .filter(|(place, _)| struck.binary_search(place).is_err())
            .map(|(_, item)| item)
            .collect();
        Ok(Some(Obj::list(&rest)))
    }
}

struct GatherObserver {
    events: Sender<GatherEvent>,
    bucket: Arc<Bucket>,
    activity: Arc<Activity>,
    created: bool,
    over: bool,
    last: Last,
    /// If each key shall be in the list only once.
    places: Option<Places>,
}

/// What came for each key, and its place in the list. It is looked at only in the end: a table of the
/// keys would cost more than all the rest, and is needed only if somebody wrote meanwhile.
#[derive(Default)]
struct Places {
    /// In the order of arrival. A deletion has no place.
    came: Vec<(Mark, Option<u32>)>,
    count: u32,
}

impl Places {
    fn came(&mut self, entry: &Entry) {
        let place = (!entry.operation.deletes()).then_some(self.count);
        self.count += u32::from(place.is_some());
        self.came.push((mark(entry.key()), place));
    }

    /// The places, in order, of what was followed by something else for the same key.
    fn struck(mut self) -> Vec<u32> {
        self.came.sort_by_key(|(mark, _)| *mark);
        let followed = |two: &&[(Mark, Option<u32>)]| two[0].0 == two[1].0;
        let mut struck: Vec<u32> =
            self.came.windows(2).filter(followed).filter_map(|two| two[0].1).collect();
        struck.sort_unstable();
        struck
    }
}

impl GatherObserver {
    fn end(&self, outcome: crate::error::Result<()>) {
        self.events.send(GatherEvent::End(outcome));
    }

    fn next(&mut self, entry: Option<Entry>) {
        // What comes until the consumer is stopped belongs to no list.
        if self.over {
            return;
        }
        match entry.map(|entry| self.last.next(entry)) {
            Some(Some(entry)) => self.send(entry),
            // The first one, kept back.
            Some(None) => self.activity.now(),
            None => {
                self.activity.now();
                self.events.send(GatherEvent::Foreign);
            }
        }
    }

    fn send(&mut self, entry: Entry) {
        if let Some(places) = &mut self.places {
            places.came(&entry);
        }
        self.activity.sent();
        self.events.send(GatherEvent::Entry(entry));
    }
}

impl Observer for GatherObserver {
    fn heard(&mut self) {
        self.activity.now();
    }

    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        let entry =
            Entry::from_watch(&self.bucket, message.subject(), meta, message, message.payload());
        self.next(entry);
    }

    fn stored(&mut self, stored: &StoredMessage) {
        self.next(Entry::from_stored_watch(&self.bucket, stored, true));
    }

    fn end_of_data(&mut self) {
        if let Some(entry) = self.last.end() {
            self.send(entry);
        }
        self.over = true;
        if let Some(places) = self.places.take() {
            self.events.send(GatherEvent::Struck(places.struck()));
        }
        self.end(Ok(()));
    }

    /// The first creation starts the clock; another one is no progress.
    fn created(&mut self, _info: &Value) {
        if !std::mem::replace(&mut self.created, true) {
            self.activity.now();
        }
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        // Only the end of the consumer ends the gathering; everything else heals, but for what the
        // user is not allowed to do.
        if kind == Kind::Permissions {
            self.events.send(GatherEvent::Warning(text));
        } else if matches!(kind, Kind::StreamNotFound | Kind::ConnectionClosed) {
            self.end(Err(bucket_gone(&self.bucket.name, Error::new(kind, text))));
        }
    }

    fn state(&mut self, state: ConsumerState) {
        if state != ConsumerState::Recreated || self.over {
            return;
        }
        if self.last.forget() {
            self.events.send(GatherEvent::Foreign);
        }
        if let Some(places) = &mut self.places {
            *places = Places::default();
        }
        self.events.send(GatherEvent::Restart);
    }
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
    /// Each key only once, and only if it is there in the end.
    once: bool,
    what: &'static str,
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
    let activity = Arc::new(Activity::default());
    let gathering = Rc::new(Gathering {
        list: RefCell::new(List::new()),
        struck: RefCell::default(),
        done: RefCell::new(Some(promise)),
        consumer: RefCell::new(None),
        count: Cell::new(0),
        activity: activity.clone(),
        timer: RefCell::new(None),
    });
    let (weak, js) = (Rc::downgrade(&gathering), kv.js.clone());
    let what = wanted.what;
    let (sender, events) = bridge::channel(call.interp.handle(), move |event, _| {
        if let GatherEvent::Warning(text) = &event {
            js.connection.logger.log(Level::Warn, &format!("Gathering {what}: {text}"));
        }
        if let Some(gathering) = weak.upgrade() {
            gathering.event(event, &add);
        }
    });
    if let Some(limit) = kv.js.timeout() {
        let bucket = &kv.bucket.name;
        let text = format!("Timeout while gathering {} in bucket {bucket}", wanted.what);
        let (weak, events) = (Arc::downgrade(&activity), sender.clone());
        let timer = api.link.spawn(async move {
            if silence(weak, limit).await {
                events.send(GatherEvent::End(Err(Error::new(Kind::Timeout, text))));
            }
        });
        *gathering.timer.borrow_mut() = Some(timer);
    }
    let (policy, heartbeat) = (wanted.policy, Duration::from_secs(5));
    let config = ordered_config(&kv, &wanted.pattern, policy, wanted.headers_only, heartbeat);
    let observer = GatherObserver {
        events: sender.clone(),
        bucket: kv.bucket.clone(),
        activity,
        created: false,
        over: false,
        last: Last::default(),
        places: wanted.once.then(Places::default),
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
    kv.js.clone().wait(call.interp, pending, move |interp, outcome| {
        // Stops the consumer, as the end of the wait does in any other way.
        drop((events, gathering.consumer.take()));
        outcome?;
        match gathering.finish(interp)? {
            Some(list) => Ok(list.into()),
            None => Err(none(&kv.bucket).into()),
        }
    })
}

fn keys(call: &Call<'_>) -> Result<Return> {
    let wanted = Wanted {
        pattern: ">".into(),
        policy: DeliverPolicy::LastPerSubject,
        headers_only: true,
        once: true,
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
    let wanted = Wanted {
        pattern,
        policy: DeliverPolicy::All,
        headers_only: false,
        once: false,
        what: "history",
    };
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
