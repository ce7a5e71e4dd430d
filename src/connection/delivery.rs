//! The way of messages and replies to the callbacks of a connection.
//!
//! One feed for all of them keeps the order of arrival. It outlives the connection object: what
//! had arrived before a `disconnect` or `destroy` is still delivered after it.

use super::backlog::{Backlog, Counts};
use super::message::Words;
use super::request::{Outcome, Requests};
use crate::bridge::{self, Rest, Sender};
use crate::tcl::{Interp, InterpHandle, Obj};
use crate::transport::{Message, PackedMessage, Sink, SubId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the messages of one batch may take to be put into its list.
const BATCH_TIME: Duration = Duration::from_millis(1);
/// How many messages are put into a list between two looks at the clock.
const BATCH_STEP: usize = 64;

/// What the feed carries.
pub enum Item {
    /// A run of turns of this subscription, one behind the other.
    Turn(Arc<Backlog>),
    /// A subscription has got its last message.
    Ended(i64),
    /// Something became of an asynchronous request.
    Reply(i64, Outcome),
    /// To be run when everything before it has been delivered.
    Call(Box<dyn FnOnce() + Send>),
}

/// A subscription as the Tcl side knows it.
pub struct Subscriber {
    pub id: i64,
    pub subject: String,
    pub queue: Option<String>,
    pub backlog: Arc<Backlog>,
    pub link_id: Cell<Option<SubId>>,
    pub callback: Vec<Obj>,
    pub dictmsg: bool,
    pub batch: bool,
    /// Runs before what waits for the event loop returns.
    pub direct: bool,
    /// No more than so many callbacks.
    pub limit: Cell<Option<u64>>,
    pub delivered: Cell<u64>,
    /// Known to `unsubscribe`.
    pub active: Cell<bool>,
    pub ended: Cell<bool>,
    pub id_word: Obj,
    /// The subject of the last message, most likely that of the next one.
    pub subject_word: RefCell<Obj>,
    /// The words of the callback, kept from one call to the next; empty while a call runs.
    pub words: Cell<Vec<Obj>>,
}

impl Subscriber {
    fn subject_of(&self, message: &PackedMessage) -> Obj {
        let mut last = self.subject_word.borrow_mut();
        if last.tcl_bytes() != message.subject() {
            *last = Obj::from_encoded(message.subject());
        }
        last.clone()
    }

    fn call<const N: usize>(&self, interp: Interp<'_>, arguments: [Obj; N]) {
        let mut words = self.words.take();
        if words.is_empty() {
            words.clone_from(&self.callback);
        }
        words.extend(arguments);
        interp.call_back(&words);
        words.truncate(self.callback.len());
        self.words.set(words);
    }

    pub fn counts(&self) -> Counts {
        self.backlog.counts()
    }
}

/// Subscriptions and requests of one connection, and what is on its way to them.
pub struct Delivery {
    interp_handle: InterpHandle,
    pub words: Words,
    utf8: Cell<bool>,
    subscribers: RefCell<HashMap<i64, Rc<Subscriber>>>,
    /// How many of them are direct.
    direct: Cell<usize>,
    pub requests: Requests,
    /// Messages that subscriptions and requests dropped that are over.
    dropped: Cell<u64>,
}

impl Delivery {
    /// Delivers while the subscription exists.
    pub fn start(
        interp_handle: InterpHandle,
    ) -> (Rc<Delivery>, Sender<Item>, bridge::Receiver<Item>) {
        let this = Rc::new(Delivery {
            interp_handle: interp_handle.clone(),
            words: Words::new(),
            utf8: Cell::new(false),
            subscribers: RefCell::default(),
            direct: Cell::new(0),
            requests: Requests::default(),
            dropped: Cell::new(0),
        });
        let handler = this.clone();
        let (feed, items) =
            bridge::channel(interp_handle, move |item, rest| handler.item(item, rest));
        items.start();
        (this, feed, items)
    }

    pub fn utf8(&self) -> bool {
        self.utf8.get()
    }

    pub fn set_utf8(&self, on: bool) {
        self.utf8.set(on);
    }

    pub fn add(&self, subscriber: Rc<Subscriber>) {
        self.direct.set(self.direct.get() + usize::from(subscriber.direct));
        self.subscribers.borrow_mut().insert(subscriber.id, subscriber);
    }

    pub fn remove(&self, id: i64) {
        let gone = self.subscribers.borrow_mut().remove(&id);
        let Some(gone) = gone else { return };
        self.direct.set(self.direct.get().saturating_sub(usize::from(gone.direct)));
        self.add_dropped(gone.counts().dropped);
    }

    /// The subscription of this number, unless it is over.
    pub fn active(&self, id: i64) -> Option<Rc<Subscriber>> {
        self.subscribers.borrow().get(&id).filter(|subscriber| subscriber.active.get()).cloned()
    }

    /// Those that messages may still be on the way to, in the order in which they were made.
    pub fn all(&self) -> Vec<Rc<Subscriber>> {
        let mut all: Vec<_> = self.subscribers.borrow().values().cloned().collect();
        all.sort_unstable_by_key(|subscriber| subscriber.id);
        all
    }

    pub fn all_active(&self) -> Vec<Rc<Subscriber>> {
        self.all().into_iter().filter(|subscriber| subscriber.active.get()).collect()
    }

    /// What subscriptions and requests have dropped that are over.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    pub fn add_dropped(&self, count: u64) {
        self.dropped.set(self.dropped.get() + count);
    }

    /// Whether somebody wants messages before a waiting command returns.
    pub fn has_direct(&self) -> bool {
        self.direct.get() > 0
    }

    /// The connection is closed: nobody is subscribed any more. What has arrived is delivered.
    pub fn closed(&self) {
        for subscriber in self.subscribers.borrow().values() {
            subscriber.active.set(false);
        }
        self.requests.closed();
    }

    fn item(&self, item: Item, rest: &Rest<'_, Item>) {
        match item {
            Item::Turn(backlog) => self.turn(backlog, rest),
            Item::Ended(id) => self.ended(id),
            Item::Reply(id, outcome) => {
                if let Some(interp) = self.interp_handle.enter() {
                    self.requests.reply(*interp, self, id, outcome);
                }
            }
            Item::Call(run) => run(),
        }
    }

    fn turn(&self, backlog: Arc<Backlog>, rest: &Rest<'_, Item>) {
        let subscriber = self.subscribers.borrow().get(&backlog.id).cloned();
        let (Some(subscriber), Some(interp)) = (subscriber, self.interp_handle.enter()) else {
            return;
        };
        if subscriber.batch {
            self.batch(*interp, &subscriber, rest);
        } else {
            let (message, more) = backlog.take();
            if more {
                rest.put_back(Item::Turn(backlog));
            }
            if let Some(message) = message {
                self.message(*interp, &subscriber, &message);
            }
        }
        if subscriber.ended.get() && subscriber.backlog.is_empty() {
            self.remove(subscriber.id);
        }
    }

    /// Counts a message; false if there may be no more.
    fn count(&self, subscriber: &Subscriber) -> bool {
        let delivered = subscriber.delivered.get() + 1;
        match subscriber.limit.get() {
            Some(limit) if delivered > limit => return false,
            Some(limit) if delivered == limit => {
                subscriber.active.set(false);
                subscriber.delivered.set(delivered);
            }
            _ => subscriber.delivered.set(delivered),
        }
        true
    }

    fn message(&self, interp: Interp<'_>, subscriber: &Subscriber, message: &PackedMessage) {
        if !self.count(subscriber) {
            return subscriber.backlog.end();
        }
        let subject = subscriber.subject_of(message);
        let utf8 = self.utf8.get();
        let body = match subscriber.dictmsg {
            true => self.words.dict(message, &subject, &subscriber.id_word, utf8),
            false => self.words.payload(message, utf8),
        };
        subscriber.call(interp, [subject, body, self.words.reply(message)]);
    }

    /// Takes all that waits, also what has its turns later, and at least what these turns are for.
    fn batch(&self, interp: Interp<'_>, subscriber: &Subscriber, rest: &Rest<'_, Item>) {
        let list = Obj::list(&[]);
        let mut turns = subscriber.backlog.begin_batch();
        let until = Instant::now() + BATCH_TIME;
        let mut count = 0_usize;
        while let Some(message) = subscriber.backlog.take_more(&mut turns) {
            if !self.count(subscriber) {
                subscriber.backlog.end();
                break;
            }
            let subject = subscriber.subject_of(&message);
            let utf8 = self.utf8.get();
            list.push(&self.words.dict(&message, &subject, &subscriber.id_word, utf8));
            count += 1;
            if count.is_multiple_of(BATCH_STEP) && Instant::now() >= until {
                break;
            }
        }
        // Before the callback: it may wait in the event loop for what comes next.
        if subscriber.backlog.end_batch(turns) {
            rest.put_back(Item::Turn(subscriber.backlog.clone()));
        }
        if count > 0 {
            subscriber.call(interp, [list]);
        }
    }

    fn ended(&self, id: i64) {
        let Some(subscriber) = self.subscribers.borrow().get(&id).cloned() else { return };
        subscriber.active.set(false);
        subscriber.ended.set(true);
        if subscriber.backlog.is_empty() {
            self.remove(id);
        }
    }
}

/// Where the runtime thread puts the messages of a subscription.
pub struct Inlet {
    pub backlog: Arc<Backlog>,
    pub feed: Sender<Item>,
    /// Tells that a limit was reached.
    pub slow: Box<dyn Fn() + Send>,
}

impl Sink for Inlet {
    fn message(&mut self, message: Message) {
        let size = message.size();
        let arrived = self.backlog.arrive(size, self.feed.sent(), || PackedMessage::new(message));
        if arrived.token {
            let sent = self.feed.send_counted(Item::Turn(self.backlog.clone()));
            self.backlog.token_sent(sent);
        }
        if arrived.slow {
            (self.slow)();
        }
    }

    fn ended(&mut self) {
        self.feed.send(Item::Ended(self.backlog.id));
    }
}
