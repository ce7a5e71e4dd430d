//! The passing of time: missing heartbeats, missing messages, the end of data that nobody announced,
//! retries that are due. And the state that all of this adds up to.

use std::time::{Duration, Instant};

use super::{Action, Machine, Phase, Reason, Suspicion};
use crate::error::Kind;
use crate::jetstream::ordered::ConsumerState;

/// Heartbeats may be missing this often before the consumer counts as gone.
const HEARTBEATS: u32 = 3;
/// Without messages for so long, the initial data may have ended without its last message.
pub(super) const QUIET: Duration = Duration::from_millis(500);
const LONGEST_QUIET: Duration = Duration::from_secs(5);
/// Messages that the server has sent already get so long to arrive.
pub(super) const IN_FLIGHT: Duration = Duration::from_millis(500);
/// After a reconnection what was sent before is lost, and only what the server sent together with
/// its answer may still arrive.
pub(super) const CROSSING: Duration = Duration::from_millis(100);

impl Suspicion {
    fn due(&self, last_message: Instant) -> Instant {
        self.since.max(last_message) + self.patience
    }
}

impl Machine {
    /// The time that was asked for has come.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.armed = None;
        match self.phase {
            Phase::Running => self.supervise(now, out),
            Phase::Offline { deadline: Some(deadline) } if now >= deadline => {
                self.attempt_failed(self.timed_out(), now, out);
            }
            Phase::Waiting { retry_at, silent } if self.connected && now >= retry_at => {
                if !silent {
                    self.announce(out);
                }
                self.attempt(now, out);
            }
            _ => {}
        }
        self.settle(now, out);
    }

    fn supervise(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.heartbeat_deadline().is_some_and(|deadline| now >= deadline) {
            return self.reset(Kind::ConsumerNotActive, now, out);
        }
        if let Some(suspicion) = &self.suspicion {
            if self.consumer_seq >= suspicion.consumer_seq {
                self.suspicion = None;
            } else if now >= suspicion.due(self.last_message) {
                return self.reset(Kind::ConsumerSequenceMismatch, now, out);
            }
        }
        if self.roll_call_due().is_some_and(|at| now >= at) {
            self.call_roll(out);
        }
        self.look_again(now, out);
        if self.probe_retry.is_some_and(|at| now >= at) {
            self.ask_consumer(Reason::Reconnect, out);
        } else if self.silence_deadline().is_some_and(|at| now >= at) {
            self.silence_asked = Some(self.last_traffic);
            self.ask_consumer(Reason::Silence, out);
        } else if self.quiet_deadline().is_some_and(|deadline| now >= deadline) {
            let progress = self.consumer_seq != self.quiet_seq;
            self.quiet_pause =
                if progress { QUIET } else { (self.quiet_pause * 2).min(LONGEST_QUIET) };
            self.quiet_seq = self.consumer_seq;
            self.quiet_since = now;
            self.ask_consumer(Reason::Quiet, out);
        }
    }

    fn heartbeat_deadline(&self) -> Option<Instant> {
        self.silence_limit().map(|limit| self.last_traffic + limit)
    }

    /// For how long there may be nothing to hear.
    pub(super) fn silence_limit(&self) -> Option<Duration> {
        let interval = self.spec.config.idle_heartbeat;
        (!interval.is_zero()).then(|| interval * HEARTBEATS)
    }

    /// When to ask why a heartbeat is late, once in each silence. It tells a consumer that has gone
    /// before the others are missing, and a stream that is deleted from one that was made again.
    fn silence_deadline(&self) -> Option<Instant> {
        let asks = self.connected
            && self.probe.is_none()
            && self.may_ask_consumer
            && self.silence_asked != Some(self.last_traffic);
        self.silence_limit().filter(|_| asks).map(|limit| self.last_traffic + limit / 2)
    }

    /// When to ask whether the initial data is over. Not while the server waits for our credit.
    fn quiet_deadline(&self) -> Option<Instant> {
        let idle = self.connected && self.probe.is_none() && !self.credit.owes();
        (self.catching_up && idle)
            .then(|| self.last_message.max(self.quiet_since) + self.quiet_pause)
    }

    /// Reports the state and sets the timer, both only when they have changed. A timer that is set
    /// for too early stays: `tick` sets the next one.
    pub(super) fn settle(&mut self, now: Instant, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        self.change_state(self.present_state(), out);
        let next = match self.phase {
            Phase::Running => {
                let arrival = self.suspicion.as_ref().map(|s| s.due(self.last_message));
                let deadlines = [
                    self.heartbeat_deadline(),
                    arrival,
                    self.probe_retry,
                    self.quiet_deadline(),
                    self.silence_deadline(),
                    self.roll_call_due(),
                    self.initial.again_at(),
                ];
                deadlines.into_iter().flatten().min()
            }
            Phase::Offline { deadline } => deadline,
            Phase::Waiting { retry_at, .. } => self.connected.then_some(retry_at),
            Phase::Creating
            | Phase::Checking { .. }
            | Phase::Passing { .. }
            | Phase::Full
            | Phase::Stopped => None,
        };
        if let Some(next) = next.map(|next| next.max(now))
            && self.armed.is_none_or(|armed| next < armed)
        {
            self.armed = Some(next);
            out.push(Action::SetTimer(next));
        }
    }

    pub(super) fn present_state(&self) -> ConsumerState {
        let doubtful = self.suspicion.is_some() || self.probe_retry.is_some() || self.is_doubtful();
        match self.phase {
            Phase::Stopped => ConsumerState::Stopped,
            _ if self.first => ConsumerState::Initial,
            _ if !self.connected => ConsumerState::Stale,
            Phase::Running if doubtful => ConsumerState::Stale,
            Phase::Running | Phase::Full if self.end_sent => ConsumerState::Live,
            Phase::Running | Phase::Full => ConsumerState::Initial,
            _ => ConsumerState::Resuming,
        }
    }

    pub(super) fn change_state(&mut self, state: ConsumerState, out: &mut Vec<Action>) {
        if self.state.replace(state) != Some(state) {
            out.push(Action::State(state));
        }
    }
}
