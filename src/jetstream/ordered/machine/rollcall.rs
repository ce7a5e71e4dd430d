//! What has vanished without a trace.
//!
//! A deletion is a message like any other, and so is every trace that a subject leaves. But a
//! stream that was deleted and made again has no messages about what the old one had, and messages
//! that were removed before they could be delivered (expired or purged while there was no
//! connection) may have been such traces. Both can be seen when the consumer is made again, and the
//! second when it has outlived the connection. Then the stream is asked which subjects it has, and the
//! user, who knows what he was told, finds out what is missing. The same is done when this program has
//! emptied the stream.
//!
//! The other reason to call the roll is the end of the initial data; see [`super::initial`]. One
//! answer serves both.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::probe::Reason;
use super::{Action, Machine, Phase};
use crate::error::{Error, Kind};
use crate::jetstream::roll::Roll;

/// A question about the stream is given up after so long if nothing else is configured.
const QUESTION: Duration = Duration::from_secs(5);
/// Traces that are still there get so long to be delivered, before their subjects count as present.
const ARRIVAL: Duration = Duration::from_millis(250);

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
            self.report_roll = true;
        }
    }

    /// The stream has been emptied, or parts of it, by somebody who says so.
    pub fn emptied(&mut self, now: Instant, out: &mut Vec<Action>) {
        if !self.is_stopped() {
            self.need_roll_call(now);
            self.settle(now, out);
        }
    }

    /// The stream was made, perhaps in the place of the one that is followed.
    pub fn remade(&mut self, out: &mut Vec<Action>) {
        if self.connected && self.probe.is_none() && matches!(self.phase, Phase::Running) {
            self.ask_consumer(Reason::Quiet, out);
        }
    }

    /// Whether the stream has removed messages behind this sequence that were never delivered. Where each
    /// has a lifetime of its own, it may be any of them, and not only the first ones.
    fn has_holes(stream_info: &Value, after: u64) -> bool {
        let field = |of: &str, name: &str| stream_info.get(of).and_then(|of| of.get(name));
        let number = |name: &str| field("state", name).and_then(Value::as_u64).unwrap_or(0);
        let lifetimes = field("config", "allow_msg_ttl") == Some(&true.into());
        number("first_seq") > after + 1 || lifetimes && number("last_seq") > after
    }

    /// The connection is lost: what is stored now may be gone before it can be delivered.
    pub(super) fn may_get_holes(&mut self) {
        // Messages that come between two losses do not say what was in front of them.
        if self.spec.roll_call && matches!(self.phase, Phase::Running) {
            self.holes_from.get_or_insert(self.stream_seq);
        }
    }

    /// The consumer may have outlived the loss of the connection: has it passed over what expired meanwhile?
    /// While the initial data comes, others ask for the stream.
    pub(super) fn ask_for_holes(&mut self, out: &mut Vec<Action>) {
        if self.holes_from.is_none() || self.catching_up || !self.may_ask_stream {
            return;
        }
        self.tokens += 1;
        self.holes_asked = Some(self.tokens);
        let timeout = self.around.timeout.unwrap_or(QUESTION);
        out.push(Action::AskStream { token: self.tokens, timeout });
    }

    /// The answer, if it is to this question.
    pub(super) fn holes_info(
        &mut self,
        token: u64,
        answer: Result<&Value, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.holes_asked.take_if(|asked| *asked == token).is_none() {
            return;
        }
        match answer {
            Ok(info) => self.look_for_holes(info, now),
            Err(error) => {
                self.may_ask_stream &= error.kind != Kind::Permissions;
                self.holes_unknown(error, now);
            }
        }
        self.settle(now, out);
    }

    /// The stream does not say what it has.
    pub(super) fn holes_unknown(&mut self, error: &Error, now: Instant) {
        match error.kind {
            Kind::Permissions => {}
            // Nobody serves the question, or not in this account; or the stream is gone.
            Kind::JetStreamNotEnabled if !self.is_settling(error, now) => {}
            Kind::StreamNotFound => {}
            // A server that has just come back. The roll call is repeated until there is an answer.
            _ => {
                self.holes_from = None;
                self.need_roll_call(now + ARRIVAL);
            }
        }
    }

    /// The stream says what it has, after a loss of the connection or of the consumer.
    pub(super) fn look_for_holes(&mut self, stream_info: &Value, now: Instant) {
        let after = self.holes_from.take().unwrap_or(self.stream_seq);
        if Self::has_holes(stream_info, after) {
            self.need_roll_call(now + ARRIVAL);
        }
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
        let filters = self.filters();
        out.push(Action::CallRoll { token, filters, report: self.report_roll });
    }

    /// The answer got lost with the connection.
    pub(super) fn roll_call_lost(&mut self, now: Instant) {
        self.standstill_lost();
        if matches!(self.roll_call, RollCall::Asked { .. }) {
            self.roll_call = RollCall::Due { not_before: now };
        }
    }

    /// The answer to `CallRoll`, or why there is none.
    pub fn roll_called(
        &mut self,
        token: u64,
        answer: Result<&Roll, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.roll_call != (RollCall::Asked { token }) {
            return;
        }
        self.roll_call = RollCall::NotNeeded;
        match answer {
            Ok(roll) => {
                if std::mem::take(&mut self.report_roll) {
                    out.push(Action::RollCalled);
                }
                self.mark_missing(roll, now, out);
            }
            Err(error) => {
                let for_end = self.roll_failed(error, now, out);
                // The stream has gone, which is found out in another way, or the user may not ask.
                let gone = matches!(error.kind, Kind::StreamNotFound | Kind::Permissions);
                self.report_roll &= !gone && self.may_ask_stream;
                if for_end || self.report_roll {
                    self.roll_call = RollCall::Due { not_before: now + self.next_pause() };
                }
            }
        }
        self.settle(now, out);
    }
}
