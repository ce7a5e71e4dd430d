//! The passing of time: silence, pauses after refusals, questions that are due.

use std::time::{Duration, Instant};

use super::super::{Report, State};
use super::{Action, Machine, Phase, Wish};
use crate::error::{Error, Kind};

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Doubling goes so far.
const DOUBLINGS: u32 = 7;
/// So many heartbeats may be missing.
const HEARTBEATS: u32 = 2;

impl Machine {
    /// The time that was asked for has come.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.armed = None;
        match self.phase {
            Phase::Running if self.silence_deadline().is_some_and(|at| now >= at) => {
                self.silent(now, out);
            }
            Phase::Running => self.refill(now, out),
            Phase::Waiting { until } if self.connected && now >= until => {
                self.ask_consumer(now, out);
            }
            Phase::Retiring { until, .. } if now >= until => self.retired_now(now, out),
            _ => {}
        }
        self.settle(now, out);
    }

    /// No word in the time of several heartbeats, though the server owes some.
    fn silent(&mut self, now: Instant, out: &mut Vec<Action>) {
        let text = "Missing heartbeats";
        let error = Error::new(Kind::ConsumerNotActive, text);
        self.stale(None, text, Some(error), out);
        self.retire(true, now, out);
    }

    fn silence_deadline(&self) -> Option<Instant> {
        let limit = self.heartbeat() * HEARTBEATS;
        (self.books.asked() > 0).then(|| self.last_traffic + limit)
    }

    /// A sign of life.
    pub(super) fn heard(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.last_traffic = self.last_traffic.max(now);
        if matches!(self.phase, Phase::Running)
            && !matches!(self.state, Some(State::Live | State::Stale) | None)
        {
            self.change_state(Report::new(State::Live, ""), out);
        }
    }

    /// The server has refused something: the next request waits, each time longer.
    pub(super) fn refused(&mut self, now: Instant) {
        self.pause_until = Some(now + self.next_pause());
    }

    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = (SHORTEST_PAUSE * 2_u32.pow(self.refusals.min(DOUBLINGS))).min(LONGEST_PAUSE);
        self.refusals += 1;
        pause * 3 / 4 + self.random_part(pause / 2)
    }

    /// So that a thousand consumers do not ask at once.
    fn random_part(&mut self, of: Duration) -> Duration {
        // xorshift64
        self.random |= 1;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        of * u32::try_from(self.random % 1000).unwrap_or(0) / 1000
    }

    /// Sets the timer if it has to be earlier. One that is too early stays: `tick` sets the next one.
    pub(super) fn settle(&mut self, now: Instant, out: &mut Vec<Action>) {
        let next = match self.phase {
            Phase::Running => {
                let pause = self.pause_until.filter(|_| self.wish == Wish::Run);
                [self.silence_deadline(), pause].into_iter().flatten().min()
            }
            Phase::Waiting { until } => self.connected.then_some(until),
            Phase::Retiring { until, .. } => Some(until),
            Phase::Offline | Phase::Asking { .. } | Phase::Stopped => None,
        };
        if let Some(next) = next.map(|next| next.max(now))
            && self.armed.is_none_or(|armed| next < armed)
        {
            self.armed = Some(next);
            out.push(Action::SetTimer(next));
        }
    }
}
