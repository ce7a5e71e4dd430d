//! What comes to a binding, in order: the messages of the bucket, and the answers to what was written.

use crate::bridge::Sender;
use crate::error::{Kind, Result};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::consumer::Observer;
use crate::jetstream::roll::Roll;
use crate::jetstream::stored::StoredMessage;
use crate::keyvalue::bucket::Bucket;
use crate::keyvalue::entry::Entry;
use crate::transport::{Headers, Message};
use std::sync::Arc;

/// Programs cannot set it, it is shown to none, and the server stores a message with it once.
const ID: &str = "Nats-Msg-Id";

pub enum Event {
    /// With the number of the write, if it is one of ours.
    Entry(Entry, Option<u64>),
    /// A message that is no entry of the bucket; it only has to be counted.
    Foreign,
    EndOfData,
    RollCallBegins,
    /// The subjects that are there.
    RollCall(Arc<Roll>),
    State(ConsumerState),
    LastError(Kind, String),
    /// What became of a write to the bucket of this epoch.
    Written {
        id: u64,
        epoch: u64,
        outcome: Result<u64>,
    },
    /// The last message of a key.
    Read {
        id: u64,
        epoch: u64,
        outcome: Result<Entry>,
    },
    /// Changes are to be sent.
    Due,
    /// A write that has no answer is to be sent again.
    Again(u64),
    /// What a message of the stream may have.
    Limit(Option<usize>),
    /// A flush has waited long enough.
    Late(u64),
}

/// The name of a binding in the numbers of its writes.
#[derive(Clone)]
pub struct Writer(Arc<str>);

impl Writer {
    /// One that nobody else has.
    pub fn new() -> Writer {
        Writer(format!("{:x}.", rand::random::<u64>()).into())
    }

    pub fn sign(&self, headers: &mut Headers, id: u64) {
        headers.set(ID, format!("{}{id}", self.0));
    }

    fn number(&self, id: Option<&str>) -> Option<u64> {
        id?.strip_prefix(&*self.0)?.parse().ok()
    }
}

/// The runtime thread's part of a binding.
pub struct Feed {
    pub events: Sender<Event>,
    pub bucket: Arc<Bucket>,
    pub writer: Writer,
    /// What is before this one had gone when the roll was called, though it may have been on its way.
    pub first_seq: u64,
}

impl Feed {
    fn send(&self, entry: Option<Entry>, own: Option<u64>) {
        match entry.filter(|entry| entry.revision >= self.first_seq) {
            Some(entry) => self.events.send(Event::Entry(entry, own)),
            None => self.events.send(Event::Foreign),
        }
    }
}

impl Observer for Feed {
    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        let subject = message.subject();
        let entry = Entry::from_watch(&self.bucket, subject, meta, message, message.payload());
        self.send(entry, self.writer.number(message.header(ID)));
    }

    fn stored(&mut self, stored: &StoredMessage) {
        let own = self.writer.number(stored.header(ID));
        self.send(Entry::from_stored_watch(&self.bucket, stored, true), own);
    }

    fn end_of_data(&mut self) {
        self.events.send(Event::EndOfData);
    }

    fn roll_call_begins(&mut self) {
        self.events.send(Event::RollCallBegins);
    }

    fn roll_call(&mut self, roll: Arc<Roll>) {
        self.first_seq = roll.first_seq;
        self.events.send(Event::RollCall(roll));
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        self.events.send(Event::LastError(kind, text));
    }

    fn state(&mut self, state: ConsumerState) {
        if state == ConsumerState::Recreated {
            // Revisions begin again.
            self.first_seq = 0;
        }
        self.events.send(Event::State(state));
    }
}
