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

/// The callback of a consumer, and how messages are shown to it.
pub struct Delivery {
    connection: Rc<Connection>,
    callback: Prefix,
    batch: bool,
    /// What the messages say as `sub_id`.
    id: Obj,
    /// The subject of the last message, most likely that of the next one.
    subject: RefCell<Obj>,
}

impl Delivery {
    pub fn new(connection: &Rc<Connection>, callback: Vec<Obj>, batch: bool) -> Delivery {
        Delivery {
            connection: connection.clone(),
            callback: Prefix::new(callback),
            batch,
            id: Obj::int(connection.next_sub_id()),
            subject: RefCell::new(Obj::empty()),
        }
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
            self.callback.call(interp, [self.dict(&first)]);
            return 1;
        }
        let (mut list, mut batch) = (List::new(), Batch::begin());
        let mut add = |message: Delivered| {
            list.push(&self.dict(&message));
            batch.add()
        };
        if add(first) {
            more(&mut add);
        }
        self.callback.call(interp, [list.into()]);
        batch.count()
    }

    fn dict(&self, message: &Delivered) -> Obj {
        let format = self.connection.format();
        match message {
            Delivered::Message(message) => {
                let mut subject = self.subject.borrow_mut();
                if subject.tcl_bytes() != message.subject() {
                    *subject = Obj::from_encoded(message.subject());
                }
                format.dict(message, &subject, &self.id)
            }
            Delivered::Stored(stored) => {
                let StoredDelivery { message, reply } = &**stored;
                format.read_dict(
                    &message.headers,
                    &message.data,
                    &Obj::new(&message.subject),
                    &Obj::new(reply),
                    &self.id,
                )
            }
        }
    }
}
