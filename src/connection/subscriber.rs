//! The subscriptions of a connection on the Tcl side, and the way of messages to their callbacks.

use super::arrival::Arrival;
use super::backlog::{Backlog, Counts};
use crate::bridge::{LanePlace, Rest};
use crate::message::{Batch, MessageFormat};
use crate::tcl::{Interp, List, Obj, Prefix};
use crate::transport::{PackedMessage, SubId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

pub struct Subscriber {
    pub id: i64,
    pub subject: String,
    pub queue: Option<String>,
    pub backlog: Arc<Backlog>,
    pub link_id: Cell<Option<SubId>>,
    pub callback: Prefix,
    pub dictmsg: bool,
    pub batch: bool,
    /// `-post false`: runs before what waits for the event loop returns.
    pub direct: bool,
    /// `-max_msgs`: no more than so many callbacks.
    pub limit: Cell<Option<u64>>,
    pub delivered: Cell<u64>,
    /// Known to `unsubscribe`.
    pub active: Cell<bool>,
    pub ended: Cell<bool>,
    pub id_word: Obj,
    /// The subject of the last message, most likely that of the next one.
    pub subject_word: RefCell<Obj>,
    pub lane: LanePlace<Arrival>,
    /// What is done with a message, if not what the program does with its own subscriptions.
    pub handler: Option<Handler>,
}

/// Makes what a callback gets of a message.
pub type Shape = Box<dyn Fn(&PackedMessage) -> Option<Obj>>;

/// Takes a message in the place of the callback, which it may call.
pub type Handler = Box<dyn Fn(Interp<'_>, &Subscriber, &PackedMessage)>;

impl Subscriber {
    pub fn subject_of(&self, message: &PackedMessage) -> Obj {
        let mut last = self.subject_word.borrow_mut();
        if last.tcl_bytes() != message.subject() {
            *last = Obj::from_encoded(message.subject());
        }
        last.clone()
    }

    pub fn counts(&self) -> Counts {
        self.backlog.counts()
    }

    /// Counts a message; false if there may be no more.
    fn count(&self) -> bool {
        let delivered = self.delivered.get() + 1;
        match self.limit.get() {
            Some(limit) if delivered > limit => return false,
            Some(limit) if delivered == limit => {
                self.active.set(false);
                self.delivered.set(delivered);
            }
            _ => self.delivered.set(delivered),
        }
        true
    }

    fn deliver_one(&self, interp: Interp<'_>, format: &MessageFormat, message: &PackedMessage) {
        if !self.count() {
            return self.backlog.end();
        }
        if let Some(handler) = &self.handler {
            return handler(interp, self, message);
        }
        let subject = self.subject_of(message);
        let body = match self.dictmsg {
            true => format.dict(message, &subject, &self.id_word),
            false => format.payload(message),
        };
        self.callback.call(interp, [subject, body, format.reply(message)]);
    }

    /// Takes all that waits, also what has its turns later, and at least what these turns are for.
    fn deliver_batch(&self, interp: Interp<'_>, format: &MessageFormat, rest: &Rest<'_, Arrival>) {
        let mut list = List::new();
        let mut turns = self.backlog.begin_batch();
        let mut batch = Batch::begin();
        while let Some(message) = self.backlog.take_more(&mut turns) {
            if !self.count() {
                self.backlog.end();
                break;
            }
            let subject = self.subject_of(&message);
            list.push(&format.dict(&message, &subject, &self.id_word));
            if !batch.add() {
                break;
            }
        }
        // Before the callback: it may wait in the event loop for what comes next.
        if self.backlog.end_batch(turns) {
            rest.put_back(Arrival::Messages(self.backlog.clone()));
        }
        if batch.count() > 0 {
            self.callback.call(interp, [list.into()]);
        }
    }
}

/// The subscriptions by their numbers.
#[derive(Default)]
pub struct Subscribers {
    all: RefCell<HashMap<i64, Rc<Subscriber>>>,
    /// How many of them are direct.
    direct: Cell<usize>,
    last_id: Cell<i64>,
    /// The number that the inbox of single requests counts as, since the last `connect`.
    inbox: Cell<Option<i64>>,
    /// Messages that were dropped for subscriptions that are over.
    dropped: Cell<u64>,
}

impl Subscribers {
    pub fn next_id(&self) -> i64 {
        self.last_id.set(self.last_id.get() + 1);
        self.last_id.get()
    }

    /// The number of the subscription that replies to single requests come by.
    pub fn inbox_id(&self) -> i64 {
        let id = self.inbox.get().unwrap_or_else(|| self.next_id());
        self.inbox.set(Some(id));
        id
    }

    pub fn add(&self, subscriber: Rc<Subscriber>) {
        self.direct.set(self.direct.get() + usize::from(subscriber.direct));
        self.all.borrow_mut().insert(subscriber.id, subscriber);
    }

    pub fn remove(&self, id: i64) {
        let gone = self.all.borrow_mut().remove(&id);
        let Some(gone) = gone else { return };
        self.direct.set(self.direct.get().saturating_sub(usize::from(gone.direct)));
        self.dropped.set(self.dropped.get() + gone.counts().dropped);
    }

    /// The subscription of this number, unless it is over.
    pub fn active(&self, id: i64) -> Option<Rc<Subscriber>> {
        self.all.borrow().get(&id).filter(|subscriber| subscriber.active.get()).cloned()
    }

    /// Those that messages may still be on the way to, in the order in which they were made.
    pub fn all(&self) -> Vec<Rc<Subscriber>> {
        let mut all: Vec<_> = self.all.borrow().values().cloned().collect();
        all.sort_unstable_by_key(|subscriber| subscriber.id);
        all
    }

    pub fn all_active(&self) -> Vec<Rc<Subscriber>> {
        self.all().into_iter().filter(|subscriber| subscriber.active.get()).collect()
    }

    /// What was dropped for subscriptions that are over.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Whether somebody wants messages before a waiting command returns.
    pub fn has_direct(&self) -> bool {
        self.direct.get() > 0
    }

    /// The connection is closed: nobody is subscribed any more. What has arrived is delivered.
    pub fn closed(&self) {
        for subscriber in self.all.borrow().values() {
            subscriber.active.set(false);
        }
        self.inbox.set(None);
    }

    /// Delivers what has its turn: one message or a batch.
    pub fn deliver(
        &self,
        interp: Interp<'_>,
        format: &MessageFormat,
        backlog: Arc<Backlog>,
        rest: &Rest<'_, Arrival>,
    ) {
        let subscriber = self.all.borrow().get(&backlog.id).cloned();
        let Some(subscriber) = subscriber else { return };
        let (lane, callback) = (&subscriber.lane, subscriber.callback.words());
        let arrival = Arrival::Messages(backlog);
        let Some(Arrival::Messages(backlog)) = rest.admit(interp, lane, callback, arrival) else {
            return;
        };
        if subscriber.batch {
            subscriber.deliver_batch(interp, format, rest);
        } else {
            let (message, more) = backlog.take();
            if more {
                rest.put_back(Arrival::Messages(backlog));
            }
            if let Some(message) = message {
                subscriber.deliver_one(interp, format, &message);
            }
        }
        rest.delivered(lane);
        if subscriber.ended.get() && subscriber.backlog.is_empty() {
            self.remove(subscriber.id);
        }
    }

    /// Nothing more comes for this one.
    pub fn ended(&self, id: i64) {
        let Some(subscriber) = self.all.borrow().get(&id).cloned() else { return };
        subscriber.active.set(false);
        subscriber.ended.set(true);
        if subscriber.backlog.is_empty() {
            self.remove(id);
        }
    }
}
