//! Asking for the stream: is it still the same one?

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Action, Machine, Phase, created};
use crate::error::{Error, Kind};
use crate::jetstream::ordered::Resume;
use crate::jetstream::ordered::create::DeliverPolicy;

/// Two servers of a cluster may disagree on the time.
const CLOCK_SKEW_NS: i128 = 1_000_000_000;
/// A consumer must not wait long for an account that may not ask about streams.
const FIRST_QUESTION: Duration = Duration::from_secs(1);
/// A stream that has answered before and is silent has no leader just now. It is asked again sooner
/// than the creation of a consumer would be given up.
const REPEATED_QUESTION: Duration = Duration::from_millis(500);
/// So often: perhaps it may not be asked any more.
const MOST_REPEATED: u32 = 20;

impl Machine {
    pub(super) fn ask_stream(&mut self, out: &mut Vec<Action>) {
        self.tokens += 1;
        let token = self.tokens;
        self.phase = Phase::Checking { token };
        let limit = if self.unanswered == 0 { FIRST_QUESTION } else { REPEATED_QUESTION };
        let timeout = self.around.timeout.unwrap_or(limit).min(limit);
        out.push(Action::AskStream { token, timeout });
    }

    /// The answer to `AskStream`.
    pub fn stream_info(
        &mut self,
        token: u64,
        answer: Result<&Value, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !matches!(self.phase, Phase::Checking { token: t } if t == token) {
            self.holes_info(token, answer, now, out);
            return self.standstill_info(token, answer, now, out);
        }
        if self.first {
            return self.found_stream(answer, now, out);
        }
        match answer {
            Ok(info) => {
                self.stream_seen = now;
                self.learn_history(info);
                if self.is_another_stream(info) {
                    return self.recreated(now, out);
                }
                self.look_for_holes(info, now);
            }
            Err(error) if error.kind == Kind::StreamNotFound => {
                return self.attempt_failed(error.clone(), now, out);
            }
            Err(error) if error.kind == Kind::Timeout && self.is_between_leaders() => {
                self.unanswered += 1;
                if self.report(error, now, out) {
                    self.announce(out);
                }
                self.attempt(now, out);
                return self.settle(now, out);
            }
            Err(error) => {
                self.may_ask_stream = error.kind != Kind::Permissions;
                self.holes_unknown(error, now);
            }
        }
        self.unanswered = 0;
        self.go_on(now, out);
        self.settle(now, out);
    }

    /// Whether the start may be behind the end of the stream. Some servers wait for that sequence then,
    /// and others begin at the end; and either way what the consumer says of where it is would look
    /// like a stream that has become shorter.
    pub(super) fn may_begin_too_far(&self) -> bool {
        self.connected
            && self.spec.resume == Resume::SnapshotThenSequence
            && matches!(self.spec.policy, DeliverPolicy::ByStartSequence(_))
    }

    /// Where the stream ends is known before the first consumer is made, which begins there at the
    /// latest.
    fn found_stream(
        &mut self,
        answer: Result<&Value, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        match answer {
            Ok(info) => {
                let last_seq = info.get("state").and_then(|state| state.get("last_seq"));
                if let DeliverPolicy::ByStartSequence(start) = &mut self.spec.policy
                    && let Some(last_seq) = last_seq.and_then(Value::as_u64)
                {
                    *start = (*start).min(last_seq + 1);
                }
            }
            Err(error) if error.kind == Kind::StreamNotFound => {
                return self.attempt_failed(error.clone(), now, out);
            }
            Err(error) => self.may_ask_stream = error.kind != Kind::Permissions,
        }
        self.create(now, out);
        self.settle(now, out);
    }

    fn is_between_leaders(&self) -> bool {
        self.stream_created.is_some() && self.unanswered < MOST_REPEATED
    }

    fn is_another_stream(&mut self, info: &Value) -> bool {
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
}
