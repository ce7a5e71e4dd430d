//! A message that breaks every connection that delivers it.
//!
//! The engine cannot read some messages that servers store and deliver (a header line without a
//! colon, a subject that is no UTF-8): it drops the connection instead. Going on behind the last
//! message delivered would then meet the same message for ever. So after [`PATIENCE`] connections
//! that ended without progress, the next message is asked for in the form of JSON, which every
//! message has, handed to the user from there, and passed.

use std::time::Instant;

use super::{Action, Machine, Phase};
use crate::error::{Error, Kind};
use crate::jetstream::ordered::create::Policy;
use crate::jetstream::stored::StoredMessage;

/// Two losses may be bad luck.
const PATIENCE: u32 = 2;

/// Connections that were lost since the last progress.
#[derive(Default)]
pub(super) struct Bounces {
    stream_seq: u64,
    count: u32,
    /// A message was passed: a repeated snapshot would contain it, so there is none any more.
    pub passed: bool,
}

impl Machine {
    /// A new connection is there, so one was lost.
    pub(super) fn count_bounce(&mut self) {
        if self.bounces.stream_seq != self.stream_seq {
            self.bounces.stream_seq = self.stream_seq;
            self.bounces.count = 0;
        }
        self.bounces.count += 1;
    }

    /// With several filters nobody can ask for the next message that fits.
    pub(super) fn is_poisoned(&self) -> bool {
        self.bounces.count > PATIENCE
            && self.bounces.stream_seq == self.stream_seq
            && self.spec.config.filters.len() <= 1
            && !(self.first && self.spec.policy == Policy::New)
    }

    pub(super) fn ask_next_message(&mut self, out: &mut Vec<Action>) {
        self.tokens += 1;
        let token = self.tokens;
        self.phase = Phase::Stepping { token };
        let filter = self.spec.config.filters.first().map_or(">", String::as_str).to_owned();
        out.push(Action::AskMessage { token, seq: self.stream_seq + 1, filter });
    }

    /// The message after the last one delivered, if there is one.
    pub fn next_message(
        &mut self,
        token: u64,
        answer: Result<&StoredMessage, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !matches!(self.phase, Phase::Stepping { token: t } if t == token) {
            return;
        }
        match answer {
            Ok(stored) if stored.seq > self.stream_seq => {
                self.stream_seq = stored.seq;
                self.delivered += 1;
                self.bounces.passed = true;
                out.push(Action::DeliverStored);
            }
            Err(error) if error.kind != Kind::MsgNotFound => {}
            _ => self.bounces.count = 0,
        }
        self.create(now, out);
        self.settle(now, out);
    }
}
