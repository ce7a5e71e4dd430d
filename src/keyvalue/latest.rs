//! What a slow program has not taken yet, of each key only the newest entry: `-overflow latest`.
//!
//! What is left stays in its order. For everything that is put in, one [`WatchEvent::Next`] goes
//! through the channel of the watch, and whoever gets one takes the first of what is here by then. An
//! entry that follows another one of its key takes over the place that one has in the count, and not in
//! the order.

use super::watch_observer::WatchEvent;
use crate::bridge::Sender;
use crate::jetstream::roll::{AsItIs, Mark, mark};
use crate::lock::lock;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex};

/// The way of what happens to a watch, from the runtime thread to the watcher.
pub struct Outlet {
    sender: Sender<WatchEvent>,
    latest: Option<Arc<Latest>>,
}

impl Outlet {
    pub fn new(sender: Sender<WatchEvent>, latest: Option<Arc<Latest>>) -> Outlet {
        Outlet { sender, latest }
    }

    pub fn send(&self, event: WatchEvent) {
        match &self.latest {
            None => self.sender.send(event),
            Some(latest) => {
                if latest.put(event) {
                    self.sender.send(WatchEvent::Next);
                }
            }
        }
    }
}

#[derive(Default)]
pub struct Latest(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    places: BTreeMap<u64, Place>,
    by_key: HashMap<Mark, u64, BuildHasherDefault<AsItIs>>,
    next: u64,
    entries: u64,
    taken: u64,
    skipped: u64,
    /// Of the entries that wait, those of the initial data.
    initial: u64,
    end: End,
}

#[derive(Default, PartialEq, Eq)]
enum End {
    #[default]
    NotYet,
    /// It follows the last entry of the initial data, or what has come in the place of that.
    Owed,
    Over,
}

struct Place {
    event: WatchEvent,
    initial: bool,
    /// Once so many have been taken this entry has waited its turn, and is followed by newer ones
    /// instead of giving way: or a key that changes all the time would never be seen.
    turn: u64,
}

impl Latest {
    /// Whether there is one thing more to take.
    fn put(&self, event: WatchEvent) -> bool {
        lock(&self.0).put(event)
    }

    /// The first thing that waits.
    pub fn take(&self) -> Option<WatchEvent> {
        lock(&self.0).take()
    }

    /// Whether that is an entry, or the end of the initial data.
    pub fn begins_with_data(&self) -> bool {
        let waiting = lock(&self.0);
        waiting.places.first_key_value().is_some_and(|(_, place)| place.event.is_data())
    }

    /// How many entries wait, and how many have given way.
    pub fn counts(&self) -> (u64, u64) {
        let waiting = lock(&self.0);
        (waiting.entries, waiting.skipped)
    }
}

impl Waiting {
    fn put(&mut self, event: WatchEvent) -> bool {
        let entry = match &event {
            WatchEvent::Entry(entry) => entry,
            // Nobody waits for what was consumed.
            WatchEvent::Foreign => return false,
            WatchEvent::EndOfData if self.initial > 0 => {
                self.end = End::Owed;
                return true;
            }
            WatchEvent::EndOfData => {
                self.end = End::Over;
                return self.append(event, false, 0);
            }
            WatchEvent::RollCallBegins | WatchEvent::RollCall(_) => {
                // What came before it has to be known when it comes.
                self.by_key.clear();
                return self.append(event, false, 0);
            }
            _ => return self.append(event, false, 0),
        };
        let mark = mark(entry.key());
        if let Some(place) = self.giving_way(mark, entry.key()) {
            self.by_key.insert(mark, self.next);
            self.skipped += 1;
            self.append(event, place.initial, place.turn);
            return false;
        }
        self.by_key.insert(mark, self.next);
        self.entries += 1;
        let initial = self.end == End::NotYet;
        self.initial += u64::from(initial);
        self.append(event, initial, self.taken + self.entries)
    }

    fn append(&mut self, event: WatchEvent, initial: bool, turn: u64) -> bool {
        self.places.insert(self.next, Place { event, initial, turn });
        self.next += 1;
        true
    }

    /// Takes out the entry of this key, if it waits and its turn has not come.
    fn giving_way(&mut self, mark: Mark, key: &str) -> Option<Place> {
        let at = *self.by_key.get(&mark)?;
        let place = self.places.get(&at)?;
        let same = matches!(&place.event, WatchEvent::Entry(entry) if entry.key() == key);
        if !same || self.taken >= place.turn {
            return None;
        }
        self.places.remove(&at)
    }

    fn take(&mut self) -> Option<WatchEvent> {
        let (at, place) = self.places.pop_first()?;
        let WatchEvent::Entry(entry) = &place.event else { return Some(place.event) };
        let mark = mark(entry.key());
        if self.by_key.get(&mark) == Some(&at) {
            self.by_key.remove(&mark);
        }
        self.entries -= 1;
        self.taken += 1;
        self.initial -= u64::from(place.initial);
        if self.initial == 0 && self.end == End::Owed {
            self.end = End::Over;
            let end = Place { event: WatchEvent::EndOfData, initial: false, turn: 0 };
            self.places.insert(at, end);
        }
        Some(place.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyvalue::entry::Entry;

    fn entry(key: &str, revision: u64) -> WatchEvent {
        let mut entry = Entry::vanished(key, 0);
        entry.revision = revision;
        WatchEvent::Entry(entry)
    }

    /// Puts what is told, and takes as much as there are to take.
    #[derive(Default)]
    struct Rig {
        latest: Latest,
        nexts: usize,
    }

    impl Rig {
        fn put(&mut self, events: impl IntoIterator<Item = WatchEvent>) {
            for event in events {
                self.nexts += usize::from(self.latest.put(event));
            }
        }

        fn take(&mut self) -> String {
            assert!(self.nexts > 0);
            self.nexts -= 1;
            match self.latest.take() {
                Some(WatchEvent::Entry(entry)) => format!("{}{}", entry.key(), entry.revision),
                Some(WatchEvent::EndOfData) => "END".into(),
                Some(WatchEvent::RollCallBegins) => "ROLL".into(),
                _ => "?".into(),
            }
        }

        fn all(&mut self) -> Vec<String> {
            let mut all = Vec::new();
            while self.nexts > 0 {
                all.push(self.take());
            }
            assert!(self.latest.take().is_none());
            all
        }
    }

    #[test]
    fn the_newest_of_each_key_in_the_order_of_revisions() {
        let mut rig = Rig::default();
        rig.put([entry("a", 1), entry("b", 2), entry("a", 3), entry("c", 4), entry("a", 5)]);
        assert_eq!(rig.latest.counts(), (3, 2));
        assert_eq!(rig.all(), ["b2", "c4", "a5"]);
        assert_eq!(rig.latest.counts(), (0, 2));
        rig.put([entry("a", 6), WatchEvent::Foreign]);
        assert_eq!(rig.all(), ["a6"]);
    }

    #[test]
    fn the_end_follows_the_last_key_of_the_initial_data() {
        let mut rig = Rig::default();
        rig.put([entry("a", 1), entry("b", 2), WatchEvent::EndOfData]);
        rig.put([entry("a", 3), entry("c", 4)]);
        assert_eq!(rig.all(), ["b2", "a3", "END", "c4"]);
        let mut rig = Rig::default();
        rig.put([WatchEvent::EndOfData, entry("a", 1), entry("a", 2)]);
        assert_eq!(rig.all(), ["END", "a2"]);
        let mut rig = Rig::default();
        rig.put([entry("a", 1)]);
        assert_eq!(rig.take(), "a1");
        rig.put([WatchEvent::EndOfData, entry("a", 2)]);
        assert_eq!(rig.all(), ["END", "a2"]);
    }

    #[test]
    fn a_key_that_changes_all_the_time_is_seen() {
        let mut rig = Rig::default();
        rig.put([entry("a", 1), entry("b", 2), entry("c", 3), entry("k", 4)]);
        let (mut seen, mut revision) = (Vec::new(), 4);
        // Everything changes faster than it is taken.
        while !seen.iter().any(|shown: &String| shown.starts_with('k')) {
            for key in ["a", "b", "c", "k"] {
                revision += 1;
                rig.put([entry(key, revision)]);
            }
            seen.push(rig.take());
            assert!(seen.len() < 20, "{seen:?}");
        }
        let mut revisions: Vec<u64> = Vec::new();
        for shown in seen.into_iter().chain(rig.all()) {
            revisions.push(shown[1..].parse().expect("a revision"));
        }
        assert!(revisions.is_sorted(), "{revisions:?}");
        assert_eq!(revisions.len() as u64 + rig.latest.counts().1, revision);
    }

    #[test]
    fn nothing_passes_a_roll_call() {
        let mut rig = Rig::default();
        rig.put([entry("a", 1), WatchEvent::RollCallBegins, entry("a", 2), entry("a", 3)]);
        assert_eq!(rig.all(), ["a1", "ROLL", "a3"]);
    }
}
