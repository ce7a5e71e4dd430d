//! What goes into the machine and out of it.

use crate::error::{Error, Result};
use std::time::Instant;

/// What to do when somebody has the key, and when it was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A lease: it is refused. And that is the end.
    Once,
    /// A lock: wait until nobody has it. And that is the end.
    Wait,
    /// A candidate: wait, again and again.
    Forever,
}

/// Why a key is not ours any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody else has written it.
    Conflict,
    Deleted,
    /// It was not renewed in time.
    Expired,
    BucketDeleted,
    /// The connection was closed.
    Closed,
    Resigned,
}

impl Reason {
    /// As the program is told.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Conflict => "conflict",
            Reason::Deleted => "deleted",
            Reason::Expired => "expired",
            Reason::BucketDeleted => "bucket_deleted",
            Reason::Closed => "closed",
            Reason::Resigned => "resigned",
        }
    }
}

/// What the driver does, in this order.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Write the value, under this revision.
    Write {
        number: u64,
        expected: u64,
    },
    /// Delete the key, under this revision.
    Delete {
        number: u64,
        expected: u64,
    },
    /// Read what the key has, from who knows best.
    Look {
        number: u64,
    },
    Watch {
        number: u64,
    },
    Unwatch,
    Tell(Event),
}

/// What the program hears of.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// A candidate knows who leads, or will.
    Watching,
    /// The key is ours; the token.
    Acquired(u64),
    /// It will not be.
    Refused(Error),
    Lost(Reason),
    /// Whether it was ours until then.
    Released(Result<bool>),
    /// The value of this version is stored.
    Stored(u64),
    /// It will not be.
    Unstored(u64, Error),
    /// Somebody else has it; his value.
    Led(Vec<u8>),
}

/// A write on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub number: u64,
    pub sent: Instant,
    /// Of the value.
    pub version: u64,
}

/// One input: what is so, and what is to be done about it.
pub struct Turn<'a> {
    pub now: Instant,
    pub connected: bool,
    pub version: u64,
    pub(super) numbers: &'a mut u64,
    pub(super) watch: &'a mut Option<u64>,
    pub(super) out: &'a mut Vec<Action>,
}

impl Turn<'_> {
    fn number(&mut self) -> u64 {
        *self.numbers += 1;
        *self.numbers
    }

    pub fn write(&mut self, expected: u64) -> u64 {
        let number = self.number();
        self.out.push(Action::Write { number, expected });
        number
    }

    pub fn delete(&mut self, expected: u64) -> u64 {
        let number = self.number();
        self.out.push(Action::Delete { number, expected });
        number
    }

    pub fn look(&mut self) -> u64 {
        let number = self.number();
        self.out.push(Action::Look { number });
        number
    }

    pub fn watching(&self) -> bool {
        self.watch.is_some()
    }

    pub fn watch(&mut self) {
        let number = self.number();
        *self.watch = Some(number);
        self.out.push(Action::Watch { number });
    }

    pub(super) fn unwatch(&mut self) {
        if self.watch.take().is_some() {
            self.out.push(Action::Unwatch);
        }
    }

    pub fn stored(&mut self, version: u64) {
        self.tell(Event::Stored(version));
    }

    pub fn unstored(&mut self, version: u64, error: Error) {
        self.tell(Event::Unstored(version, error));
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.out.push(Action::Tell(event));
    }
}
