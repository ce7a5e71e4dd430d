//! Consumers that have more to deliver, and do not.
//!
//! For `last_per_subject` the server makes a list of sequence numbers when the consumer is created.
//! What vanishes from the stream before its turn leaves holes in that list, and the server (2.15)
//! passes one hole for each message that comes or heartbeat that is due: after a purge or an expiry
//! of thousands of keys it would deliver nothing for hours, updates included. A new consumer has
//! no such list, or one without holes. The same helps if the server waits for the answer to a flow control
//! request that got lost, which it would repeat with the next heartbeat only. All this costs nothing
//! but a request, so nobody is told.

use std::time::Instant;

use super::watchdog::QUIET;
use super::{Action, Machine};
use crate::jetstream::ordered::create::DeliverPolicy;

/// Each renewal that brings nothing makes the next one wait longer, up to this many times.
const MOST_DOUBLINGS: u32 = 3;

/// How often the consumer was made again without a message.
#[derive(Default)]
pub(super) struct Renewals {
    count: u32,
    stream_seq: u64,
}

impl Renewals {
    /// More than one did not help.
    pub fn are_in_vain(&self) -> bool {
        self.count > 1
    }
}

impl Machine {
    /// The present consumer works off a list of which some entries will not come. What lies behind
    /// the end of the stream as it was then only comes when the list is through.
    pub(super) fn list_has_holes(&self) -> bool {
        self.spec.policy == DeliverPolicy::LastPerSubject
            && self.asked_from.is_none()
            && self.list_end.is_none_or(|end| self.stream_seq <= end)
            && self.expected.is_some_and(|expected| self.received < expected)
    }

    /// The server has nothing under way and says that there is more: was that so for long enough?
    pub(super) fn is_stuck(&mut self) -> bool {
        if self.renewals.stream_seq != self.stream_seq {
            self.renewals = Renewals { count: 0, stream_seq: self.stream_seq };
        }
        let doublings = self.renewals.count.min(MOST_DOUBLINGS);
        let stuck = self.quiet_pause > QUIET * (1 << doublings);
        self.renewals.count += u32::from(stuck);
        stuck
    }

    /// Makes another consumer go on where this one is.
    pub(super) fn renew(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.forget_consumer(out);
        // What vanished was perhaps the trace of something.
        self.check_stream = true;
        self.attempt(now, out);
        self.settle(now, out);
    }
}
