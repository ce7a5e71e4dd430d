//! Passing a message that the engine cannot read; see [`crate::jetstream::unreadable`].

use std::time::Instant;

use super::{Action, Machine, Phase};
use crate::error::Error;
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::jetstream::roll::mark;
use crate::jetstream::stored::StoredMessage;
use crate::rfc3339;

impl Machine {
    pub(super) fn is_next_unreadable(&self) -> bool {
        self.unreadable.is_next(self.stream_seq)
            && !(self.first && self.spec.policy == DeliverPolicy::New)
    }

    pub(super) fn ask_next_message(&mut self, out: &mut Vec<Action>) {
        self.tokens += 1;
        let token = self.tokens;
        self.phase = Phase::Passing { token };
        let filters = self.filters();
        out.push(Action::AskMessage { token, seq: self.stream_seq + 1, filters });
    }

    /// The message after the last one delivered, if there is one.
    pub fn next_message(
        &mut self,
        token: u64,
        answer: Result<&StoredMessage, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !matches!(self.phase, Phase::Passing { token: t } if t == token) {
            self.what_more_there_is(token, answer, now, out);
            return self.what_was_passed(token, answer, now, out);
        }
        if let Some(message) = self.unreadable.answered(self.stream_seq, answer) {
            self.stream_seq = message.seq;
            let written = rfc3339::nanoseconds(&message.time);
            if written.is_some_and(|written| self.is_news_of_nothing(written)) {
                self.finish_initial(out);
            }
            if self.catching_up && !self.end_sent {
                self.initial.saw(mark(&message.subject));
            }
            self.credit.delivered();
            out.push(Action::DeliverStored);
        }
        self.create(now, out);
        self.settle(now, out);
    }
}
