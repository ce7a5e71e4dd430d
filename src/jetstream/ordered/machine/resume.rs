//! Making the consumer again: when, and what if it fails.

use std::time::{Duration, Instant};

use super::initial::Initial;
use super::rollcall::RollCall;
use super::{Action, Machine, Phase};
use crate::error::{Error, Kind};
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::create::DeliverPolicy;

/// So often the user hears of attempts that fail, and so long the next one waits after an error
/// that will not pass by itself.
const RETRY: Duration = Duration::from_secs(10);
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long an attempt waits for its reply at first: a server without a leader does not say no, it
/// says nothing, and will be ready in a moment. On a slow link the growing patience is needed.
pub(super) const SHORTEST_PATIENCE: Duration = Duration::from_secs(1);
const LONGEST_PATIENCE: Duration = Duration::from_secs(5);
/// "maximum consumers limit reached": perhaps because of consumers that are just being deleted.
const TOO_MANY_CONSUMERS: u64 = 10026;

impl Machine {
    pub(super) fn reset(&mut self, code: Kind, now: Instant, out: &mut Vec<Action>) {
        self.forget_consumer(out);
        self.code = code;
        self.check_stream |= code == Kind::ConsumerNotActive;
        self.announce(out);
        self.attempt(now, out);
        self.settle(now, out);
    }

    pub(super) fn announce(&self, out: &mut Vec<Action>) {
        let (next, code) = (self.stream_seq + 1, self.code.code());
        let text = format!("reset with opt_start_seq = {next} due to {code}");
        out.push(Action::LastError(self.code, text));
    }

    pub(super) fn attempt(&mut self, now: Instant, out: &mut Vec<Action>) {
        if !self.connected {
            self.go_offline(now);
        } else if self.check_stream
            && self.may_ask_stream
            && (!self.first || self.may_begin_too_far())
        {
            self.ask_stream(out);
        } else {
            self.go_on(now, out);
        }
    }

    /// Makes the consumer, unless the message that it would begin with has to be passed first.
    pub(super) fn go_on(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.is_next_unreadable() {
            self.ask_next_message(out);
        } else {
            self.create(now, out);
        }
    }

    pub(super) fn go_offline(&mut self, now: Instant) {
        let again = self.around.timeout.map(|timeout| now + timeout);
        self.phase = Phase::Offline { deadline: if self.first { self.deadline } else { again } };
    }

    pub(super) fn attempt_failed(&mut self, error: Error, now: Instant, out: &mut Vec<Action>) {
        if error.kind != Kind::Timeout {
            self.consumer_is_gone();
        }
        self.forget_consumer(out);
        if self.first && self.waits_for_deletion(&error) && self.deadline.is_none_or(|at| now < at)
        {
            self.phase = Phase::Waiting { retry_at: now + self.next_pause(), silent: true };
            return self.settle(now, out);
        }
        if self.first {
            self.phase = Phase::Stopped;
            out.push(Action::Failed(error));
            return;
        }
        match error.kind {
            // Perhaps it is just being made again.
            Kind::StreamNotFound if self.stream_deadline().is_some_and(|end| now < end) => {
                let pause = now + self.next_pause();
                let retry_at = self.stream_deadline().map_or(pause, |end| pause.min(end));
                self.phase = Phase::Waiting { retry_at, silent: true };
            }
            Kind::StreamNotFound => {
                self.give_up(Kind::StreamNotFound, "stopped due to stream not found", out);
            }
            Kind::ConnectionClosed => self.give_up(Kind::ConnectionClosed, "stopped", out),
            _ => {
                let silent = !self.report(&error, now, out);
                let pause = match silent || is_passing(&error) {
                    true => self.next_pause(),
                    false => RETRY + self.random_part(RETRY / 10),
                };
                self.phase = Phase::Waiting { retry_at: now + pause, silent };
            }
        }
        self.settle(now, out);
    }

    /// Tells the user of an attempt that failed, unless it is no news. Whether it did.
    pub(super) fn report(&mut self, error: &Error, now: Instant, out: &mut Vec<Action>) -> bool {
        let known = self.is_settling(error, now)
            || self.was_reported(error, now)
            || self.waits_for_deletion(error);
        if !known {
            let text = format!("failed to reset: {}", error.message);
            out.push(Action::LastError(error.kind, text));
            self.reported = Some(now);
        }
        !known
    }

    pub(super) fn give_up(&mut self, kind: Kind, text: &str, out: &mut Vec<Action>) {
        self.forget_consumer(out);
        self.phase = Phase::Stopped;
        out.push(Action::LastError(kind, text.to_owned()));
        self.change_state(ConsumerState::Stopped, out);
    }

    pub(super) fn recreated(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.forget_consumer(out);
        self.stream_seq = 0;
        self.holes_from = None;
        // A snapshot of the new stream is as good as it was of the old one. There is no second end
        // of data.
        self.catching_up |= self.spec.policy == DeliverPolicy::LastPerSubject;
        self.initial = Initial::default();
        self.roll_call = RollCall::NotNeeded;
        self.change_state(ConsumerState::Recreated, out);
        self.need_roll_call(now);
        self.create(now, out);
        self.settle(now, out);
    }

    /// A server that has just come back may need a moment for JetStream.
    pub(super) fn is_settling(&self, error: &Error, now: Instant) -> bool {
        is_passing(error) && self.silent_until.is_some_and(|until| now < until)
    }

    /// Whether the user has just heard of a failure like this one. What passes is tried again soon,
    /// but not reported more often than what does not.
    fn was_reported(&self, error: &Error, now: Instant) -> bool {
        is_passing(error) && self.reported.is_some_and(|at| now < at + RETRY)
    }

    /// Whether the consumer could not be made because of those that were left just now.
    fn waits_for_deletion(&self, error: &Error) -> bool {
        is_too_many(error) && (self.around.just_discarded)()
    }

    /// Until when a stream that is not there may be made again and is followed: three heartbeats
    /// from when it could last be seen.
    fn stream_deadline(&self) -> Option<Instant> {
        let seen = self.last_traffic.max(self.stream_seen);
        self.silence_limit().map(|limit| seen + limit)
    }

    /// For how long the next creation may wait.
    pub(super) fn next_patience(&mut self) -> Duration {
        let limit = self.around.timeout.unwrap_or(LONGEST_PATIENCE);
        let patience = self.patience.min(limit);
        self.patience = (self.patience * 3 / 2).min(LONGEST_PATIENCE);
        patience
    }

    /// Growing pauses, each one different, so that a thousand consumers do not ask at once.
    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause / 2 + self.random_part(pause)
    }

    fn random_part(&mut self, of: Duration) -> Duration {
        // SplitMix64
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        of * u32::try_from(z % 1000).unwrap_or(0) / 1000
    }
}

/// What a server answers, or does not, while a cluster chooses its leaders.
fn is_passing(error: &Error) -> bool {
    match error.kind {
        Kind::JetStreamNotEnabled | Kind::JetStreamNotEnabledForAccount | Kind::Timeout => true,
        Kind::JsResponse => matches!(error.api, Some((503, _))) || is_too_many(error),
        _ => false,
    }
}

fn is_too_many(error: &Error) -> bool {
    matches!(error.api, Some((_, TOO_MANY_CONSUMERS)))
}
