//! The protocol of fast ingest (ADR-50), without I/O and clock.
//!
//! All control is in the reply subjects `<inbox>.<id>.<flow>.<gap>.<sequence>.<operation>.$FI`. The
//! server acknowledges the first message, and then one in so many as its acknowledgements say. When
//! two of them are missing, nothing more is sent. A batch that nothing was heard of for a while is
//! asked for by a ping, whose answer is the last acknowledgement again; that also keeps one open that
//! the program is slow to fill.

use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::jetstream::api::reply;
use crate::jetstream::publish::ack;

/// So many acknowledgements may be missing.
const OUTSTANDING: u64 = 2;

/// The server forgets a batch that it has not heard of for 10 s.
const LONGEST_SILENCE: Duration = Duration::from_millis(3000);

/// What a message does, by the number in its reply subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Start = 0,
    Append = 1,
    /// The last message, which is stored.
    Commit = 2,
    /// Nothing is stored.
    End = 3,
    Ping = 4,
}

/// What the server says about a batch that goes on.
#[derive(Debug, PartialEq)]
pub enum News {
    /// These messages were lost on their way.
    Gap { first: u64, last: u64 },
    /// This message was refused.
    Refused { seq: u64, error: Error },
}

/// What there is to be done.
#[derive(Debug, PartialEq)]
pub enum Effect {
    Tell(News),
    /// Ask with this sequence.
    Ping(u64),
    /// End it with this sequence, again.
    End(u64),
}

#[derive(Debug)]
enum Phase {
    Open,
    /// The server takes no more: its last word is on the way.
    Stopped,
    /// It was asked to end; whether something was asked after that.
    Committing {
        asked: bool,
    },
    /// The last word: the acknowledgement, or why there is none.
    Over(Result<Value>),
}

/// Whether something can be added.
#[derive(Debug, PartialEq)]
pub enum Room {
    Free,
    /// When the server has acknowledged more.
    Later,
    /// It is over.
    Never(Error),
}

pub struct Machine {
    /// A gap or a refused message ends the batch.
    strict: bool,
    /// How long to wait for a word of the server.
    patience: Option<Duration>,
    phase: Phase,
    /// The first thing that went wrong, if that has ended it.
    broken: Option<String>,
    sent: u64,
    acknowledged: u64,
    /// How many messages are acknowledged at once; 0 before the server has said it.
    every: u64,
    /// When the server was heard last, or owed nothing; and when it was asked last.
    heard: Duration,
    asked: Duration,
    connected: bool,
}

fn over() -> Error {
    Error::invalid("The batch is over")
}

impl Machine {
    pub fn new(strict: bool, patience: Option<Duration>) -> Machine {
        Machine {
            strict,
            patience,
            phase: Phase::Open,
            broken: None,
            sent: 0,
            acknowledged: 0,
            every: 0,
            heard: Duration::ZERO,
            asked: Duration::ZERO,
            connected: true,
        }
    }

    /// How many messages were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    pub fn room(&self) -> Room {
        match &self.phase {
            Phase::Open if self.sent == 0 => Room::Free,
            Phase::Open if self.every == 0 => Room::Later,
            Phase::Open if self.acknowledged + self.every * OUTSTANDING <= self.sent => Room::Later,
            Phase::Open => Room::Free,
            Phase::Over(Err(error)) => Room::Never(error.clone()),
            Phase::Over(Ok(_)) | Phase::Committing { .. } => Room::Never(over()),
            Phase::Stopped => Room::Never(Error::new(
                Kind::BatchIncomplete,
                "The server has ended the batch after a message that is missing or refused",
            )),
        }
    }

    /// The sequence and the operation of a message that is sent at `now`.
    ///
    /// # Errors
    /// If nothing can be added any more. That there is room is for the caller to wait for.
    pub fn add(&mut self, now: Duration) -> Result<(u64, Operation)> {
        if let Room::Never(error) = self.room() {
            return Err(error);
        }
        let operation = if self.sent == 0 { Operation::Start } else { Operation::Append };
        Ok((self.send(now), operation))
    }

    /// The message that was added last could not be sent.
    pub fn take_back(&mut self) {
        self.sent = self.sent.saturating_sub(1);
    }

    fn send(&mut self, now: Duration) -> u64 {
        if self.sent == self.acknowledged {
            // Before, the server owed nothing.
            (self.heard, self.asked) = (now, now);
        }
        self.sent += 1;
        self.sent
    }

    /// Ends the batch, with a last message or without. `None` if the server has ended it.
    ///
    /// # Errors
    /// If it is over, or there is nothing to end.
    pub fn commit(&mut self, message: bool, now: Duration) -> Result<Option<(u64, Operation)>> {
        match &self.phase {
            Phase::Over(Err(error)) => return Err(error.clone()),
            Phase::Committing { .. } => return Err(over()),
            // Its last message would not be stored.
            Phase::Over(Ok(_)) if message => return Err(over()),
            Phase::Stopped | Phase::Over(Ok(_)) => return Ok(None),
            Phase::Open if self.sent == 0 && !message => {
                return Err(Error::invalid("There is nothing to commit"));
            }
            Phase::Open => {}
        }
        self.phase = Phase::Committing { asked: false };
        let (sent, seq) = (self.sent, self.send(now));
        if message {
            return Ok(Some((seq, Operation::Commit)));
        }
        self.sent = sent;
        Ok(Some((seq, Operation::End)))
    }

    /// The last word, once it is said.
    pub fn outcome(&self) -> Option<Result<Value>> {
        match &self.phase {
            Phase::Over(outcome) => Some(outcome.clone()),
            _ => None,
        }
    }

    /// Nothing more will come.
    pub fn end(&mut self, error: Error) {
        if !self.is_over() {
            self.phase = Phase::Over(Err(error));
        }
    }

    /// A message of the server.
    pub fn receive(&mut self, status: Option<u16>, body: &[u8], now: Duration) -> Option<Effect> {
        self.heard = now;
        self.asked = now;
        if body.is_empty() && status == Some(503) {
            self.end(Error::new(Kind::NoResponders, "No responders available for request"));
            return None;
        }
        let Ok(word) = serde_json::from_slice::<Value>(body) else {
            self.end(ack::invalid());
            return None;
        };
        let number = |key: &str| word.get(key).and_then(Value::as_u64).unwrap_or(0);
        match word.get("type").and_then(Value::as_str) {
            Some("ack") => {
                // They may overtake one another only over different connections.
                self.acknowledged = self.acknowledged.max(number("seq")).min(self.sent);
                self.every = number("msgs").max(1);
                self.lost_end()
            }
            Some("gap") => {
                let (first, last) = (number("last_seq"), number("seq").saturating_sub(1));
                self.missing(|| format!("messages {first} to {last} were lost"));
                // What was before it is over, too: maybe what would have been acknowledged.
                self.acknowledged = self.acknowledged.max(last).min(self.sent);
                Some(Effect::Tell(News::Gap { first, last }))
            }
            Some("err") => {
                let seq = number("seq");
                let error = word.get("error").map_or_else(ack::invalid, reply::api_error);
                self.missing(|| format!("message {seq} was refused: {error}"));
                Some(Effect::Tell(News::Refused { seq, error }))
            }
            _ => {
                if !self.is_over() {
                    self.phase = Phase::Over(ack::whole(word).and_then(|ack| self.complete(ack)));
                }
                None
            }
        }
    }

    /// The server answers what was asked behind the end, and not the end: that was lost. One that
    /// crosses its last word does no harm.
    fn lost_end(&mut self) -> Option<Effect> {
        let Phase::Committing { asked } = &mut self.phase else { return None };
        std::mem::take(asked).then(|| Effect::End(self.sent + 1))
    }

    fn missing(&mut self, what: impl FnOnce() -> String) {
        if !self.strict {
            return;
        }
        self.broken.get_or_insert_with(what);
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Stopped;
        }
    }

    /// The acknowledgement of all that was sent, if it is that, or if anything less will do.
    fn complete(&self, ack: Value) -> Result<Value> {
        // That of a single message need not count.
        let stored = ack.get("count").and_then(Value::as_u64).unwrap_or(1);
        if !self.strict || (self.broken.is_none() && stored == self.sent) {
            return Ok(ack);
        }
        let why = self.broken.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let text = format!("The batch has ended after {stored} of {} messages{why}", self.sent);
        Err(Error { api: Some((stored, self.sent)), ..Error::new(Kind::BatchIncomplete, text) })
    }

    /// Whether there is a connection. What the last one has lost the server tells over the next one,
    /// when it is asked.
    pub fn connected(&mut self, connected: bool, now: Duration) -> Option<Effect> {
        let before = std::mem::replace(&mut self.connected, connected);
        (connected && !before && self.is_under_way()).then(|| self.ask(now))
    }

    fn is_under_way(&self) -> bool {
        self.sent > 0 && !self.is_over()
    }

    fn ask(&mut self, now: Duration) -> Effect {
        self.asked = now;
        if let Phase::Committing { asked } = &mut self.phase {
            *asked = true;
        }
        Effect::Ping(self.sent)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) -> Option<Effect> {
        if !self.is_under_way() {
            return None;
        }
        let silence = now.saturating_sub(self.heard);
        if self.patience.is_some_and(|patience| silence >= patience) {
            self.end(Error::new(Kind::Timeout, "The server is silent about the batch"));
            return None;
        }
        let third = self.patience.map_or(LONGEST_SILENCE, |patience| patience / 3);
        let due = now.saturating_sub(self.asked) >= third.min(LONGEST_SILENCE);
        (self.connected && due).then(|| self.ask(now))
    }
}

#[cfg(test)]
mod tests;
