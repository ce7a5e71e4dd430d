//! Making the consumer, and making it again: when, from where, and what if it fails.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Action, Machine, Phase, created};
use crate::error::{Error, Kind};
use crate::jetstream::api::{Op, request_error};
use crate::jetstream::ordered::create::Policy;
use crate::jetstream::ordered::{ConsumerState, Resume};
use crate::transport::RequestError;

const RETRY: Duration = Duration::from_secs(10);
/// While a server settles after a reconnection, failures are expected and not worth a word.
const SETTLING: Duration = Duration::from_secs(3);
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A consumer must not wait long for an account that may not ask about streams.
const STREAM_CHECK: Duration = Duration::from_secs(1);
/// Two servers of a cluster may disagree on the time.
const CLOCK_SKEW_NS: i128 = 1_000_000_000;

impl Machine {
    pub(super) fn reconnected(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.connected = true;
        self.count_bounce();
        self.check_stream = true;
        self.silent_until = Some(now + SETTLING);
        self.pause = SHORTEST_PAUSE;
        // Each attempt has a timer of its own; connections may be lost faster than it runs.
        let late = self.first && self.deadline.is_some_and(|deadline| now >= deadline);
        if late && !self.is_stopped() {
            return self.attempt_failed(self.timed_out(), now, out);
        }
        match self.phase {
            Phase::Running => {
                self.suspicion = None;
                self.ask_consumer(true, out);
            }
            // Nobody knows whether that request got through. One that waits for its first connection
            // is in good hands.
            Phase::Creating if self.sent => {
                self.forget_consumer(out);
                self.attempt(now, out);
            }
            Phase::Offline { .. } | Phase::Checking { .. } | Phase::Stepping { .. } => {
                self.attempt(now, out)
            }
            Phase::Waiting { silent, .. } => {
                if !silent {
                    self.announce(out);
                }
                self.attempt(now, out);
            }
            Phase::Creating | Phase::Stopped => {}
        }
    }

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
        } else if self.check_stream && self.may_ask_stream && !self.first {
            self.tokens += 1;
            let token = self.tokens;
            self.phase = Phase::Checking { token };
            let timeout = self.around.timeout.unwrap_or(STREAM_CHECK).min(STREAM_CHECK);
            out.push(Action::AskStream { token, timeout });
        } else {
            self.go_on(now, out);
        }
    }

    /// Makes the consumer, unless the message that it would begin with has to be passed first.
    pub(super) fn go_on(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.is_poisoned() {
            self.ask_next_message(out);
        } else {
            self.create(now, out);
        }
    }

    pub(super) fn go_offline(&mut self, now: Instant) {
        let again = self.around.timeout.map(|timeout| now + timeout);
        self.phase = Phase::Offline { deadline: if self.first { self.deadline } else { again } };
    }

    /// Listens before it asks: messages may be faster than the reply.
    pub(super) fn create(&mut self, now: Instant, out: &mut Vec<Action>) {
        let snapshot = self.spec.resume == Resume::SnapshotThenSequence
            && self.spec.policy == Policy::LastPerSubject
            && self.catching_up
            && !self.bounces.passed;
        let begun = !self.first || self.stream_seq > 0;
        self.asked_from = (begun && !snapshot).then_some(self.stream_seq + 1);
        self.repeating = begun && snapshot;
        self.sent = self.connected;
        self.incarnation += 1;
        self.listening = true;
        self.consumer_seq = 0;
        self.received = 0;
        self.expected = None;
        self.gap = false;
        self.seen.clear();
        self.phase = Phase::Creating;
        let inbox = (self.around.new_inbox)();
        let request = match self.asked_from {
            Some(from) => self.spec.config.create_request(&Policy::ByStartSequence(from), &inbox),
            None => self.spec.config.create_request(&self.spec.policy, &inbox),
        };
        let incarnation = self.incarnation;
        out.push(Action::Subscribe { incarnation, inbox });
        let timeout = match self.deadline.filter(|_| self.first) {
            Some(deadline) => Some(deadline.saturating_duration_since(now)),
            None => self.around.timeout,
        };
        out.push(Action::Create { incarnation, request, timeout });
    }

    pub(super) fn timed_out(&self) -> Error {
        let op = Op::ConsumerCreate { stream: self.stream(), name: None, filter: None };
        request_error(&op.subject(&self.around.api_prefix), RequestError::Timeout)
    }

    pub(super) fn attempt_failed(&mut self, error: Error, now: Instant, out: &mut Vec<Action>) {
        self.forget_consumer(out);
        if self.first {
            self.phase = Phase::Stopped;
            out.push(Action::Failed(error));
            return;
        }
        match error.kind {
            Kind::StreamNotFound => {
                self.give_up(Kind::StreamNotFound, "stopped due to stream not found", out);
            }
            Kind::ConnectionClosed => self.give_up(Kind::ConnectionClosed, "stopped", out),
            _ if self.is_settling(&error, now) => {
                self.phase = Phase::Waiting { retry_at: now + self.next_pause(), silent: true };
            }
            kind => {
                let text = format!("failed to reset: {}", error.message);
                out.push(Action::LastError(kind, text));
                let retry_at = now + RETRY + self.random_part(RETRY / 10);
                self.phase = Phase::Waiting { retry_at, silent: false };
            }
        }
        self.settle(now, out);
    }

    pub(super) fn give_up(&mut self, kind: Kind, text: &str, out: &mut Vec<Action>) {
        self.forget_consumer(out);
        self.phase = Phase::Stopped;
        out.push(Action::LastError(kind, text.to_owned()));
        self.change_state(ConsumerState::Stopped, out);
    }

    pub(super) fn forget_consumer(&mut self, out: &mut Vec<Action>) {
        if self.listening {
            self.listening = false;
            out.push(Action::Unsubscribe);
        }
        self.name.clear();
        self.owed = None;
        self.paid = None;
        self.probe = None;
        self.probe_retry = None;
        self.suspicion = None;
        self.gap = false;
    }

    pub(super) fn recreated(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.forget_consumer(out);
        self.stream_seq = 0;
        // A snapshot of the new stream is as good as it was of the old one. There is no second end
        // of data.
        self.catching_up |= self.spec.policy == Policy::LastPerSubject;
        self.change_state(ConsumerState::Recreated, out);
        self.need_roll_call(now);
        self.create(now, out);
        self.settle(now, out);
    }

    pub(super) fn is_another_stream(&mut self, info: &Value) -> bool {
        let last_seq = info.get("state").and_then(|state| state.get("last_seq"));
        let backwards = last_seq.and_then(Value::as_u64).is_some_and(|last| last < self.stream_seq);
        let Some(created) = created(info) else { return backwards };
        let younger = match (self.stream_created.replace(created), self.consumer_created) {
            (Some(known), _) => created != known,
            (None, Some(consumer)) => created > consumer + CLOCK_SKEW_NS,
            (None, None) => false,
        };
        backwards || younger
    }

    /// A server that has just come back may need a moment for JetStream.
    pub(super) fn is_settling(&self, error: &Error, now: Instant) -> bool {
        let transient = match error.kind {
            Kind::JetStreamNotEnabled | Kind::JetStreamNotEnabledForAccount | Kind::Timeout => true,
            Kind::JsResponse => matches!(error.api, Some((503, _))),
            _ => false,
        };
        transient && self.silent_until.is_some_and(|until| now < until)
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
