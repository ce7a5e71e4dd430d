//! Which subjects a stream has: the answer to a roll call. Of each subject only a mark is kept, so that
//! a stream with a million of them does not cost its names.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::LazyLock;

/// 64 bits that stand for a subject. The key is chosen at random when the process begins: among a
/// million subjects two have the same mark with a chance of one in 37 million, and nobody can choose
/// subjects that have.
pub type Mark = u64;

pub fn mark(subject: &str) -> Mark {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEY.hash_one(subject)
}

pub type Marks = HashSet<Mark, BuildHasherDefault<AsItIs>>;

/// Marks are hashes already.
#[derive(Clone, Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }
}

/// Marks as they come, for whoever mostly never asks: while a large stream is read, a set would cost
/// more than all the rest. It grows with the number of different marks.
#[derive(Default)]
pub struct Seen {
    marks: Vec<Mark>,
    /// How many there were when the repeated ones were dropped last.
    distinct: usize,
}

impl Seen {
    /// So many are kept without a look at them.
    const FEW: usize = 65_536;

    pub fn insert(&mut self, mark: Mark) {
        if self.marks.len() >= Self::FEW.max(self.distinct * 2) {
            self.count();
        }
        self.marks.push(mark);
    }

    /// How many different ones there are.
    pub fn count(&mut self) -> usize {
        self.marks.sort_unstable();
        self.marks.dedup();
        self.distinct = self.marks.len();
        self.distinct
    }

    pub fn set(&self) -> Marks {
        self.marks.iter().copied().collect()
    }
}

#[derive(Debug, Default)]
pub struct Roll {
    /// The subjects with at least one message.
    pub marks: Marks,
    /// What lies before this one has gone.
    pub first_seq: u64,
    /// The end of the stream when the roll call began.
    pub last_seq: u64,
    /// The last message is less than a second old, or nobody knows.
    pub fresh: bool,
}

impl Roll {
    /// What was found out at the same time, about other subjects.
    pub fn add(&mut self, other: Roll) {
        self.first_seq = self.first_seq.max(other.first_seq);
        self.last_seq = self.last_seq.min(other.last_seq);
        self.fresh |= other.fresh;
        if self.marks.is_empty() {
            self.marks = other.marks;
        } else {
            self.marks.extend(other.marks);
        }
    }

    pub fn has(&self, subject: &str) -> bool {
        self.marks.contains(&mark(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_marks_take_no_memory() {
        let mut seen = Seen::default();
        for n in 0..10 * Seen::FEW as u64 {
            seen.insert(n % 1000);
        }
        assert!(seen.marks.capacity() <= 2 * Seen::FEW);
        assert_eq!((seen.count(), seen.set().len()), (1000, 1000));
        for n in 0..3 * Seen::FEW as u64 {
            seen.insert(n);
        }
        assert_eq!(seen.count(), 3 * Seen::FEW);
    }
}
