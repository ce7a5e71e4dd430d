//! Who owes how much: what was asked for, what has come, what the program has dealt with.
//!
//! Messages do not say which request they answer; but a status does, by its subject, and says how much
//! of that request is left. So the sum is right, though it is not known what each request has got.

use std::collections::VecDeque;
use std::time::Instant;

/// A request that may still be served.
pub struct Pull {
    pub id: u64,
    pub batch: u64,
    pub bytes: u64,
    pub sent: Instant,
    /// What had come when it was sent.
    pub received: u64,
    /// When the server has ended it at the latest.
    pub expires: Instant,
}

#[derive(Default)]
pub struct Books {
    pulls: VecDeque<Pull>,
    asked: u64,
    asked_bytes: u64,
    received: u64,
    received_bytes: u64,
    consumed: u64,
    consumed_bytes: u64,
    /// Given back to the server unseen: they come again, and count again.
    returned: u64,
    pub last_id: u64,
}

impl Books {
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Messages that the program has, or will have, been given.
    pub fn accepted(&self) -> u64 {
        self.received - self.returned
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    pub fn counts_consumed(&self) -> (u64, u64, u64) {
        (self.consumed, self.consumed_bytes, self.returned)
    }

    /// Owed by the server, or here and not dealt with.
    pub fn outstanding(&self) -> u64 {
        self.asked + (self.received - self.consumed)
    }

    pub fn outstanding_bytes(&self) -> u64 {
        self.asked_bytes + (self.received_bytes - self.consumed_bytes)
    }

    /// What the program will have dealt with when no more than this is outstanding; `None` while it
    /// is not a matter of the program.
    pub fn consumed_at(&self, outstanding: u64) -> Option<u64> {
        let beyond = self.outstanding().saturating_sub(outstanding);
        (beyond <= self.received - self.consumed).then(|| self.consumed + beyond)
    }

    pub fn consumed_bytes_at(&self, outstanding: u64) -> Option<u64> {
        let beyond = self.outstanding_bytes().saturating_sub(outstanding);
        let here = self.received_bytes - self.consumed_bytes;
        (beyond <= here).then(|| self.consumed_bytes + beyond)
    }

    pub fn ask(&mut self, batch: u64, bytes: u64, sent: Instant, expires: Instant) -> u64 {
        self.pulls.retain(|pull| pull.expires > sent);
        self.last_id += 1;
        let (id, received) = (self.last_id, self.received);
        self.pulls.push_back(Pull { id, batch, bytes, sent, received, expires });
        self.asked += batch;
        self.asked_bytes += bytes;
        id
    }

    pub fn receive(&mut self, bytes: u64) {
        self.received += 1;
        self.received_bytes += bytes;
        self.asked = self.asked.saturating_sub(1);
        self.asked_bytes = self.asked_bytes.saturating_sub(bytes);
        self.clear_when_served();
    }

    /// One has come that no present request has brought.
    pub fn find(&mut self, bytes: u64) {
        self.received += 1;
        self.received_bytes += bytes;
    }

    /// The program has dealt with so many, ever; some of them without having seen them.
    pub fn consume(&mut self, messages: u64, bytes: u64, returned: u64) {
        self.consumed = messages.clamp(self.consumed, self.received);
        self.consumed_bytes = bytes.clamp(self.consumed_bytes, self.received_bytes);
        self.returned = returned.min(self.received);
    }

    /// The server has ended a request of which so much is left, if it says so.
    pub fn end(&mut self, id: u64, left: Option<(u64, u64)>) -> Option<Pull> {
        let at = self.pulls.iter().position(|pull| pull.id == id)?;
        let pull = self.pulls.remove(at)?;
        // Who does not say so has refused the request, or had only this one.
        let (messages, bytes) = match left {
            Some(left) => left,
            None if self.pulls.is_empty() => (self.asked, self.asked_bytes),
            None => (pull.batch, pull.bytes),
        };
        self.asked = self.asked.saturating_sub(messages);
        self.asked_bytes = self.asked_bytes.saturating_sub(bytes);
        self.clear_when_served();
        Some(pull)
    }

    /// The server knows of no request any more.
    pub fn forget(&mut self) {
        self.pulls.clear();
        self.asked = 0;
        self.asked_bytes = 0;
    }

    /// Requests that got all their messages end without a word, and so do those that got exactly their
    /// bytes.
    fn clear_when_served(&mut self) {
        let in_bytes = self.pulls.iter().any(|pull| pull.bytes > 0);
        if self.asked == 0 || (in_bytes && self.asked_bytes == 0) {
            self.forget();
        }
    }
}
