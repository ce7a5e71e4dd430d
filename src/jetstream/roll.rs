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
    pub fn has(&self, subject: &str) -> bool {
        self.marks.contains(&mark(subject))
    }
}
