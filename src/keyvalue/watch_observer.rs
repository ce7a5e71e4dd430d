//! The runtime thread's part of a watch: entries on their way to the watcher.

use super::bucket::Bucket;
use super::entry::Entry;
use crate::bridge::Sender;
use crate::error::Kind;
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::consumer::Observer;
use crate::jetstream::stored::StoredMessage;
use crate::transport::Message;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// What happens to a watch, in order.
pub enum WatchEvent {
    Entry(Entry),
    /// A message that is no entry of the bucket; it only has to be counted.
    Foreign,
    EndOfData,
    RollCallBegins,
    /// The keys that are there.
    RollCall(HashSet<String>),
    LastError(Kind, String),
}

/// What the consumer reports, on the runtime thread.
pub struct WatchObserver {
    pub events: Sender<WatchEvent>,
    pub bucket: Arc<Bucket>,
    pub meta_only: bool,
}

impl Observer for WatchObserver {
    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        let entry =
            Entry::from_watch(&self.bucket, message.subject(), meta, message, message.payload());
        self.events.send(entry.map_or(WatchEvent::Foreign, WatchEvent::Entry));
    }

    fn stored(&mut self, stored: &StoredMessage) {
        let entry = Entry::from_stored_watch(&self.bucket, stored, !self.meta_only);
        self.events.send(entry.map_or(WatchEvent::Foreign, WatchEvent::Entry));
    }

    fn end_of_data(&mut self) {
        self.events.send(WatchEvent::EndOfData);
    }

    fn roll_call_begins(&mut self) {
        self.events.send(WatchEvent::RollCallBegins);
    }

    fn roll_call(&mut self, present: HashSet<String>) {
        let keys = present.iter().filter_map(|subject| self.bucket.key_of(subject));
        self.events.send(WatchEvent::RollCall(keys.map(str::to_owned).collect()));
    }

    fn created(&mut self, _info: &Value) {}

    fn last_error(&mut self, kind: Kind, text: String) {
        self.events.send(WatchEvent::LastError(kind, text));
    }

    fn state(&mut self, _state: ConsumerState) {}
}
