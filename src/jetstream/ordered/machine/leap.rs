//! What a server before 2.10 passes over.
//!
//! When messages of one subject are purged, or replaced by a rollup (`Nats-Rollup: sub`), such a
//! server moves all consumers forward that want this subject: to the first message of it which is
//! left, or behind the end of the stream. What a consumer had not been sent by then, of whatever
//! subject, never comes, and it counts on as if that had not been there. This befalls whom
//! the server waits for, and now and then the quickest one of a server that is busy.
//!
//! So where the sequence of the stream leaps, the message is kept back, with all that follow, until
//! the server has said which one is the first behind the last one delivered. Usually it is this one:
//! the others have subjects that are not wanted, or were removed. Where nothing follows, heartbeats
//! tell how far the consumer has come. A message that was stored before the consumer was made is none
//! that a consumer was moved to, so what was there already is read without questions; so are lists of
//! latest messages, which no server leaves.

use std::time::Instant;

use serde_json::Value;

use super::initial::{CLOCK_SKEW_NS, SETTLED_NS};
use super::{Action, Machine, Phase};
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::jetstream::stored::StoredMessage;

/// Who is told so often in a row that nobody serves it does not ask any more, until there is another
/// connection: the consumers that were made in between need the same leader.
const MOST_UNSERVED: u32 = 3;

pub(super) struct Leaps {
    question: Option<Question>,
    /// Up to this sequence there is nothing that was passed over.
    cleared: u64,
    may_ask: bool,
    /// How often in a row there was nobody.
    unserved: u32,
    /// So much older than the consumer is what was there before it.
    margin_ns: i128,
}

struct Question {
    token: u64,
    /// What is found before this sequence was passed over.
    before: u64,
    /// The message of that sequence waits for the answer.
    keeps_back: bool,
}

impl Default for Leaps {
    fn default() -> Self {
        let margin_ns = CLOCK_SKEW_NS;
        Leaps { question: None, cleared: 0, may_ask: true, unserved: 0, margin_ns }
    }
}

impl Leaps {
    /// The reply to the creation. A rollup takes effect a moment after its message was stored; in a
    /// cluster, two clocks are compared.
    pub fn made(&mut self, info: &Value) {
        self.margin_ns = if info.get("cluster").is_some() { CLOCK_SKEW_NS } else { SETTLED_NS };
    }

    /// Over another connection, others may answer.
    pub fn reconnected(&mut self) {
        self.may_ask = true;
        self.unserved = 0;
    }

    pub fn is_asking(&self) -> bool {
        self.question.is_some()
    }

    /// Another consumer is made, which begins where the last one was.
    pub fn forget(&mut self) {
        self.question = None;
        self.cleared = 0;
    }
}

impl Machine {
    /// Whether messages and all else that the consumer sends has to wait.
    pub fn keeps_back(&self) -> bool {
        self.leaps.question.as_ref().is_some_and(|question| question.keeps_back)
    }

    /// Whether something may have been passed over before this message.
    pub(super) fn may_have_leapt(&self, meta: &Metadata<'_>) -> bool {
        let from_list = self.works_off_a_list();
        // Where the first consumer begins is known from the reply, and so is what is in a list.
        let begun = !(matches!(self.phase, Phase::Creating) && (self.first || from_list));
        let stored = i128::from(meta.timestamp_ns);
        let young = self.consumer_created.is_none_or(|made| match from_list {
            true => stored > made,
            false => stored + self.leaps.margin_ns >= made,
        });
        !self.keeps_place
            && begun
            && young
            && self.leaps.may_ask
            && meta.stream_seq > self.stream_seq + 1
            && meta.stream_seq > self.leaps.cleared + 1
    }

    /// The present consumer began with a list of latest messages, between which there are others.
    fn works_off_a_list(&self) -> bool {
        self.asked_from.is_none() && self.spec.policy == DeliverPolicy::LastPerSubject
    }

    /// The consumer has come so far, with all it has to send.
    pub(super) fn has_come_to(&mut self, stream_seq: u64, out: &mut Vec<Action>) {
        let in_list = self.works_off_a_list() && (self.catching_up || self.list_has_holes());
        if !self.keeps_place
            && self.leaps.may_ask
            && !in_list
            && self.leaps.question.is_none()
            && matches!(self.phase, Phase::Running)
            && stream_seq > self.stream_seq.max(self.leaps.cleared)
        {
            self.ask_what_was_passed(stream_seq + 1, false, out);
        }
    }

    /// Asks for the first message behind the last one delivered.
    pub(super) fn ask_what_was_passed(
        &mut self,
        before: u64,
        keeps_back: bool,
        out: &mut Vec<Action>,
    ) {
        self.tokens += 1;
        let token = self.tokens;
        self.leaps.question = Some(Question { token, before, keeps_back });
        let (seq, filters) = (self.stream_seq + 1, self.filters());
        out.push(Action::AskMessage { token, seq, filters });
    }

    /// The answer, if it is to this question.
    pub(super) fn what_was_passed(
        &mut self,
        token: u64,
        answer: Result<&StoredMessage, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Some(question) = self.leaps.question.take_if(|question| question.token == token) else {
            return;
        };
        let nobody = answer.is_err_and(|error| error.kind == Kind::JetStreamNotEnabled);
        self.leaps.unserved = if nobody { self.leaps.unserved + 1 } else { 0 };
        let passed = match answer {
            Ok(message) => message.seq > self.stream_seq && message.seq < question.before,
            Err(error) if error.kind == Kind::MsgNotFound => false,
            Err(error) if error.kind == Kind::Permissions => {
                self.leaps.may_ask = false;
                false
            }
            Err(_) if self.leaps.unserved >= MOST_UNSERVED => {
                self.leaps.may_ask = false;
                false
            }
            // Another consumer answers it as well.
            Err(_) if question.keeps_back => true,
            // Heartbeats are repeated.
            Err(_) => return,
        };
        if !passed {
            self.leaps.cleared = self.leaps.cleared.max(question.before - 1);
        } else if self.connected {
            self.mismatch(now, out);
        }
    }
}
