//! Asking for the stream: is it still the same one?

use std::time::Instant;

use serde_json::Value;

use super::{Action, Machine, Phase, created};
use crate::error::{Error, Kind};

/// Two servers of a cluster may disagree on the time.
const CLOCK_SKEW_NS: i128 = 1_000_000_000;

impl Machine {
    /// The answer to `AskStream`.
    pub fn stream_info(
        &mut self,
        token: u64,
        answer: Result<&Value, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !matches!(self.phase, Phase::Checking { token: t } if t == token) {
            return self.standstill_info(token, answer, now, out);
        }
        match answer {
            Ok(info) => {
                self.stream_seen = now;
                self.learn_history(info);
                if self.is_another_stream(info) {
                    return self.recreated(now, out);
                }
                if self.has_holes(info) {
                    self.need_roll_call(now);
                }
            }
            Err(error) if error.kind == Kind::StreamNotFound => {
                return self.attempt_failed(error.clone(), now, out);
            }
            Err(error) => self.may_ask_stream = error.kind != Kind::Permissions,
        }
        self.go_on(now, out);
        self.settle(now, out);
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
