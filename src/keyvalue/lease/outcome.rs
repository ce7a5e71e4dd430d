//! What follows from how a claim or a hold has ended.

use super::action::{Action, Event, Kind, Reason, Turn};
use super::claim::{Claim, Known, Outcome};
use super::hold::{End, Hold};
use super::machine::{Machine, Phase, turn};
use std::time::Instant;

impl Machine {
    pub(super) fn claimed(
        &mut self,
        outcome: Option<Outcome>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let mut turn = turn!(self, now, out);
        match outcome {
            None => {}
            Some(Outcome::Refused(error)) => {
                turn.tell(Event::Refused(error));
                self.over(now, out);
            }
            Some(Outcome::Taken(attempt, revision)) => {
                let mut hold = Hold::new(self.ttl, &attempt, revision);
                self.token = revision;
                self.told = None;
                if self.kind != Kind::Forever {
                    turn.unwatch();
                }
                turn.tell(Event::Acquired(revision));
                if self.version > attempt.version {
                    hold.change(self.version, &mut turn);
                }
                self.phase = Phase::Holding(hold);
            }
        }
    }

    pub(super) fn ended(&mut self, end: Option<End>, now: Instant, out: &mut Vec<Action>) {
        let Some(end) = end else { return };
        let again = self.kind == Kind::Forever && !self.leaving;
        let under_way = self.hold().map(Hold::under_way).unwrap_or_default();
        let mut turn = turn!(self, now, out);
        let mut not_before = None;
        match end {
            End::Lost(reason) => turn.tell(Event::Lost(reason)),
            End::Released(outcome) => {
                if again {
                    turn.tell(Event::Lost(Reason::Resigned));
                    // Others have their turn, if there are any.
                    not_before = Some(now + self.ttl);
                }
                turn.tell(Event::Released(outcome));
            }
        }
        if !again {
            return self.leave_writes(under_way, now, out);
        }
        let mut claim = Claim::new(self.kind, self.ttl, not_before);
        let outcome = claim.consider(&self.known, &mut turn);
        self.phase = Phase::Claiming(claim);
        self.claimed(outcome, now, out);
        self.announce(now, out);
    }

    pub(super) fn leave_claim(&mut self, now: Instant, out: &mut Vec<Action>) {
        let under_way = match &self.phase {
            Phase::Claiming(claim) => claim.under_way(),
            _ => None,
        };
        self.leave_writes(under_way.into_iter().collect(), now, out);
    }

    /// Nobody wants the key any more, which these writes may have stored all the same.
    fn leave_writes(&mut self, under_way: Vec<u64>, now: Instant, out: &mut Vec<Action>) {
        if under_way.is_empty() || !self.connected {
            return self.over(now, out);
        }
        turn!(self, now, out).unwatch();
        self.phase = Phase::LeavingWrites(under_way);
    }

    pub(super) fn over(&mut self, now: Instant, out: &mut Vec<Action>) {
        turn!(self, now, out).unwatch();
        self.phase = Phase::Over;
    }

    /// Tells who leads, if somebody else does whom the program does not know.
    pub(super) fn announce(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.kind != Kind::Forever || !matches!(self.phase, Phase::Claiming(_)) {
            return;
        }
        let holder = self.known.holder();
        match (holder, &self.told) {
            (Some(holder), Some(told)) if holder.is(told) && holder.value == told.value => {}
            (Some(holder), _) => {
                let (value, holder) = (holder.value.clone(), holder.clone());
                self.told = Some(holder);
                turn!(self, now, out).tell(Event::Led(value));
            }
            (None, _) => {
                if matches!(self.known, Known::Free(_)) {
                    self.told = None;
                }
            }
        }
    }
}
