//! How much a server may send without an end.
//!
//! The engine reads until an operation is complete, however much that takes: a message of a size
//! beyond all limits, a line without an end, would fill the memory. It traces each read, so it is
//! known how much has come since it last had something whole. Beyond `soft` the connection is left,
//! which the engine does when it has read what there is for the moment; beyond `hard` it is stopped
//! where it stands.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_nats::client::Statistics;

/// The longest INFO, and what counts before there is one. Clusters of thousands of servers say less.
const FIRST: u64 = 1024 * 1024;
/// Beside twice the largest message that the server says it takes: one that came from another server
/// of a cluster, or was stored before, may have had a larger limit, and is let pass up to this.
const MARGIN: u64 = 8 * 1024 * 1024;
/// The largest size that servers can be told to take.
const LARGEST: u64 = i32::MAX as u64;
/// How much more may come while the engine is on its way to leave the connection.
const GRACE: u64 = 32 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Inflow {
    statistics: Option<Arc<Statistics>>,
    /// Bytes and messages at the last read.
    bytes: u64,
    messages: u64,
    /// Bytes of the reads since then that ended nothing.
    open: u64,
    limit: u64,
    /// The excess is known.
    exceeded: bool,
}

/// What is to be done after a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Excess {
    None,
    /// Leave the connection; told once. The limit.
    Leave(u64),
    /// Stop the engine.
    Stop(u64),
}

impl Inflow {
    /// Another engine reads.
    pub fn begin(&mut self, statistics: Arc<Statistics>) {
        *self = Inflow { statistics: Some(statistics), ..Inflow::default() };
        self.dial();
    }

    /// Another connection is made.
    pub fn dial(&mut self) {
        (self.open, self.limit, self.exceeded) = (0, FIRST, false);
        self.note();
    }

    /// The server has said how large messages may be, 0 if it did not.
    pub fn info(&mut self, max_payload: usize) {
        if max_payload > 0 {
            let allowed = (max_payload as u64).min(LARGEST) * 2 + MARGIN;
            // What it sent under a larger limit may still be under way.
            self.limit = self.limit.max(allowed);
        }
        self.ended();
    }

    /// Something was whole.
    pub fn ended(&mut self) {
        self.open = 0;
    }

    /// The engine has read something. `connected` tells whether it could leave the connection.
    pub fn read(&mut self, connected: bool) -> Excess {
        let (bytes, messages) = (self.bytes, self.messages);
        self.note();
        if self.messages != messages {
            self.open = 0;
        }
        self.open += self.bytes.saturating_sub(bytes);
        if self.open <= self.limit {
            return Excess::None;
        }
        if !connected || self.open > self.limit + GRACE {
            return Excess::Stop(self.limit);
        }
        match std::mem::replace(&mut self.exceeded, true) {
            false => Excess::Leave(self.limit),
            true => Excess::None,
        }
    }

    fn note(&mut self) {
        if let Some(statistics) = &self.statistics {
            self.bytes = statistics.in_bytes.load(Ordering::Relaxed);
            self.messages = statistics.in_messages.load(Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(inflow: &mut Inflow, bytes: u64, connected: bool) -> Excess {
        if let Some(statistics) = &inflow.statistics {
            statistics.in_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        inflow.read(connected)
    }

    #[test]
    fn only_what_has_no_end_is_too_much() {
        let statistics = Arc::new(Statistics::default());
        let mut inflow = Inflow::default();
        inflow.begin(statistics.clone());
        assert_eq!(reading(&mut inflow, FIRST, false), Excess::None);
        assert_eq!(reading(&mut inflow, 1, false), Excess::Stop(FIRST));
        inflow.dial();
        assert_eq!(reading(&mut inflow, FIRST, false), Excess::None);
        inflow.info(1000);
        let limit = MARGIN + 2000;
        for _ in 0..100 {
            assert_eq!(reading(&mut inflow, limit, true), Excess::None);
            statistics.in_messages.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(reading(&mut inflow, limit, true), Excess::None);
        inflow.ended();
        assert_eq!(reading(&mut inflow, limit, true), Excess::None);
        // A smaller limit does not count for what is under way.
        inflow.info(10);
        assert_eq!(reading(&mut inflow, limit, true), Excess::None);
        assert_eq!(reading(&mut inflow, 1, true), Excess::Leave(limit));
        assert_eq!(reading(&mut inflow, GRACE - 1, true), Excess::None);
        assert_eq!(reading(&mut inflow, 1, true), Excess::Stop(limit));
        inflow.dial();
        assert_eq!(reading(&mut inflow, FIRST, true), Excess::None);
        inflow.info(usize::MAX);
        assert_eq!(reading(&mut inflow, 2 * LARGEST + MARGIN, true), Excess::None);
        assert!(matches!(reading(&mut inflow, 1, true), Excess::Leave(_)));
    }
}
