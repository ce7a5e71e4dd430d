//! The runtime thread's part of a gathering: entries on their way to the list.

use super::bucket::{Bucket, bucket_gone};
use super::entry::Entry;
use super::last::Last;
use crate::bridge::Sender;
use crate::bucket::activity::Activity;
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::consumer::Observer;
use crate::jetstream::roll::{Mark, Marks, mark};
use crate::jetstream::stored::StoredMessage;
use crate::transport::Message;
use serde_json::Value;
use std::sync::Arc;

pub enum GatherEvent {
    Entry(Entry),
    /// A message that is not wanted; it only has to be counted.
    Foreign,
    /// The bucket was made again: what came before is of another one.
    Restart,
    /// For the log.
    Warning(String),
    /// Places in the list that do not count any more.
    Struck(Vec<u32>),
    End(crate::error::Result<()>),
}

/// What of all that comes is wanted.
pub enum Pick {
    /// Every entry.
    All,
    /// Each key that is there in the end, once. What came for it before is struck out.
    Keys(Places),
    /// Each key that is there, as soon as it comes, once.
    Seen(Marks),
}

pub struct GatherObserver {
    events: Sender<GatherEvent>,
    bucket: Arc<Bucket>,
    activity: Arc<Activity>,
    created: bool,
    over: bool,
    last: Last,
    pick: Pick,
}

/// What came for each key, and its place in the list. It is looked at only in the end: a table of the
/// keys would cost more than all the rest, and is needed only if somebody wrote meanwhile.
#[derive(Default)]
pub struct Places {
    /// In the order of arrival. A deletion has no place.
    came: Vec<(Mark, Option<u32>)>,
    count: u32,
}

impl Places {
    fn came(&mut self, entry: &Entry) {
        let place = (!entry.operation.deletes()).then_some(self.count);
        self.count += u32::from(place.is_some());
        self.came.push((mark(entry.key()), place));
    }

    /// The places, in order, of what was followed by something else for the same key.
    fn struck(mut self) -> Vec<u32> {
        self.came.sort_by_key(|(mark, _)| *mark);
        let followed = |two: &&[(Mark, Option<u32>)]| two[0].0 == two[1].0;
        let mut struck: Vec<u32> =
            self.came.windows(2).filter(followed).filter_map(|two| two[0].1).collect();
        struck.sort_unstable();
        struck
    }
}

impl GatherObserver {
    pub fn new(
        events: Sender<GatherEvent>,
        bucket: Arc<Bucket>,
        activity: Arc<Activity>,
        pick: Pick,
    ) -> Self {
        let last = Last::default();
        GatherObserver { events, bucket, activity, created: false, over: false, last, pick }
    }

    fn end(&self, outcome: crate::error::Result<()>) {
        self.events.send(GatherEvent::End(outcome));
    }

    fn next(&mut self, entry: Option<Entry>) {
        // What comes until the consumer is stopped belongs to no list.
        if self.over {
            return;
        }
        match entry.map(|entry| self.last.next(entry)) {
            Some(Some(entry)) => self.send(entry),
            // The first one, kept back.
            Some(None) => self.activity.now(),
            None => self.send_foreign(),
        }
    }

    fn send_foreign(&self) {
        self.activity.now();
        self.events.send(GatherEvent::Foreign);
    }

    fn send(&mut self, entry: Entry) {
        match &mut self.pick {
            Pick::All => {}
            Pick::Keys(places) => places.came(&entry),
            Pick::Seen(seen) => {
                if entry.operation.deletes() || !seen.insert(mark(entry.key())) {
                    return self.send_foreign();
                }
            }
        }
        self.activity.sent();
        self.events.send(GatherEvent::Entry(entry));
    }
}

impl Observer for GatherObserver {
    fn heard(&mut self) {
        self.activity.now();
    }

    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        let entry =
            Entry::from_watch(&self.bucket, message.subject(), meta, message, message.payload());
        self.next(entry);
    }

    fn stored(&mut self, stored: &StoredMessage) {
        self.next(Entry::from_stored_watch(&self.bucket, stored, true));
    }

    fn end_of_data(&mut self) {
        if let Some(entry) = self.last.end() {
            self.send(entry);
        }
        self.over = true;
        if let Pick::Keys(places) = &mut self.pick {
            let struck = std::mem::take(places).struck();
            self.events.send(GatherEvent::Struck(struck));
        }
        self.end(Ok(()));
    }

    /// The first creation starts the clock; another one is no progress.
    fn created(&mut self, _info: &Value) {
        if !std::mem::replace(&mut self.created, true) {
            self.activity.now();
        }
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        // Only the end of the consumer ends the gathering; everything else heals, but for what the
        // user is not allowed to do.
        if kind == Kind::Permissions {
            self.events.send(GatherEvent::Warning(text));
        } else if matches!(kind, Kind::StreamNotFound | Kind::ConnectionClosed) {
            self.end(Err(bucket_gone(&self.bucket.name, Error::new(kind, text))));
        }
    }

    fn state(&mut self, state: ConsumerState) {
        if state != ConsumerState::Recreated || self.over {
            return;
        }
        if self.last.forget() {
            self.events.send(GatherEvent::Foreign);
        }
        match &mut self.pick {
            Pick::All => {}
            Pick::Keys(places) => *places = Places::default(),
            Pick::Seen(seen) => seen.clear(),
        }
        self.events.send(GatherEvent::Restart);
    }
}

impl Drop for GatherObserver {
    fn drop(&mut self) {
        self.end(Err(Error::connection_closed()));
    }
}
