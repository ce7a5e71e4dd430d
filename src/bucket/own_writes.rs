//! The revisions that a handle has written, so that a read can tell that it is older.

use crate::jetstream::roll::{AsItIs, Mark, mark};
use crate::lock::lock;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Mutex;

/// Of how many keys the revision is remembered.
const KEYS: usize = 65_536;

/// The latest revision of each of the last keys. Of the keys only marks are kept.
#[derive(Default)]
pub struct OwnWrites(Mutex<Written>);

#[derive(Default)]
struct Written {
    latest: HashMap<Mark, u64, BuildHasherDefault<AsItIs>>,
    /// In the order in which they were written. What was written again later does not count.
    order: VecDeque<(Mark, u64)>,
}

impl OwnWrites {
    /// A write to this subject was acknowledged.
    pub fn note(&self, subject: &str, revision: u64) {
        lock(&self.0).note(mark(subject), revision, KEYS);
    }

    /// The last revision that was written to this subject; 0 if none is known.
    pub fn latest(&self, subject: &str) -> u64 {
        lock(&self.0).latest.get(&mark(subject)).copied().unwrap_or(0)
    }

    /// The stream has nothing as new as this any more: it expired, or the bucket is another one.
    pub fn forget(&self, subject: &str, revision: u64) {
        let mut written = lock(&self.0);
        let mark = mark(subject);
        if written.latest.get(&mark) == Some(&revision) {
            written.latest.remove(&mark);
        }
    }
}

impl Written {
    fn note(&mut self, mark: Mark, revision: u64, most: usize) {
        let latest = self.latest.entry(mark).or_default();
        if revision <= *latest {
            // Acknowledgements may overtake each other.
            return;
        }
        *latest = revision;
        self.order.push_back((mark, revision));
        while self.latest.len() > most
            && let Some((oldest, revision)) = self.order.pop_front()
        {
            if self.latest.get(&oldest) == Some(&revision) {
                self.latest.remove(&oldest);
            }
        }
        if self.order.len() > 2 * most {
            let latest = &self.latest;
            self.order.retain(|(mark, revision)| latest.get(mark) == Some(revision));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_each_key() {
        let own = OwnWrites::default();
        assert_eq!(own.latest("a"), 0);
        own.note("a", 3);
        own.note("b", 4);
        own.note("a", 2);
        assert_eq!((own.latest("a"), own.latest("b")), (3, 4));
        own.forget("a", 2);
        assert_eq!(own.latest("a"), 3);
        own.forget("a", 3);
        assert_eq!(own.latest("a"), 0);
        own.note("a", 1);
        assert_eq!(own.latest("a"), 1);
    }

    #[test]
    fn the_oldest_are_forgotten_and_memory_is_bounded() {
        let mut written = Written::default();
        for revision in 1..=4 {
            written.note(revision, revision, 3);
        }
        assert!(!written.latest.contains_key(&1));
        // Written again, it is not the oldest any more.
        written.note(2, 5, 3);
        written.note(9, 6, 3);
        let mut known: Vec<_> = written.latest.keys().copied().collect();
        known.sort_unstable();
        assert_eq!(known, [2, 4, 9]);
        for revision in 7..1000 {
            written.note(2, revision, 3);
            assert!(written.order.len() <= 6 && written.latest.len() <= 3);
        }
        assert_eq!(written.latest.get(&2), Some(&999));
        assert!(written.latest.contains_key(&4) && written.latest.contains_key(&9));
    }
}
