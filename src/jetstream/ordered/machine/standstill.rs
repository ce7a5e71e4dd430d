//! Whether the stream stands still: the cheap question at the end of the initial data, before all its
//! subjects are asked for.
//!
//! The stream says what its last message is, its sequence and its time. If the consumer has come that
//! far, all is there: it delivers in the order of the stream, and nothing can have moved behind the
//! last message. This holds for a consumer that was behind as well. If the last message is older than
//! the consumer, nothing was written since it was made, so it counted right, and as many messages have
//! come. Otherwise somebody writes, or what is last has another subject than those that are wanted.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::rollcall::RollCall;
use super::{Action, Machine, Phase};
use crate::error::{Error, Kind};
use crate::rfc3339;

/// The question is small, and there is another one.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Standstill {
    #[default]
    NotAsked,
    Asked {
        token: u64,
    },
    /// Somebody writes, or nobody knows.
    No,
}

impl Machine {
    /// Asks, or goes on to the roll call if that was no help.
    pub(super) fn ask_standstill(&mut self, out: &mut Vec<Action>) {
        match self.standstill {
            Standstill::NotAsked => {
                self.tokens += 1;
                let token = self.tokens;
                self.standstill = Standstill::Asked { token };
                let timeout = self.around.timeout.map_or(PATIENCE, |timeout| timeout.min(PATIENCE));
                out.push(Action::AskStream { token, timeout });
            }
            Standstill::Asked { .. } => {}
            Standstill::No if matches!(self.roll_call, RollCall::NotNeeded) => self.call_roll(out),
            Standstill::No => {}
        }
    }

    /// The answer to `AskStream`, if it is to this question.
    pub(super) fn standstill_info(
        &mut self,
        token: u64,
        answer: Result<&Value, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.standstill != (Standstill::Asked { token }) {
            return;
        }
        self.standstill = Standstill::No;
        if !self.catching_up || self.end_sent || !matches!(self.phase, Phase::Running) {
            return;
        }
        match answer {
            Ok(info) => {
                let state = info.get("state").unwrap_or(&Value::Null);
                let last_seq = state.get("last_seq").and_then(Value::as_u64);
                let last_ts = state.get("last_ts").and_then(Value::as_str);
                let last_ts = last_ts.and_then(rfc3339::nanoseconds);
                let reached = last_seq.is_some_and(|last| last <= self.stream_seq);
                let untouched = self.has_counted_all()
                    && !self.spec.behind
                    && last_ts.is_some_and(|last| self.initial.is_before(last));
                if reached || untouched {
                    self.end_of_initial(now, out);
                } else {
                    self.seek_end(false, now, out);
                }
            }
            Err(error) => {
                if error.kind == Kind::Permissions {
                    self.roll_failed(error, now, out);
                } else {
                    self.seek_end(false, now, out);
                }
            }
        }
        self.settle(now, out);
    }

    /// The answer got lost with the connection.
    pub(super) fn standstill_lost(&mut self) {
        if matches!(self.standstill, Standstill::Asked { .. }) {
            self.standstill = Standstill::NotAsked;
        }
    }
}
