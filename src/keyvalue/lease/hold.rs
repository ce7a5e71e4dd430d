//! A key that is ours, from the write that has taken it to its end.
//!
//! It is valid as long as the server cannot have removed it: for the ttl, counted from the moment at which the
//! last write that is known to be stored was sent. Every third of that it is written again, under the revision
//! of the last write. An answer that got lost is no loss: the next write meets what the last one has stored,
//! and what the key has tells that it is ours.

use super::action::{Attempt, Reason, Turn};
use super::seen::{Content, Seen};
use crate::error::{Error, Kind, Result};
use crate::keyvalue::store::revision_in;
use std::time::{Duration, Instant};

/// The key is written so many times in the time after which it expires.
const WRITES: u32 = 3;

pub struct Hold {
    ttl: Duration,
    /// That of the last write which is known to be stored.
    revision: u64,
    valid_until: Instant,
    renew_at: Instant,
    /// Sent, and not answered yet.
    attempts: Vec<Attempt>,
    /// The key is being read.
    look: Option<u64>,
    /// The version of the value that is wanted, and the one that is stored.
    wanted: u64,
    stored: u64,
    ending: Ending,
    renewals: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    /// As soon as it is known what is stored.
    Wanted,
    /// The deletion of this number is on its way.
    Sent(u64),
}

/// How it ended.
#[derive(Debug, PartialEq)]
pub enum End {
    Lost(Reason),
    /// Whether it was ours until then.
    Released(Result<bool>),
}

impl Hold {
    /// Ours by this write, which has the revision `token`.
    pub fn new(ttl: Duration, taken: &Attempt, token: u64) -> Hold {
        Hold {
            ttl,
            revision: token,
            valid_until: taken.sent + ttl,
            renew_at: taken.sent + ttl / WRITES,
            attempts: Vec::new(),
            look: None,
            wanted: taken.version,
            stored: taken.version,
            ending: Ending::No,
            renewals: 0,
        }
    }

    pub fn is_valid(&self, now: Instant) -> bool {
        self.ending == Ending::No && now < self.valid_until
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn renewals(&self) -> u64 {
        self.renewals
    }

    pub fn remaining(&self, now: Instant) -> Duration {
        match self.is_valid(now) {
            true => self.valid_until.saturating_duration_since(now),
            false => Duration::ZERO,
        }
    }

    /// When `tick` has something to do.
    pub fn due(&self, connected: bool) -> Option<Instant> {
        match self.ending {
            Ending::No if connected => Some(self.renew_at.min(self.valid_until)),
            Ending::No | Ending::Wanted => Some(self.valid_until),
            // The request ends by itself.
            Ending::Sent(_) => None,
        }
    }

    /// Its end, if its time is over. To be asked before anything else is done with it: what was not valid for
    /// a moment is lost, whatever is heard afterwards, since somebody may have seen it.
    pub fn expired(&self, now: Instant) -> Option<End> {
        let over = now >= self.valid_until && !matches!(self.ending, Ending::Sent(_));
        over.then(|| self.lost(Reason::Expired))
    }

    /// The numbers of the writes that are on their way.
    pub fn under_way(&self) -> Vec<u64> {
        self.attempts.iter().map(|attempt| attempt.number).collect()
    }

    pub fn tick(&mut self, turn: &mut Turn<'_>) -> Option<End> {
        if self.ending == Ending::No && turn.now >= self.renew_at {
            self.renew(turn);
        }
        None
    }

    fn renew(&mut self, turn: &mut Turn<'_>) {
        if !turn.connected {
            // When there is a connection.
            return;
        }
        let (now, ttl) = (turn.now, self.ttl);
        self.attempts.retain(|attempt| now < attempt.sent + ttl);
        let number = turn.write(self.revision);
        self.attempts.push(Attempt { number, sent: now, version: self.wanted });
        self.renew_at = now + ttl / WRITES;
    }

    /// There is a new connection. What was not answered may be stored.
    pub fn connected(&mut self, turn: &mut Turn<'_>) -> Option<End> {
        self.look = None;
        match self.ending {
            Ending::No => self.renew(turn),
            Ending::Wanted => {
                self.attempts.clear();
                return self.proceed(turn);
            }
            Ending::Sent(_) => {}
        }
        None
    }

    /// What became of a write, or of the deletion.
    pub fn written(
        &mut self,
        number: u64,
        outcome: Result<u64>,
        turn: &mut Turn<'_>,
    ) -> Option<End> {
        if self.ending == Ending::Sent(number) {
            return Some(End::Released(match outcome {
                Ok(_) => Ok(true),
                Err(error) if error.kind == Kind::WrongLastSequence => Ok(false),
                Err(error) => Err(error),
            }));
        }
        let at = self.attempts.iter().position(|attempt| attempt.number == number)?;
        let attempt = self.attempts.remove(at);
        match outcome {
            Ok(revision) => self.confirmed(&attempt, revision, turn),
            Err(error) => match error.kind {
                Kind::WrongLastSequence => match revision_in(&error) {
                    // An earlier one was confirmed meanwhile.
                    met if met == self.revision => {}
                    0 => return Some(self.gone(false, turn.now)),
                    _ => {
                        if self.look.is_none() {
                            self.look = Some(turn.look());
                        }
                    }
                },
                Kind::BucketNotFound | Kind::StreamNotFound => {
                    return Some(self.lost(Reason::BucketDeleted));
                }
                // The next one is due before long, but a value is not waited for in vain.
                kind => {
                    if attempt.version > self.stored && kind != Kind::Timeout {
                        self.keep(attempt.version, error, turn);
                    }
                }
            },
        }
        self.proceed(turn)
    }

    fn confirmed(&mut self, attempt: &Attempt, revision: u64, turn: &mut Turn<'_>) {
        self.valid_until = self.valid_until.max(attempt.sent + self.ttl);
        self.revision = self.revision.max(revision);
        self.renewals += 1;
        if attempt.version > self.stored {
            self.stored = attempt.version;
            turn.stored(attempt.version);
        }
    }

    /// A value that is refused: the one before it is kept, and with it the key.
    fn keep(&mut self, refused: u64, error: Error, turn: &mut Turn<'_>) {
        if self.wanted == refused {
            self.wanted = self.stored;
        }
        // It has not renewed anything.
        self.renew_at = self.renew_at.min(self.valid_until - self.ttl + self.ttl / WRITES);
        turn.unstored(refused, error);
    }

    /// Does what has waited for an answer.
    fn proceed(&mut self, turn: &mut Turn<'_>) -> Option<End> {
        if !self.attempts.is_empty() || self.look.is_some() {
            return None;
        }
        match self.ending {
            Ending::Wanted if turn.connected => {
                self.ending = Ending::Sent(turn.delete(self.revision));
            }
            // It expires by itself.
            Ending::Wanted => return Some(End::Released(Ok(false))),
            Ending::No if self.wanted > self.stored => self.renew(turn),
            _ => {}
        }
        None
    }

    /// What the key has, from who knows best.
    pub fn looked(&mut self, number: u64, seen: Result<Seen>, turn: &mut Turn<'_>) -> Option<End> {
        if self.look != Some(number) {
            return None;
        }
        self.look = None;
        // Otherwise the next write tells.
        if let Ok(seen) = seen {
            match seen.content {
                Content::Ours(number) => {
                    self.own(number, seen.revision, turn);
                    if self.ending == Ending::No && self.attempts.is_empty() {
                        self.renew(turn);
                    }
                }
                Content::Gone { expired } => return Some(self.gone(expired, turn.now)),
                Content::Others(_) => return Some(self.lost(Reason::Conflict)),
            }
        }
        self.proceed(turn)
    }

    /// What a watch of the key tells, which may be late.
    pub fn seen(&mut self, seen: &Seen, turn: &mut Turn<'_>) -> Option<End> {
        if seen.revision <= self.revision {
            return None;
        }
        match seen.content {
            Content::Ours(number) => {
                self.own(number, seen.revision, turn);
                self.proceed(turn)
            }
            // That is the answer to come.
            Content::Gone { .. } if matches!(self.ending, Ending::Sent(_)) => None,
            Content::Gone { expired } => Some(self.gone(expired, turn.now)),
            Content::Others(_) => Some(self.lost(Reason::Conflict)),
        }
    }

    fn own(&mut self, number: u64, revision: u64, turn: &mut Turn<'_>) {
        match self.attempts.iter().position(|attempt| attempt.number == number) {
            Some(at) => {
                let attempt = self.attempts.remove(at);
                self.confirmed(&attempt, revision, turn);
            }
            None => self.revision = self.revision.max(revision),
        }
    }

    fn gone(&self, expired: bool, now: Instant) -> End {
        self.lost(match expired || now >= self.valid_until {
            true => Reason::Expired,
            false => Reason::Deleted,
        })
    }

    fn lost(&self, reason: Reason) -> End {
        match self.ending {
            Ending::No => End::Lost(reason),
            _ => End::Released(Ok(false)),
        }
    }

    /// The value has changed.
    pub fn change(&mut self, version: u64, turn: &mut Turn<'_>) {
        self.wanted = version;
        if self.attempts.is_empty() && self.look.is_none() {
            self.renew(turn);
        }
    }

    /// Gives the key back.
    pub fn release(&mut self, turn: &mut Turn<'_>) -> Option<End> {
        if self.ending != Ending::No {
            return None;
        }
        self.ending = Ending::Wanted;
        if !turn.connected {
            return Some(End::Released(Ok(false)));
        }
        self.proceed(turn)
    }

    /// The connection is about to be closed: gives the key back if that can be done with one message.
    pub fn leave(&mut self, turn: &mut Turn<'_>) -> End {
        let certain = self.attempts.is_empty() && self.look.is_none();
        if turn.connected && certain && !matches!(self.ending, Ending::Sent(_)) {
            turn.delete(self.revision);
        }
        self.closed()
    }

    pub fn closed(&self) -> End {
        match self.ending {
            Ending::No => End::Lost(Reason::Closed),
            _ => End::Released(Err(Error::connection_closed())),
        }
    }
}
