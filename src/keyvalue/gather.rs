//! `keys` and `history`: everything a bucket has now, gathered by a consumer of a moment.
//!
//! The list grows in the event loop while entries still arrive, so that a large bucket neither
//! stops timers nor is held twice. The time limit is one of silence, not of the whole transfer.
//!
//! While others write, a key may come again before the end, or its deletion. What was listed for it
//! then is struck out when all is there.

use super::bucket::{Bucket, bucket_gone};
use super::consumer::ordered_config;
use super::entry::Entry;
use super::gather_observer::{GatherEvent, GatherObserver, Pick, Places};
use super::object::KeyValue;
use crate::bridge::{self, Promise, Sender};
use crate::bucket::activity::{Activity, silence};
use crate::connection::log::Level;
use crate::error::{Error, Kind};
use crate::jetstream::api::Api;
use crate::jetstream::context::JetStream;
use crate::jetstream::ordered::consumer::{Done, OrderedConsumer};
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::tcl::{Interp, List, Obj, Result, Return};
use crate::transport::Task;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What is to be gathered.
pub struct Wanted {
    pub patterns: Vec<String>,
    pub policy: DeliverPolicy,
    pub headers_only: bool,
    /// Each key only once, and only if it is there.
    pub keys: bool,
    pub what: &'static str,
}

/// How an entry is shown; nothing for one that does not count. Code of the program may run in it.
pub type Show = Box<dyn Fn(&Entry) -> crate::error::Result<Option<Obj>>>;

/// A consumer that is being made, and what watches the silence of the server.
pub struct Source {
    pub consumer: OrderedConsumer,
    activity: Arc<Activity>,
    timer: Option<Task>,
}

impl Source {
    /// The program has taken so many entries.
    pub fn taken(&self, count: u64) {
        (0..count).for_each(|_| self.activity.taken());
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
    }
}

impl Wanted {
    /// Begins to gather. Whether the consumer could be made is told to `done` on the runtime thread.
    pub fn start(
        self,
        kv: &KeyValue,
        api: Api,
        events: Sender<GatherEvent>,
        pick: Pick,
        done: Done,
    ) -> Result<Source> {
        let heartbeat = Duration::from_secs(5);
        let config = ordered_config(kv, self.patterns, self.policy, self.headers_only, heartbeat)?;
        let activity = Arc::new(Activity::default());
        let timer = kv.js.timeout().map(|limit| {
            let bucket = &kv.bucket.name;
            let text = format!("Timeout while gathering {} in bucket {bucket}", self.what);
            let (weak, events) = (Arc::downgrade(&activity), events.clone());
            api.link.spawn(async move {
                if silence(weak, limit).await {
                    events.send(GatherEvent::End(Err(Error::new(Kind::Timeout, text))));
                }
            })
        });
        let observer = GatherObserver::new(events, kv.bucket.clone(), activity.clone(), pick);
        let consumer = OrderedConsumer::start(api, config, Box::new(observer), done);
        Ok(Source { consumer, activity, timer })
    }
}

pub fn warn(js: &JetStream, what: &str, text: &str) {
    js.connection.logger.log(Level::Warn, &format!("Gathering {what}: {text}"));
}

/// The list as it grows on the Tcl thread.
struct Gathering {
    list: RefCell<List>,
    struck: RefCell<Vec<u32>>,
    done: RefCell<Option<Promise<()>>>,
    source: RefCell<Option<Source>>,
    count: Cell<u32>,
}

impl Gathering {
    fn event(&self, event: GatherEvent, show: &Show) {
        match event {
            GatherEvent::Entry(entry) => {
                match show(&entry) {
                    Ok(Some(item)) => {
                        self.list.borrow_mut().push(&item);
                        self.count.set(self.count.get() + 1);
                    }
                    Ok(None) => {}
                    Err(error) => self.end(Err(error)),
                }
                if let Some(source) = self.source.borrow().as_ref() {
                    source.taken(1);
                    source.consumer.consumed(1);
                }
            }
            GatherEvent::Foreign => {
                if let Some(source) = self.source.borrow().as_ref() {
                    source.consumer.consumed(1);
                }
            }
            GatherEvent::Restart => {
                self.list.replace(List::new());
                self.struck.take();
                self.count.set(0);
            }
            GatherEvent::Warning(_) => {}
            GatherEvent::Struck(places) => *self.struck.borrow_mut() = places,
            GatherEvent::End(outcome) => self.end(outcome),
        }
    }

    fn end(&self, outcome: crate::error::Result<()>) {
        if let Some(promise) = self.done.take() {
            promise.complete(outcome);
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

/// Gathers all there is into a list; `none` is the error if that is nothing.
pub fn gather(
    interp: Interp<'_>,
    kv: &Rc<KeyValue>,
    wanted: Wanted,
    show: Show,
    none: impl FnOnce(&Bucket) -> Error + 'static,
) -> Result<Return> {
    let api = kv.js.api()?;
    let (promise, pending) = bridge::promise(interp);
    let gathering = Rc::new(Gathering {
        list: RefCell::new(List::new()),
        struck: RefCell::default(),
        done: RefCell::new(Some(promise)),
        source: RefCell::new(None),
        count: Cell::new(0),
    });
    let (weak, js, what) = (Rc::downgrade(&gathering), kv.js.clone(), wanted.what);
    let (sender, events) = bridge::channel(interp.handle(), move |event, _| {
        if let GatherEvent::Warning(text) = &event {
            warn(&js, what, text);
        }
        if let Some(gathering) = weak.upgrade() {
            gathering.event(event, &show);
        }
    });
    let pick = if wanted.keys { Pick::Keys(Places::default()) } else { Pick::All };
    let (name, failures) = (kv.bucket.name.clone(), sender.clone());
    let done = Box::new(move |created: crate::error::Result<()>| {
        if let Err(error) = created {
            failures.send(GatherEvent::End(Err(bucket_gone(&name, error))));
        }
    });
    *gathering.source.borrow_mut() = Some(wanted.start(kv, api, sender, pick, done)?);
    events.start();
    let kv = kv.clone();
    kv.js.clone().wait(interp, pending.by_handler(), move |interp, outcome| {
        // Stops the consumer, as the end of the wait does in any other way.
        drop((events, gathering.source.take()));
        outcome?;
        match gathering.finish(interp)? {
            Some(list) => Ok(list.into()),
            None => Err(none(&kv.bucket).into()),
        }
    })
}
