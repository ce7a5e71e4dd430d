//! The runtime thread's part of a watch: entries on their way to the watcher.

use super::bucket::Bucket;
use super::entry::Entry;
use super::last::Last;
use crate::bridge::Sender;
use crate::error::Kind;
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::consumer::Observer;
use crate::jetstream::roll::Roll;
use crate::jetstream::stored::StoredMessage;
use crate::transport::Message;
use std::sync::Arc;

/// What happens to a watch, in order.
pub enum WatchEvent {
    Entry(Entry),
    /// A message that is no entry of the bucket, or not one that is wanted; it only has to be counted.
    Foreign,
    EndOfData,
    RollCallBegins,
    /// The subjects that are there.
    RollCall(Arc<Roll>),
    LastError(Kind, String),
}

/// What the consumer reports, on the runtime thread.
pub struct WatchObserver {
    events: Sender<WatchEvent>,
    bucket: Arc<Bucket>,
    meta_only: bool,
    ignore_deletes: bool,
    last: Last,
    /// What is before this one had gone when the roll was called, though it may have been on its way.
    first_seq: u64,
    /// A roll call has begun behind the entry that is kept back.
    roll_begun: bool,
}

impl WatchObserver {
    pub fn new(
        events: Sender<WatchEvent>,
        bucket: Arc<Bucket>,
        meta_only: bool,
        ignore_deletes: bool,
    ) -> Self {
        let last = Last::default();
        let (first_seq, roll_begun) = (0, false);
        WatchObserver { events, bucket, meta_only, ignore_deletes, last, first_seq, roll_begun }
    }

    fn send(&mut self, entry: Option<Entry>) {
        let wanted = |entry: &Entry| {
            entry.revision >= self.first_seq && !(self.ignore_deletes && entry.operation.deletes())
        };
        match entry.filter(wanted) {
            Some(entry) => {
                if let Some(entry) = self.last.next(entry) {
                    self.send_kept(entry);
                }
            }
            None => self.events.send(WatchEvent::Foreign),
        }
    }

    /// Sends the entry that was kept back, and what came behind it.
    fn send_kept(&mut self, entry: Entry) {
        self.events.send(WatchEvent::Entry(entry));
        self.tell_roll_begun();
    }

    fn tell_roll_begun(&mut self) {
        if std::mem::take(&mut self.roll_begun) {
            self.events.send(WatchEvent::RollCallBegins);
        }
    }
}

impl Observer for WatchObserver {
    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        let entry =
            Entry::from_watch(&self.bucket, message.subject(), meta, message, message.payload());
        self.send(entry);
    }

    fn stored(&mut self, stored: &StoredMessage) {
        self.send(Entry::from_stored_watch(&self.bucket, stored, !self.meta_only));
    }

    fn end_of_data(&mut self) {
        if let Some(entry) = self.last.end() {
            self.send_kept(entry);
        }
        self.events.send(WatchEvent::EndOfData);
    }

    /// The entry that is kept back stays: it may be the last one.
    fn roll_call_begins(&mut self) {
        self.roll_begun = true;
        if !self.last.has_entry() {
            self.tell_roll_begun();
        }
    }

    fn roll_call(&mut self, roll: Arc<Roll>) {
        self.first_seq = roll.first_seq;
        let subject = |entry: &Entry| self.bucket.read_subject(entry.key());
        let gone = |entry: &Entry| {
            let revision = entry.revision;
            revision < roll.first_seq || revision <= roll.last_seq && !roll.has(&subject(entry))
        };
        // It was never told, so nothing has to be taken back.
        if self.last.take_if(gone).is_some() {
            self.events.send(WatchEvent::Foreign);
        }
        self.tell_roll_begun();
        self.events.send(WatchEvent::RollCall(roll));
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        self.events.send(WatchEvent::LastError(kind, text));
    }

    fn state(&mut self, state: ConsumerState) {
        match state {
            // Revisions begin again, and what is kept back is of the stream that has gone.
            ConsumerState::Recreated => {
                self.first_seq = 0;
                self.roll_begun = false;
                if self.last.forget() {
                    self.events.send(WatchEvent::Foreign);
                }
            }
            ConsumerState::Stopped => {
                if let Some(entry) = self.last.give_up() {
                    self.send_kept(entry);
                }
            }
            _ => {}
        }
    }
}
