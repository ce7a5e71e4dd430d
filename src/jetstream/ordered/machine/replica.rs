//! Replicas that know less than the leader.
//!
//! The consumer is on one server of a cluster, which need not be the leader of the stream, and which has
//! perhaps just come back: then it lacks what was acknowledged long ago, makes a list of what it has,
//! and says that there is nothing more. The last message it lacks for about a second longer than the
//! others, until it learns from a heartbeat of the leader that this one counts.
//!
//! At the end of the initial data this is believed only if it has come as far as the stream was when the
//! roll was called, or if the leader says that there is nothing more that is wanted. Otherwise the end
//! waits for that to come: if it is newer, it may be in the place of what was there.

use std::time::{Duration, Instant};

use super::probe::Delivered;
use super::{Action, Machine, Phase};
use crate::error::{Error, Kind};
use crate::jetstream::stored::StoredMessage;
use crate::jetstream::unreadable::MESSAGES_AT_ONCE;

/// An answer that stays away for so long has got lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// If the replica comes no further for so long, it is believed all the same.
const STUCK: Duration = Duration::from_secs(10);

/// What is known of the server that has the consumer.
pub(super) struct Replica {
    /// It has told of everything up to here, whether that is wanted or not.
    come_to: u64,
    asked: Option<Question>,
    may_ask: bool,
    /// Where the last message and the server were when more was asked for, and since when it was so.
    lacks: Option<((u64, u64), Instant)>,
}

struct Question {
    token: u64,
    at: Instant,
}

impl Default for Replica {
    fn default() -> Self {
        Replica { come_to: 0, asked: None, may_ask: true, lacks: None }
    }
}

impl Replica {
    /// Another consumer is made, perhaps on another server.
    pub fn begin(&mut self) {
        self.come_to = 0;
        self.asked = None;
        self.lacks = None;
    }

    /// The info of the consumer. `counts`: it says that of nothing that it has passed over.
    pub fn said(&mut self, delivered: &Delivered, counts: bool) {
        self.come_to = if counts { delivered.stream_seq } else { 0 };
    }

    fn comes_no_further(&mut self, stream_seq: u64, now: Instant) {
        let place = (stream_seq, self.come_to);
        let since = self.lacks.filter(|(before, _)| *before == place);
        self.lacks = Some((place, since.map_or(now, |(_, since)| since)));
    }

    /// Whether there is nothing up to this sequence if the server says that there is nothing more.
    pub fn knows(&self, seq: u64, stream_seq: u64, now: Instant) -> bool {
        let place = (stream_seq, self.come_to);
        let is_stuck = self.lacks.is_some_and(|(at, since)| at == place && now >= since + STUCK);
        self.come_to >= seq || is_stuck
    }

    /// Whether the leader answers this user.
    pub fn may_ask(&self) -> bool {
        self.may_ask
    }
}

impl Machine {
    /// The server of the consumer says that there is nothing more, and does not know it: asks the leader.
    pub(super) fn ask_for_more(&mut self, now: Instant, out: &mut Vec<Action>) {
        let filters = self.filters();
        let replica = &mut self.initial.replica;
        // Also if nobody answers, or with an error.
        replica.comes_no_further(self.stream_seq, now);
        let rounds = u32::try_from(filters.len().div_ceil(MESSAGES_AT_ONCE)).unwrap_or(u32::MAX);
        let patience = PATIENCE * rounds.max(1);
        let asked = replica.asked.as_ref();
        // One question of this kind at a time, whoever asks.
        if self.leaps.is_asking() || asked.is_some_and(|asked| now < asked.at + patience) {
            return;
        }
        self.tokens += 1;
        replica.asked = Some(Question { token: self.tokens, at: now });
        let (token, seq) = (self.tokens, self.stream_seq + 1);
        out.push(Action::AskMessage { token, seq, filters });
    }

    /// The answer, if it is to this question.
    pub(super) fn what_more_there_is(
        &mut self,
        token: u64,
        answer: Result<&StoredMessage, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let ours = self.initial.replica.asked.take_if(|asked| asked.token == token).is_some();
        let running = ours && matches!(self.phase, Phase::Running);
        if !running || !self.initial.awaits_revisions() {
            return;
        }
        let replica = &mut self.initial.replica;
        match answer {
            // That one comes, and with it the end. If it is newer than the roll call, it may have superseded
            // what was there.
            Ok(_) => return,
            Err(error) if error.kind == Kind::Permissions => replica.may_ask = false,
            Err(error) if error.kind == Kind::MsgNotFound => self.initial.is_known(),
            // It is asked again.
            Err(_) => return,
        }
        self.seek_end(self.initial.is_nothing_pending(), now, out);
        self.settle(now, out);
    }
}
