//! The state machine of a key that somebody wants: no I/O and no clock. Inputs come with the time, what is to be done
//! goes out as a list of actions.
//!
//! ```text
//!                    written              lost, or resigned (a candidate)
//!       Claiming ───────────────▶ Holding ───────────────────────────────▶ Claiming
//!          │ refused, given up       │ lost, released
//!          ▼                         ▼
//!        Leaving ────────────────▶ Over
//! ```
//! A hold whose time is over is lost before anything else is looked at.
//!
//! What is written is numbered, and so is each reading and each watch: answers that name an older one are ignored.

use super::action::{Action, Event, Kind, Turn};
use super::claim::{Claim, Known, is_temporary};
use super::hold::Hold;
use super::seen::{Content, Holder, Seen};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::transport::ConnState;
use std::time::{Duration, Instant};

pub(super) enum Phase {
    Claiming(Claim),
    Holding(Hold),
    /// Given up while these writes were on their way: what they have stored is given back.
    LeavingWrites(Vec<u64>),
    /// The deletion of this number is on its way, and nobody waits for it.
    Leaving(u64),
    Over,
}

pub struct Machine {
    pub(super) kind: Kind,
    pub(super) ttl: Duration,
    pub(super) deadline: Option<Instant>,
    pub(super) phase: Phase,
    pub(super) known: Known,
    pub(super) watch: Option<u64>,
    pub(super) connected: bool,
    pub(super) generation: u64,
    pub(super) numbers: u64,
    pub(super) version: u64,
    /// The watch of a candidate has begun once.
    pub(super) begun: bool,
    /// Nobody wants the key any more.
    pub(super) leaving: bool,
    /// Who leads, as the program was told.
    pub(super) told: Option<Holder>,
    pub(super) token: u64,
}

/// How long a bucket that has gone is left alone.
const BUCKET_PAUSE: Duration = Duration::from_secs(2);

/// The parts of a machine that an input needs, each by itself.
macro_rules! turn {
    ($machine:ident, $now:ident, $out:ident) => {
        Turn {
            now: $now,
            connected: $machine.connected,
            version: $machine.version,
            numbers: &mut $machine.numbers,
            watch: &mut $machine.watch,
            out: $out,
        }
    };
}
pub(super) use turn;

impl Machine {
    /// `deadline`: when who waits for the key gives up.
    pub fn new(kind: Kind, ttl: Duration, deadline: Option<Instant>) -> Machine {
        Machine {
            kind,
            ttl,
            deadline,
            phase: Phase::Claiming(Claim::new(kind, ttl, None)),
            // Most likely nobody has it, and nothing is lost by trying. A candidate watches first.
            known: if kind == Kind::Forever { Known::Nothing } else { Known::Free(0) },
            watch: None,
            connected: false,
            generation: 0,
            numbers: 0,
            version: 0,
            begun: false,
            leaving: false,
            told: None,
            token: 0,
        }
    }

    // ------------------------------------------------------------------------------ what is so

    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    pub fn hold(&self) -> Option<&Hold> {
        match &self.phase {
            Phase::Holding(hold) => Some(hold),
            _ => None,
        }
    }

    pub fn is_valid(&self, now: Instant) -> bool {
        self.hold().is_some_and(|hold| hold.is_valid(now))
    }

    /// Of the key that is ours, or was last.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// That of the value.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The value of somebody else who has the key.
    pub fn other(&self) -> Option<&[u8]> {
        self.known.holder().map(|holder| holder.value.as_slice())
    }

    /// When to call `tick`.
    pub fn due(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Claiming(claim) => {
                let due = claim.due(&self.known).filter(|_| self.connected);
                due.into_iter().chain(self.deadline).min()
            }
            Phase::Holding(hold) => hold.due(self.connected),
            _ => None,
        }
    }

    pub fn is_watch(&self, number: u64) -> bool {
        self.watch == Some(number)
    }

    // ---------------------------------------------------------------------------------- inputs

    pub fn connection(&mut self, state: ConnState, now: Instant, out: &mut Vec<Action>) {
        let known = self.connected.then_some(self.generation);
        let generation = match state {
            ConnState::Connected(generation) if known == Some(generation) => return,
            ConnState::Connected(generation) => generation,
            ConnState::Disconnected => {
                self.connected = false;
                return;
            }
            ConnState::Closed => return self.closed(now, out),
        };
        self.connected = false;
        self.expire(now, out);
        (self.connected, self.generation) = (true, generation);
        let mut turn = turn!(self, now, out);
        match &mut self.phase {
            Phase::Claiming(claim) => {
                let outcome = claim.connected(&mut self.known, &mut turn);
                self.claimed(outcome, now, out);
            }
            Phase::Holding(hold) => {
                let end = hold.connected(&mut turn);
                self.ended(end, now, out);
            }
            // The answer has gone with the old connection.
            Phase::LeavingWrites(_) | Phase::Leaving(_) => self.over(now, out),
            Phase::Over => {}
        }
    }

    /// Ends a hold whose time is over.
    fn expire(&mut self, now: Instant, out: &mut Vec<Action>) {
        let end = self.hold().and_then(|hold| hold.expired(now));
        self.ended(end, now, out);
    }

    pub fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.expire(now, out);
        let mut turn = turn!(self, now, out);
        match &mut self.phase {
            Phase::Claiming(_) if self.deadline.is_some_and(|deadline| now >= deadline) => {
                let late = Error::new(ErrorKind::Timeout, "The key was not free in time");
                turn.tell(Event::Refused(late));
                self.leave_claim(now, out);
            }
            Phase::Claiming(claim) => {
                let outcome = claim.consider(&self.known, &mut turn);
                self.claimed(outcome, now, out);
            }
            Phase::Holding(hold) => {
                let end = hold.tick(&mut turn);
                self.ended(end, now, out);
            }
            _ => {}
        }
    }

    /// What became of `Write` or `Delete`.
    pub fn written(
        &mut self,
        number: u64,
        outcome: Result<u64>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        self.expire(now, out);
        let mut turn = turn!(self, now, out);
        match &mut self.phase {
            Phase::Claiming(claim) => {
                let outcome = claim.written(number, outcome, &mut self.known, &mut turn);
                self.claimed(outcome, now, out);
            }
            Phase::Holding(hold) => {
                let end = hold.written(number, outcome, &mut turn);
                self.ended(end, now, out);
            }
            Phase::LeavingWrites(numbers) => {
                let before = numbers.len();
                numbers.retain(|known| *known != number);
                match outcome {
                    Ok(revision) if numbers.len() < before => {
                        self.phase = Phase::Leaving(turn.delete(revision));
                    }
                    _ if numbers.is_empty() => self.over(now, out),
                    _ => {}
                }
            }
            Phase::Leaving(last) if *last == number => self.over(now, out),
            _ => {}
        }
    }

    /// The answer to `Look`.
    pub fn looked(&mut self, number: u64, seen: Result<Seen>, now: Instant, out: &mut Vec<Action>) {
        self.expire(now, out);
        let mut turn = turn!(self, now, out);
        match &mut self.phase {
            Phase::Claiming(claim) => {
                let outcome = claim.looked(number, seen, &mut self.known, &mut turn);
                self.claimed(outcome, now, out);
                self.announce(now, out);
            }
            Phase::Holding(hold) => {
                if let Ok(seen) = &seen {
                    self.known.learn(seen, now);
                }
                let end = hold.looked(number, seen, &mut turn);
                self.ended(end, now, out);
            }
            _ => {}
        }
    }

    /// The watch has begun, or never will.
    pub fn watch_started(
        &mut self,
        number: u64,
        outcome: Result<()>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !self.is_watch(number) {
            return;
        }
        match outcome {
            Ok(()) if self.kind == Kind::Forever && !self.begun => {
                self.begun = true;
                turn!(self, now, out).tell(Event::Watching);
            }
            Ok(()) => {}
            Err(error) => self.watch_ended(number, error, now, out),
        }
    }

    /// The watch has ended, for good.
    pub fn watch_ended(&mut self, number: u64, error: Error, now: Instant, out: &mut Vec<Action>) {
        if !self.is_watch(number) {
            return;
        }
        let mut turn = turn!(self, now, out);
        turn.unwatch();
        self.known = Known::Nothing;
        let goes_on = match self.kind {
            Kind::Forever => self.begun,
            _ => is_temporary(&error),
        };
        if goes_on {
            if let Phase::Claiming(claim) = &mut self.phase {
                *claim = Claim::new(self.kind, self.ttl, Some(now + BUCKET_PAUSE));
            }
            return;
        }
        if let Phase::Claiming(_) = self.phase {
            turn.tell(Event::Refused(error));
            self.leave_claim(now, out);
        }
    }

    /// What the watch of the key tells.
    pub fn seen(&mut self, seen: &Seen, now: Instant, out: &mut Vec<Action>) {
        self.expire(now, out);
        // A reading was quicker.
        if seen.revision != 0 && seen.revision < self.known.revision() {
            return;
        }
        self.known.learn(seen, now);
        let mut turn = turn!(self, now, out);
        match &mut self.phase {
            Phase::Claiming(claim) => {
                if matches!(seen.content, Content::Others(_)) {
                    claim.taken_over();
                }
                let outcome = claim.told(&self.known, &mut turn);
                self.claimed(outcome, now, out);
            }
            Phase::Holding(hold) => {
                let end = hold.seen(seen, &mut turn);
                self.ended(end, now, out);
            }
            _ => {}
        }
        self.announce(now, out);
    }

    /// All that there was has been told, and there was nothing; or it has vanished without a word.
    pub fn nothing(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.hold().is_none() {
            self.seen(&Seen::NOTHING, now, out);
        }
    }

    /// There was nothing, if nothing was told.
    pub fn end_of_data(&mut self, now: Instant, out: &mut Vec<Action>) {
        if matches!(self.known, Known::Nothing) {
            self.nothing(now, out);
        }
    }

    /// So it was when the stream ended with this revision.
    pub fn vanished(&mut self, last: u64, now: Instant, out: &mut Vec<Action>) {
        if self.known.revision() <= last {
            self.nothing(now, out);
        }
    }

    /// The bucket was made again: revisions begin anew.
    pub fn recreated(&mut self) {
        self.known = Known::Nothing;
    }

    /// The value is another one.
    pub fn change(&mut self, version: u64, now: Instant, out: &mut Vec<Action>) {
        self.version = version;
        self.expire(now, out);
        let mut turn = turn!(self, now, out);
        if let Phase::Holding(hold) = &mut self.phase {
            hold.change(version, &mut turn);
        }
    }

    /// Gives the key back. A candidate stays one.
    pub fn release(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.expire(now, out);
        let mut turn = turn!(self, now, out);
        if let Phase::Holding(hold) = &mut self.phase {
            let end = hold.release(&mut turn);
            self.ended(end, now, out);
        }
    }

    /// The same, and that is the end.
    pub fn destroy(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.leaving = true;
        match self.phase {
            Phase::Claiming(_) => self.leave_claim(now, out),
            _ => self.release(now, out),
        }
    }

    /// It cannot be done.
    pub fn refuse(&mut self, error: Error, now: Instant, out: &mut Vec<Action>) {
        if let Phase::Claiming(_) = self.phase {
            turn!(self, now, out).tell(Event::Refused(error));
            self.over(now, out);
        }
    }

    /// The connection is about to be closed by the program.
    pub fn leave(&mut self, now: Instant, out: &mut Vec<Action>) {
        let mut turn = turn!(self, now, out);
        turn.unwatch();
        if let Phase::Holding(hold) = &mut self.phase {
            let end = hold.leave(&mut turn);
            self.connected = false;
            self.ended(Some(end), now, out);
        }
        self.closed(now, out);
    }

    /// There is no connection any more. A candidate waits for another one.
    fn closed(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.connected = false;
        turn!(self, now, out).unwatch();
        self.known = Known::Nothing;
        if let Phase::Holding(hold) = &self.phase {
            let end = hold.closed();
            return self.ended(Some(end), now, out);
        }
        match self.kind == Kind::Forever && self.begun && !self.leaving {
            true => self.phase = Phase::Claiming(Claim::new(self.kind, self.ttl, None)),
            false => self.over(now, out),
        }
    }
}
