//! Round trips: the PINGs of a connection, and which PONG answers which.
//!
//! A server serves what a client says in order, so its PONG comes behind everything that was said
//! before the PING, and behind everything that it had to send by then. Nothing else is needed for
//! it: no permission, no echo, and no subscriber can take it away.
//!
//! The engine has no command for that. But when it drains a subscription it sends an UNSUB and a
//! PING, and of a subscription that it does not know any more only the PING; the writer has one for
//! that. That a PING was written and a PONG has come is heard in the engine's trace. Its own
//! keep-alive is among them, so a barrier waits until its PING must have been written (the engine
//! has flushed what it got behind it) and then for the answer to the last one written by then.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::requests::RequestId;
use crate::lock::lock;

#[derive(Default)]
pub(super) struct Pings(Mutex<Counts>);

/// Of the connection in use, or being made.
#[derive(Default)]
struct Counts {
    sent: u64,
    answered: u64,
    /// Barriers, with the number of the PING whose answer is theirs.
    waiting: VecDeque<(u64, RequestId)>,
}

impl Pings {
    /// Another connection: nothing of the last one will be answered.
    pub fn dial(&self) {
        *lock(&self.0) = Counts::default();
    }

    pub fn sent(&self) {
        lock(&self.0).sent += 1;
    }

    /// A PONG has come: the barriers that are over.
    pub fn answered(&self) -> Vec<RequestId> {
        let mut counts = lock(&self.0);
        // Servers should not, but might, answer what they were not asked.
        counts.answered = counts.sent.min(counts.answered + 1);
        let answered = counts.answered;
        let over = counts.waiting.partition_point(|(number, _)| *number <= answered);
        counts.waiting.drain(..over).map(|(_, id)| id).collect()
    }

    /// Everything is written that has to be: the barrier waits for the answer, unless that has come.
    pub fn wait(&self, id: RequestId) -> bool {
        let mut counts = lock(&self.0);
        let sent = counts.sent;
        let waits = counts.answered < sent;
        if waits {
            counts.waiting.push_back((sent, id));
        }
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_barrier_waits_for_the_last_ping_before_it() {
        let pings = Pings::default();
        let id = RequestId;
        pings.sent();
        assert!(pings.wait(id(1)));
        // A keep-alive, and two barriers for one more.
        pings.sent();
        pings.sent();
        assert!(pings.wait(id(2)) && pings.wait(id(3)));
        assert_eq!(pings.answered(), [id(1)]);
        assert_eq!(pings.answered(), []);
        assert_eq!(pings.answered(), [id(2), id(3)]);
        // The answer was quicker.
        pings.sent();
        assert_eq!(pings.answered(), []);
        assert!(!pings.wait(id(4)));
        // An answer too many is not saved up.
        assert_eq!(pings.answered(), []);
        pings.sent();
        assert!(pings.wait(id(5)));
        pings.dial();
        pings.sent();
        assert_eq!(pings.answered(), []);
    }
}
