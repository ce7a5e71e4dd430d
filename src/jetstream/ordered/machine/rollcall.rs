//! What has vanished without a trace.
//!
//! A deletion is a message like any other, and so is every trace that a subject leaves. But a
//! stream that was deleted and made again has no messages about what the old one had, and messages
//! that were removed before they could be delivered (expired or purged while there was no
//! connection) may have been such traces. Both can be seen when the consumer is made again. Then
//! the stream is asked which subjects it has, and the user, who knows what he was told, finds out
//! what is missing.

use std::time::Instant;

use serde_json::Value;

use super::{Action, Machine};
use crate::error::{Error, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RollCall {
    NotNeeded,
    /// As soon as the consumer is there.
    Due {
        not_before: Instant,
    },
    Asked {
        token: u64,
    },
}

impl Machine {
    /// Subjects may have vanished.
    pub(super) fn need_roll_call(&mut self, now: Instant) {
        if self.spec.roll_call {
            self.roll_call = RollCall::Due { not_before: now };
        }
    }

    /// Whether the stream has removed messages that were never delivered.
    pub(super) fn has_holes(&self, stream_info: &Value) -> bool {
        let first_seq = stream_info.get("state").and_then(|state| state.get("first_seq"));
        first_seq.and_then(Value::as_u64).is_some_and(|first| first > self.stream_seq + 1)
    }

    /// When to ask.
    pub(super) fn roll_call_due(&self) -> Option<Instant> {
        match self.roll_call {
            RollCall::Due { not_before } if self.connected => Some(not_before),
            _ => None,
        }
    }

    pub(super) fn call_roll(&mut self, out: &mut Vec<Action>) {
        self.tokens += 1;
        let token = self.tokens;
        self.roll_call = RollCall::Asked { token };
        let filters = match self.spec.config.filters.as_slice() {
            [] => vec![">".to_owned()],
            filters => filters.to_vec(),
        };
        out.push(Action::CallRoll { token, filters });
    }

    /// The answer got lost with the connection.
    pub(super) fn roll_call_lost(&mut self, now: Instant) {
        if matches!(self.roll_call, RollCall::Asked { .. }) {
            self.roll_call = RollCall::Due { not_before: now };
        }
    }

    /// The answer to `CallRoll`, or why there is none.
    pub fn roll_called(
        &mut self,
        token: u64,
        answer: Result<(), &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.roll_call != (RollCall::Asked { token }) {
            return;
        }
        self.roll_call = RollCall::NotNeeded;
        match answer {
            Ok(()) => out.push(Action::RollCalled),
            // The stream has gone, which is found out in another way, or the user may not ask.
            Err(error) if error.kind == Kind::StreamNotFound || !self.may_ask_stream => {}
            Err(_) => {
                self.roll_call = RollCall::Due { not_before: now + self.next_pause() };
            }
        }
        self.settle(now, out);
    }
}
