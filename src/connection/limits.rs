//! Limits of what waits for the program, and what happens at them.

use crate::options::{self, Options, Type};

/// What to do with a message for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Drop it.
    DropNew,
    /// Drop the oldest ones that wait.
    DropOld,
    /// Put it in the place of the one that waits with the same subject; else drop the oldest.
    LatestPerSubject,
    /// Drop it, and end the subscription.
    End,
}

impl Overflow {
    /// The words of the option `-overflow`.
    pub const WORDS: &'static [&'static str] =
        &["drop_new", "drop_old", "latest_per_subject", "error"];
    /// What they stand for.
    const ALL: [Overflow; 4] =
        [Overflow::DropNew, Overflow::DropOld, Overflow::LatestPerSubject, Overflow::End];

    fn of(word: &str) -> Option<Overflow> {
        let known = Self::WORDS.iter().zip(Self::ALL).find(|(known, _)| **known == word);
        known.map(|(_, overflow)| overflow)
    }

    /// What its owner tells about the limit that was reached.
    pub fn what_happens(self) -> &'static str {
        match self {
            Overflow::DropNew => "new messages are dropped",
            Overflow::DropOld => "the oldest messages are dropped",
            Overflow::LatestPerSubject => "only the latest message of each subject is kept",
            Overflow::End => "the subscription was ended",
        }
    }
}

/// Limits of what waits; 0 = none.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub messages: usize,
    pub bytes: usize,
    pub overflow: Overflow,
}

/// The options that set limits.
pub const LIMIT_OPTIONS: [options::Spec; 2] =
    [("pending_msgs", Type::PosInt), ("pending_bytes", Type::PosInt)];

impl Limits {
    /// What the options say, else the usual.
    pub fn of(given: &Options) -> Limits {
        let count = |name: &str, default: usize| match given.int(name) {
            Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
            None => default,
        };
        let usual = Limits::default();
        let overflow = given.string("overflow").and_then(|word| Overflow::of(&word));
        Limits {
            messages: count("pending_msgs", usual.messages),
            bytes: count("pending_bytes", usual.bytes),
            overflow: overflow.unwrap_or(usual.overflow),
        }
    }
}

impl Default for Limits {
    /// As nats.go has it.
    fn default() -> Limits {
        Limits { messages: 524_288, bytes: 64 * 1024 * 1024, overflow: Overflow::DropNew }
    }
}

/// What is at its limit and has lost a message.
#[derive(Clone)]
pub struct SlowConsumer {
    pub request: bool,
    pub sub_id: i64,
    pub subject: String,
    pub overflow: Overflow,
}
