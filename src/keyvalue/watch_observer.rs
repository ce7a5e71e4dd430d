//! The runtime thread's part of a watch: entries on their way to the watcher.

use super::bucket::Bucket;
use super::entry::Entry;
use super::last::Last;
use super::latest::Outlet;
use crate::bucket::health::{Health, Healths, now_ms};
use crate::error::Kind;
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::consumer::Observer;
use crate::jetstream::roll::Roll;
use crate::jetstream::stored::StoredMessage;
use crate::transport::Message;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// With the time, in ms since the epoch.
    State(Health, i64),
    /// What comes next is to be taken where the latest entries wait.
    Next,
}

impl WatchEvent {
    /// An entry, or the end of the initial data.
    pub fn is_data(&self) -> bool {
        matches!(self, WatchEvent::Entry(_) | WatchEvent::EndOfData)
    }
}

/// What the runtime thread counts.
#[derive(Default)]
pub struct Counts {
    /// Entries that were sent to the watcher.
    pub sent: AtomicU64,
    /// Consumers that were made.
    pub created: AtomicU64,
}

/// What the consumer reports, on the runtime thread.
pub struct WatchObserver {
    events: Outlet,
    counts: Arc<Counts>,
    bucket: Arc<Bucket>,
    meta_only: bool,
    ignore_deletes: bool,
    last: Last,
    healths: Healths,
    /// What is before this one had gone when the roll was called, though it may have been on its way.
    first_seq: u64,
    /// A roll call has begun behind the entry that is kept back.
    roll_begun: bool,
    /// What is before this one is not wanted.
    from: u64,
}

impl WatchObserver {
    pub fn new(
        events: Outlet,
        counts: Arc<Counts>,
        bucket: Arc<Bucket>,
        meta_only: bool,
        ignore_deletes: bool,
        from: u64,
    ) -> Self {
        WatchObserver {
            events,
            counts,
            bucket,
            meta_only,
            ignore_deletes,
            last: Last::default(),
            healths: Healths::default(),
            first_seq: 0,
            roll_begun: false,
            from,
        }
    }

    fn send(&mut self, entry: Option<Entry>) {
        let wanted = |entry: &Entry| {
            entry.revision >= self.first_seq.max(self.from)
                && !(self.ignore_deletes && entry.operation.deletes())
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
        // Only this thread writes it.
        let sent = self.counts.sent.load(Ordering::Relaxed) + 1;
        self.counts.sent.store(sent, Ordering::Relaxed);
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

    fn created(&mut self, _info: &Value) {
        self.counts.created.fetch_add(1, Ordering::Relaxed);
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        self.healths.error(kind);
        self.events.send(WatchEvent::LastError(kind, text));
    }

    fn state(&mut self, state: ConsumerState) {
        match state {
            // Revisions begin again, and what is kept back is of the stream that has gone.
            ConsumerState::Recreated => {
                (self.first_seq, self.from) = (0, 0);
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
        for health in self.healths.state(state).into_iter().flatten() {
            self.events.send(WatchEvent::State(health, now_ms()));
        }
    }
}
