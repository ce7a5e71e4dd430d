//! The way to a key: it is written when nobody has it.
//!
//! Somebody who has it may renew it, give it back, or lose it; the watch tells of all that. Should a deletion
//! not be told (a marker lasts a second or more, a connection may be away for longer), there still is the time
//! after which the server must have removed the value: who has waited for that since he saw it writes under
//! its revision. Whoever has written it cannot believe in it any more, and if he has written it again the
//! write meets a conflict.

use super::action::{Attempt, Kind, Turn};
use super::seen::{Content, Holder, Seen};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::keyvalue::store::revision_in;
use std::time::{Duration, Instant};

/// Servers look for what has expired about once in 250 ms.
const GRACE: Duration = Duration::from_millis(750);
/// For how long a watch may be silent about what a write has met.
const SILENCE: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is known of the key.
#[derive(Debug)]
pub enum Known {
    Nothing,
    /// Nobody has it: a deletion of this revision, or 0; or something of ours that we do not trust.
    Free(u64),
    Taken {
        revision: u64,
        holder: Holder,
        /// When nobody has it any more unless it is renewed.
        until: Option<Instant>,
    },
}

impl Known {
    pub fn revision(&self) -> u64 {
        match self {
            Known::Nothing => 0,
            Known::Free(revision) | Known::Taken { revision, .. } => *revision,
        }
    }

    /// What somebody else has, if anybody has it.
    pub fn holder(&self) -> Option<&Holder> {
        match self {
            Known::Taken { holder, .. } => Some(holder),
            _ => None,
        }
    }

    pub fn learn(&mut self, seen: &Seen, now: Instant) {
        *self = match &seen.content {
            Content::Others(holder) => Known::Taken {
                revision: seen.revision,
                holder: holder.clone(),
                until: holder.ttl.and_then(|ttl| now.checked_add(ttl + GRACE)),
            },
            Content::Gone { .. } | Content::Ours(_) => Known::Free(seen.revision),
        };
    }
}

pub struct Claim {
    kind: Kind,
    ttl: Duration,
    attempt: Option<Try>,
    look: Option<u64>,
    /// Nothing is tried before.
    not_before: Option<Instant>,
    /// When the key is read, whatever the watch tells or does not tell.
    look_at: Option<Instant>,
    pause: Duration,
}

/// A write on its way.
struct Try {
    attempt: Attempt,
    /// What it expects to meet.
    expected: u64,
    /// It is made because the watch has been silent for too long.
    overdue: bool,
}

#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// By this write, with this revision.
    Taken(Attempt, u64),
    Refused(Error),
}

impl Claim {
    pub fn new(kind: Kind, ttl: Duration, not_before: Option<Instant>) -> Claim {
        let pause = SHORTEST_PAUSE;
        Claim { kind, ttl, attempt: None, look: None, not_before, look_at: None, pause }
    }

    /// The number of a write that is on its way.
    pub fn under_way(&self) -> Option<u64> {
        self.attempt.as_ref().map(|one| one.attempt.number)
    }

    /// When `consider` has something to do, unless something happens before.
    pub fn due(&self, known: &Known) -> Option<Instant> {
        if self.attempt.is_some() || self.look.is_some() {
            return None;
        }
        let until = match known {
            Known::Taken { until, .. } => *until,
            _ => None,
        };
        let next = self.look_at.into_iter().chain(until).min();
        match (self.not_before, next) {
            (Some(pause), Some(next)) => Some(pause.max(next)),
            (pause, next) => pause.or(next),
        }
    }

    /// Does what can be done now.
    pub fn consider(&mut self, known: &Known, turn: &mut Turn<'_>) -> Option<Outcome> {
        if self.attempt.is_some() || self.look.is_some() || !turn.connected {
            return None;
        }
        if self.not_before.is_some_and(|at| turn.now < at) {
            return None;
        }
        self.not_before = None;
        if self.look_at.is_some_and(|at| turn.now >= at) {
            return self.look(turn);
        }
        match known {
            Known::Nothing if turn.watching() => {}
            Known::Nothing if self.kind == Kind::Forever => turn.watch(),
            Known::Nothing => return self.look(turn),
            Known::Free(revision) => self.write(*revision, false, turn),
            Known::Taken { revision, .. } if self.kind == Kind::Once => {
                return Some(Outcome::Refused(taken(*revision)));
            }
            Known::Taken { .. } if !turn.watching() => turn.watch(),
            Known::Taken { revision, until: Some(until), .. } if turn.now >= *until => {
                self.write(*revision, true, turn);
            }
            Known::Taken { .. } => {}
        }
        None
    }

    fn write(&mut self, expected: u64, overdue: bool, turn: &mut Turn<'_>) {
        let number = turn.write(expected);
        let attempt = Attempt { number, sent: turn.now, version: turn.version };
        self.attempt = Some(Try { attempt, expected, overdue });
    }

    fn look(&mut self, turn: &mut Turn<'_>) -> Option<Outcome> {
        self.look_at = None;
        self.look = Some(turn.look());
        None
    }

    pub fn written(
        &mut self,
        number: u64,
        outcome: Result<u64>,
        known: &mut Known,
        turn: &mut Turn<'_>,
    ) -> Option<Outcome> {
        let one = self.attempt.take_if(|one| one.attempt.number == number)?;
        let Try { attempt, expected, overdue } = one;
        match outcome {
            Ok(revision) if turn.now < attempt.sent + self.ttl / 2 => {
                return Some(Outcome::Taken(attempt, revision));
            }
            // Ours, but not for long enough to be worth anything.
            Ok(revision) => *known = Known::Free(revision),
            Err(error) if error.kind == ErrorKind::WrongLastSequence => {
                let met = revision_in(&error);
                if met == 0 {
                    // What was there has gone.
                    if expected == 0 {
                        self.pause(turn.now);
                    }
                    *known = Known::Free(0);
                } else if !turn.watching() || overdue && known.revision() == expected {
                    return self.look(turn);
                } else if known.revision() == expected {
                    // The watch will tell.
                    *known = Known::Nothing;
                    self.look_at = Some(turn.now + SILENCE);
                }
            }
            // It may be stored.
            Err(error) => return self.failed(error, known, turn),
        }
        self.consider(known, turn)
    }

    /// What the key has, from who knows best.
    pub fn looked(
        &mut self,
        number: u64,
        seen: Result<Seen>,
        known: &mut Known,
        turn: &mut Turn<'_>,
    ) -> Option<Outcome> {
        self.look.take_if(|look| *look == number)?;
        match seen {
            Ok(seen) => {
                self.pause = SHORTEST_PAUSE;
                known.learn(&seen, turn.now);
                self.consider(known, turn)
            }
            Err(error) => self.failed(error, known, turn),
        }
    }

    fn failed(&mut self, error: Error, known: &mut Known, turn: &Turn<'_>) -> Option<Outcome> {
        if self.kind != Kind::Forever && !is_temporary(&error) {
            return Some(Outcome::Refused(error));
        }
        self.pause(turn.now);
        *known = Known::Nothing;
        self.look_at = self.not_before;
        None
    }

    fn pause(&mut self, now: Instant) {
        self.not_before = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// The watch has told something.
    pub fn told(&mut self, known: &Known, turn: &mut Turn<'_>) -> Option<Outcome> {
        if !matches!(known, Known::Nothing) {
            self.look_at = None;
        }
        self.consider(known, turn)
    }

    /// Somebody else has taken the key: who has resigned for him may try again.
    pub fn taken_over(&mut self) {
        self.not_before = None;
    }

    /// There is a new connection: an answer may have gone with the old one.
    pub fn connected(&mut self, known: &mut Known, turn: &mut Turn<'_>) -> Option<Outcome> {
        if self.attempt.take().is_some() | self.look.take().is_some() {
            *known = Known::Nothing;
            self.look_at = Some(turn.now);
        }
        self.consider(known, turn)
    }
}

/// "JetStream system temporarily unavailable".
const UNAVAILABLE: (u64, u64) = (503, 10008);

/// Whether somebody may know better in a moment.
pub fn is_temporary(error: &Error) -> bool {
    error.kind == ErrorKind::Timeout || error.api == Some(UNAVAILABLE)
}

/// In the words of the server.
fn taken(revision: u64) -> Error {
    Error::new(ErrorKind::WrongLastSequence, format!("wrong last sequence: {revision}"))
}
