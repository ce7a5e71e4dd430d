//! `nats::kv_watcher`: entries of a bucket delivered to a callback, to an array, or to both.

use super::bucket::Bucket;
use super::entry::Entry;
use super::known::Known;
use super::object::{EntryWords, KeyValue, bucket_gone, value_obj};
use crate::bridge::{self, Receiver, Sender};
use crate::error::{Error, Kind};
use crate::jetstream::context::JetStream;
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::create::{ConsumerConfig, Policy};
use crate::jetstream::ordered::driver::{Observer, OrderedConsumer};
use crate::jetstream::ordered::object::ConsumerObject;
use crate::jetstream::ordered::{Resume, Spec, State};
use crate::jetstream::stored::StoredMessage;
use crate::options::{self, Type};
use crate::tcl::{
    Call, Interp, InterpHandle, Method, Native, Obj, ObjectHandle, Result, Return, oo,
};
use crate::transport::Message;
use serde_json::Value;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The variable in the watcher's namespace that stands for the user's array.
const ARRAY: &str = "ValuesArray";

enum Item {
    Entry(Entry),
    /// A message that is no entry of the bucket; it only has to be counted.
    Foreign,
    EndOfData,
    RollCallBegins,
    /// The keys that are there.
    RollCall(HashSet<String>),
    LastError(Kind, String),
}

pub struct Watcher {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    js: Rc<JetStream>,
    bucket: Arc<Bucket>,
    words: EntryWords,
    callback: Option<Vec<Obj>>,
    /// The callback's words, kept from one call to the next; empty while a call runs.
    call_words: Cell<Vec<Obj>>,
    array: Option<Obj>,
    ignore_deletes: bool,
    /// Nothing to remember for a watch that is not interested in deletions.
    known: Option<RefCell<Known>>,
    running: OnceCell<Running>,
}

struct Running {
    handle: Rc<OrderedConsumer>,
    consumer: ConsumerObject,
    _items: Receiver<Item>,
}

impl Watcher {
    fn item(&self, item: Item) {
        // Destroyed in a callback further up the stack: nothing more comes.
        if !self.handle.is_alive() {
            return;
        }
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        match item {
            Item::Entry(entry) => {
                self.entry(interp, &entry);
                self.consumed();
            }
            Item::Foreign => self.consumed(),
            Item::EndOfData => self.call_back(interp, Obj::empty()),
            Item::RollCallBegins => {
                if let Some(known) = &self.known {
                    known.borrow_mut().roll_call_begins();
                }
            }
            Item::RollCall(present) => self.roll_call(interp, &present),
            Item::LastError(kind, text) => {
                if let Some(running) = self.running.get() {
                    running.consumer.last_error(kind, text);
                }
            }
        }
    }

    fn consumed(&self) {
        if let Some(running) = self.running.get() {
            running.handle.consumed(1);
        }
    }

    fn entry(&self, interp: Interp<'_>, entry: &Entry) {
        let deletes = entry.operation.deletes();
        if deletes && self.ignore_deletes {
            return;
        }
        if let Some(known) = &self.known {
            let mut known = known.borrow_mut();
            match deletes {
                true => known.delete(entry.key()),
                false => known.put(entry.key()),
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
    fn roll_call(&self, interp: Interp<'_>, present: &HashSet<String>) {
        let Some(known) = &self.known else { return };
        // Traces may run here, and anything in them.
        let names = self.array.as_ref().map_or_else(Vec::new, |array| interp.array_names(array));
        let gone = known.borrow_mut().vanished(|key| present.contains(key), names);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for key in gone {
            if !self.handle.is_alive() {
                return;
            }
            self.entry(interp, &Entry::vanished(&key, now.as_millis() as i64));
        }
    }

    fn call_back(&self, interp: Interp<'_>, argument: Obj) {
        let Some(callback) = &self.callback else { return };
        let mut words = self.call_words.take();
        if words.is_empty() {
            words.clone_from(callback);
        }
        words.push(argument);
        interp.call_back(&mut words);
        words.pop();
        self.call_words.set(words);
    }
}

impl Native for Watcher {
    fn gone(&self) {
        self.js.release(&self.handle);
        if let Some(running) = self.running.get() {
            running.handle.stop();
            if let Some(guard) = self.interp_handle.enter() {
                running.consumer.destroy(guard.interp());
            }
        }
    }
}

/// What the consumer reports, on the runtime thread.
struct Relay {
    feed: Sender<Item>,
    bucket: Arc<Bucket>,
    meta_only: bool,
}

impl Observer for Relay {
    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        let header = |name: &str| message.header(name);
        let entry =
            Entry::from_watch(&self.bucket, message.subject(), meta, header, message.payload());
        self.feed.send(entry.map_or(Item::Foreign, Item::Entry));
    }

    fn stored(&mut self, stored: &StoredMessage) {
        let entry = Entry::from_stored_watch(&self.bucket, stored, !self.meta_only);
        self.feed.send(entry.map_or(Item::Foreign, Item::Entry));
    }

    fn end_of_data(&mut self) {
        self.feed.send(Item::EndOfData);
    }

    fn roll_call_begins(&mut self) {
        self.feed.send(Item::RollCallBegins);
    }

    fn roll_call(&mut self, present: HashSet<String>) {
        let keys = present.iter().filter_map(|subject| self.bucket.key_of(subject));
        self.feed.send(Item::RollCall(keys.map(str::to_owned).collect()));
    }

    fn created(&mut self, _info: &Value) {}

    fn last_error(&mut self, kind: Kind, text: String) {
        self.feed.send(Item::LastError(kind, text));
    }

    fn state(&mut self, _state: State) {}
}

/// A watcher whose creation is not complete: it goes if nobody finishes it.
struct Unfinished(Weak<Watcher>);

impl Unfinished {
    /// The creation is complete: the watcher stays.
    fn finish(&mut self) {
        self.0 = Weak::new();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(watcher) = self.0.upgrade()
            && let Some(guard) = watcher.interp_handle.enter()
        {
            watcher.handle.destroy(guard.interp());
        }
    }
}

/// The ordered consumer of a watch, of `keys` or of `history`.
pub fn spec(
    kv: &KeyValue,
    pattern: &str,
    policy: Policy,
    headers_only: bool,
    idle_heartbeat: Duration,
) -> Spec {
    let action = kv.js.serves((2, 10, 0));
    Spec {
        config: ConsumerConfig {
            stream: kv.bucket.stream.clone(),
            filters: vec![kv.bucket.read_subject(pattern)],
            description: Some("KV watcher".into()),
            headers_only: Some(headers_only),
            idle_heartbeat,
            name_prefix: None,
            action,
        },
        policy,
        resume: Resume::SnapshotThenSequence,
        roll_call: false,
        stream_created: Some(kv.bucket.created.clone()).filter(|time| !time.is_empty()),
    }
}

pub fn watch(call: &Call<'_>) -> Result<Return> {
    let interp = call.interp;
    let kv = call.data::<KeyValue>()?;
    let pattern = call.arg(0)?.string();
    const OPTIONS: &[options::Spec] = &[
        ("callback", Type::Str),
        ("values_array", Type::Str),
        ("include_history", Type::Bool),
        ("meta_only", Type::Bool),
        ("ignore_deletes", Type::Bool),
        ("updates_only", Type::Bool),
        ("idle_heartbeat", Type::Ms),
    ];
    let given = options::parse(interp, OPTIONS, &call.args()[1..])?;
    let policy = match (given.flag("include_history"), given.flag("updates_only")) {
        (true, true) => {
            return Err(Error::invalid("-include_history conflicts with -updates_only").into());
        }
        (true, false) => Policy::All,
        (false, true) => Policy::New,
        (false, false) => Policy::LastPerSubject,
    };
    let heartbeat = match given.get("idle_heartbeat").and_then(options::milliseconds) {
        Some(ns) => Duration::from_nanos(ns.max(0) as u64),
        None => Duration::from_secs(5),
    };
    let callback = given.non_empty("callback").map(|prefix| prefix.elements(interp)).transpose()?;
    let (api, traces) = kv.js.api()?;

    let watcher = oo::instantiate(interp, "::nats::kv_watcher", |handle| {
        let array = given
            .non_empty("values_array")
            .map(|_| Obj::new(&format!("{}::{ARRAY}", handle.namespace())));
        Rc::new(Watcher {
            interp_handle: interp.handle(),
            handle,
            js: kv.js.clone(),
            bucket: kv.bucket.clone(),
            words: EntryWords::new(&kv.bucket.name),
            callback,
            call_words: Cell::default(),
            known: (!given.flag("ignore_deletes"))
                .then(|| RefCell::new(Known::new(array.is_some()))),
            array,
            ignore_deletes: given.flag("ignore_deletes"),
            running: OnceCell::new(),
        })
    })?;
    kv.js.adopt(interp, &watcher.handle)?;
    let mut unfinished = Unfinished(Rc::downgrade(&watcher));
    if let (Some(name), Some(array)) = (given.non_empty("values_array"), &watcher.array) {
        link_array(interp, name, array)?;
    }

    let weak = Rc::downgrade(&watcher);
    let (feed, items) = bridge::channel(interp.handle(), move |item, _| {
        if let Some(watcher) = weak.upgrade() {
            watcher.item(item);
        }
    });
    let (promise, answer) = bridge::promise(interp);
    let meta_only = given.flag("meta_only");
    let relay = Relay { feed, bucket: kv.bucket.clone(), meta_only };
    let mut spec = spec(&kv, &pattern, policy, meta_only, heartbeat);
    spec.roll_call = watcher.known.is_some();
    let done = Box::new(move |created| promise.complete(created));
    let handle = Rc::new(OrderedConsumer::start(api, spec, Box::new(relay), done));
    let consumer = ConsumerObject::create(interp, &kv.js, handle.clone())?;
    let running = Running { handle, consumer, _items: items };
    let delivers = watcher.callback.is_some() || watcher.array.is_some();
    if watcher.running.set(running).is_err() {
        return Err(Error::new(Kind::Internal, "a watcher was started twice").into());
    }
    drop(watcher);

    let connection = kv.js.connection.clone();
    answer.wait(interp, move |interp, created| {
        let watcher = unfinished.0.upgrade();
        let Some(watcher) = watcher else {
            // Together with its connection, or alone.
            created.map_err(|error| connection.ended(error))?;
            return Err(Error::invalid("The watcher was destroyed").into());
        };
        watcher.js.log(&traces);
        created.map_err(|error| connection.ended(bucket_gone(&watcher.bucket.name, error)))?;
        if !delivers {
            return Err(Error::invalid("-callback or -values_array is required").into());
        }
        if let Some(running) = watcher.running.get() {
            running._items.start();
        }
        unfinished.finish();
        Ok(watcher.handle.command(interp).into())
    })
}

/// Makes `array` another name of the variable that `name` is for the caller.
fn link_array(interp: Interp<'_>, name: &Obj, array: &Obj) -> Result<()> {
    interp.link_var(name, &array.text())?;
    if interp.get_var(array, None).is_some() {
        let text = format!("-values_array {} is a variable but not an array", name.text());
        return Err(Error::invalid(text).into());
    }
    Ok(())
}

fn consumer(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Watcher>()?;
    Ok(this.running.get().map_or_else(Obj::empty, |r| r.consumer.command(call.interp)).into())
}

const METHODS: &[Method] =
    &[Method { name: "consumer", usage: "", min: 0, max: 0, body: consumer }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::kv_watcher", None, None, METHODS)
}
