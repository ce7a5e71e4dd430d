//! Messages that the engine cannot read.
//!
//! Servers store and deliver messages that the engine cannot read (a header line without a colon, a
//! subject that is no UTF-8): it drops the connection instead. A consumer that goes on behind the
//! last message that arrived would then meet the same message for ever. So after more than
//! [`LOSSES_TOLERATED`] connections that ended without progress, the next message is asked for as JSON
//! ([`Op::MessageGet`](super::api::Op::MessageGet)), which every message has, handed to the user
//! from there, and passed.

use super::api::{Api, Op};
use super::stored::StoredMessage;
use crate::error::{self, Error, Kind};
use crate::transport::How;
use futures_util::stream::{self, StreamExt};
use serde_json::json;

/// Two losses may be bad luck.
const LOSSES_TOLERATED: u32 = 2;
/// For how many filters a server is asked at the same time; the answers have whole messages.
pub const MESSAGES_AT_ONCE: usize = 32;

/// What one consumer knows of unreadable messages. Positions are sequences in the stream: that of
/// the last message that arrived.
#[derive(Default)]
pub struct Unreadable {
    position: u64,
    /// Connections that were lost since the last progress.
    losses: u32,
    passed: bool,
}

impl Unreadable {
    /// A new connection is there, so one was lost.
    pub fn connection_lost(&mut self, position: u64) {
        if self.position != position {
            self.position = position;
            self.losses = 0;
        }
        self.losses += 1;
    }

    /// Whether the message behind this position has to be asked for.
    pub fn is_next(&self, position: u64) -> bool {
        self.losses > LOSSES_TOLERATED && self.position == position
    }

    /// The answer to the question for that message: the message that is to be delivered and passed,
    /// if there is one.
    pub fn answered<'a>(
        &mut self,
        position: u64,
        answer: Result<&'a StoredMessage, &Error>,
    ) -> Option<&'a StoredMessage> {
        match answer {
            Ok(message) if message.seq > position => {
                self.passed = true;
                return Some(message);
            }
            // The message may be there: it is asked for again after the next loss.
            Err(error) if error.kind != Kind::MsgNotFound => {}
            _ => self.losses = 0,
        }
        None
    }

    /// Whether a message was passed: who begins in front of it meets it again.
    pub fn has_passed(&self) -> bool {
        self.passed
    }
}

/// The first message from this sequence on that matches any of the filters. The server takes one filter
/// at a time; `answered` is called after each answer.
pub async fn next_message(
    api: &Api,
    name: &str,
    seq: u64,
    filters: Vec<String>,
    mut answered: impl FnMut(),
) -> error::Result<StoredMessage> {
    let asked = stream::iter(filters).map(|filter: String| {
        let body = json!({"seq": seq, "next_by_subj": filter}).to_string();
        let how = How { timeout: api.timeout, quiet: true, ..How::default() };
        api.call_as(Op::MessageGet(name), body, how)
    });
    let mut answers = asked.buffer_unordered(MESSAGES_AT_ONCE);
    let mut first: Option<StoredMessage> = None;
    while let Some(answer) = answers.next().await {
        answered();
        let message = match answer {
            Ok(reply) => StoredMessage::from_reply(&reply)?,
            Err(error) if error.kind == Kind::MsgNotFound => continue,
            Err(error) => return Err(error),
        };
        if first.as_ref().is_none_or(|first| message.seq < first.seq) {
            first = Some(message);
        }
    }
    first.ok_or_else(|| Error::new(Kind::MsgNotFound, "no message found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: u64) -> StoredMessage {
        let (subject, time) = ("s".to_owned(), "2026-01-01T00:00:00Z".to_owned());
        StoredMessage { subject, seq, time, data: Vec::new(), headers: Vec::new() }
    }

    fn after(losses: u32, position: u64) -> Unreadable {
        let mut unreadable = Unreadable::default();
        for _ in 0..losses {
            unreadable.connection_lost(position);
        }
        unreadable
    }

    #[test]
    fn three_losses_without_progress() {
        assert!(!after(2, 7).is_next(7));
        let mut unreadable = after(3, 7);
        assert!(unreadable.is_next(7));
        assert!(!unreadable.is_next(8), "progress");
        unreadable.connection_lost(8);
        assert!(!unreadable.is_next(8), "counted anew");
    }

    #[test]
    fn answers() {
        let mut unreadable = after(3, 7);
        let failure = Error::new(Kind::Timeout, "");
        assert_eq!(unreadable.answered(7, Err(&failure)), None);
        assert!(unreadable.is_next(7) && !unreadable.has_passed(), "nothing is known");
        assert_eq!(unreadable.answered(7, Ok(&message(9))).map(|m| m.seq), Some(9));
        assert!(unreadable.has_passed());
        let mut unreadable = after(3, 7);
        assert_eq!(unreadable.answered(7, Err(&Error::new(Kind::MsgNotFound, ""))), None);
        assert!(!unreadable.is_next(7), "bad luck");
        let mut unreadable = after(3, 7);
        assert_eq!(unreadable.answered(7, Ok(&message(7))), None);
        assert!(!unreadable.is_next(7) && !unreadable.has_passed());
    }
}
