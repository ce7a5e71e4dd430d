//! Messages of a consumer on their way to the callback of the program: one by one, or in lists.

use super::stored::StoredMessage;
use crate::bridge::{LanePlace, Rest};
use crate::connection::Connection;
use crate::message::Batch;
use crate::tcl::{Interp, List, Obj, Prefix};
use crate::transport::PackedMessage;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// A message that was read as JSON, and the subject that it would have been acknowledged by.
pub struct StoredDelivery {
    pub message: StoredMessage,
    pub reply: String,
}

impl StoredDelivery {
    pub fn size(&self) -> usize {
        self.message.size() + self.reply.len()
    }
}

/// A message, however it was read.
pub enum Delivered {
    Message(PackedMessage),
    Stored(Box<StoredDelivery>),
}

impl Delivered {
    /// The subject that it is acknowledged by.
    pub fn reply(&self) -> Option<&str> {
        match self {
            Delivered::Message(message) => std::str::from_utf8(message.reply()?).ok(),
            Delivered::Stored(stored) => Some(&stored.reply),
        }
    }

    /// Bytes of subject, reply, header and payload.
    pub fn size(&self) -> usize {
        match self {
            Delivered::Message(message) => message.len(),
            Delivered::Stored(stored) => stored.size(),
        }
    }
}

/// How the messages of one consumer are shown to the program.
pub struct Dicts {
    connection: Rc<Connection>,
    /// What they say as `sub_id`.
    id: Obj,
    /// The subject of the last message, most likely that of the next one.
    subject: RefCell<Obj>,
}

impl Dicts {
    pub fn new(connection: &Rc<Connection>) -> Dicts {
        let id = Obj::int(connection.next_sub_id());
        Dicts { connection: connection.clone(), id, subject: RefCell::new(Obj::empty()) }
    }

    pub fn dict(&self, message: &Delivered) -> Obj {
        match message {
            Delivered::Message(message) => self.of_message(message),
            Delivered::Stored(stored) => {
                let StoredDelivery { message, reply } = &**stored;
                self.connection.format().read_dict(
                    &message.headers,
                    &message.data,
                    &Obj::new(&message.subject),
                    &Obj::new(reply),
                    &self.id,
                )
            }
        }
    }

    pub fn of_message(&self, message: &PackedMessage) -> Obj {
        let mut subject = self.subject.borrow_mut();
        if subject.tcl_bytes() != message.subject() {
            *subject = Obj::from_encoded(message.subject());
        }
        self.connection.format().dict(message, &subject, &self.id)
    }
}

/// What happens to a consumer, which is mostly that there is a message.
pub trait Event: Send + Sized + 'static {
    fn is_message(&self) -> bool;
    fn into_message(self) -> Option<Delivered>;
}

/// The callback of a consumer, and how messages are shown to it.
pub struct Delivery<E> {
    callback: Prefix,
    batch: bool,
    dicts: Dicts,
    lane: LanePlace<E>,
}

impl<E: Event> Delivery<E> {
    pub fn new(connection: &Rc<Connection>, callback: Vec<Obj>, batch: bool) -> Delivery<E> {
        let (callback, dicts) = (Prefix::new(callback), Dicts::new(connection));
        Delivery { callback, batch, dicts, lane: LanePlace::new() }
    }

    /// Calls back with this message, or with a list of it and of those behind it. How many messages
    /// that were; none while a coroutine that gets them is busy.
    pub fn deliver(&self, interp: Interp<'_>, event: E, rest: &Rest<'_, E>) -> u64 {
        let admitted = rest.admit(interp, &self.lane, self.callback.words(), event);
        let Some(first) = admitted.and_then(E::into_message) else { return 0 };
        let mut count = 1;
        if self.batch {
            let (list, length) = self.list(&first, rest);
            count = length;
            self.callback.call(interp, [list]);
        } else {
            self.callback.call(interp, [self.dicts.dict(&first)]);
        }
        rest.delivered(&self.lane);
        count as u64
    }

    /// Takes out what waits for a coroutine that is busy.
    pub fn take_held(&self) -> VecDeque<E> {
        self.lane.get().map(|lane| lane.take_held()).unwrap_or_default()
    }

    fn list(&self, first: &Delivered, rest: &Rest<'_, E>) -> (Obj, usize) {
        let (mut list, mut batch) = (List::new(), Batch::begin());
        list.push(&self.dicts.dict(first));
        if batch.add() {
            rest.go_on(E::is_message, |event| {
                if let Some(message) = event.into_message() {
                    list.push(&self.dicts.dict(&message));
                }
                batch.add()
            });
        }
        (list.into(), batch.count())
    }
}
