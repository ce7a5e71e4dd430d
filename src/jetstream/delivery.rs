//! Messages of a consumer on their way to the callback of the program: one by one, or in lists.

use super::stored::StoredMessage;
use crate::connection::Connection;
use crate::message::Batch;
use crate::tcl::{Interp, List, Obj, Prefix};
use crate::transport::PackedMessage;
use std::cell::RefCell;
use std::rc::Rc;

/// A message that was read as JSON, and the subject that it would have been acknowledged by.
pub struct StoredDelivery {
    pub message: StoredMessage,
    pub reply: String,
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

/// The callback of a consumer, and how messages are shown to it.
pub struct Delivery {
    callback: Prefix,
    batch: bool,
    dicts: Dicts,
}

impl Delivery {
    pub fn new(connection: &Rc<Connection>, callback: Vec<Obj>, batch: bool) -> Delivery {
        Delivery { callback: Prefix::new(callback), batch, dicts: Dicts::new(connection) }
    }

    /// The words of the callback.
    pub fn callback(&self) -> &[Obj] {
        self.callback.words()
    }

    /// Calls back with this message, or with a list of it and of those that `more` hands on while it
    /// is told that there is time. How many messages that were.
    pub fn deliver(
        &self,
        interp: Interp<'_>,
        first: Delivered,
        more: impl FnOnce(&mut dyn FnMut(Delivered) -> bool),
    ) -> usize {
        if !self.batch {
            self.callback.call(interp, [self.dicts.dict(&first)]);
            return 1;
        }
        let (mut list, mut batch) = (List::new(), Batch::begin());
        let mut add = |message: Delivered| {
            list.push(&self.dicts.dict(&message));
            batch.add()
        };
        if add(first) {
            more(&mut add);
        }
        self.callback.call(interp, [list.into()]);
        batch.count()
    }
}
