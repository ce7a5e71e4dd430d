//! What a subscription or a request for several replies has received and not yet delivered.
//!
//! The runtime thread puts messages in, the Tcl thread takes them out. Each message that waits has a
//! turn, and each run of turns that nothing else came between has a marker in the connection's
//! channel. So that keeps the order of arrival across all subscriptions, while each backlog can drop
//! and replace what is its own. A batch takes more than its turns are for: some messages come earlier
//! than it would be theirs, but none later.

use super::limits::{Limits, Overflow};
use super::long_queue::LongQueue;
use crate::lock::lock;
use crate::transport::PackedMessage;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// What the runtime thread has to do after a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The channel needs one more marker.
    pub needs_marker: bool,
    /// The first message of a series was dropped: worth an error.
    pub slow: bool,
}

/// Counters of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub delivered: u64,
    pub pending: usize,
    pub pending_bytes: usize,
    pub dropped: u64,
}

/// As what the channel has sent: each turn has a marker of its own.
pub const NO_RUNS: u64 = u64::MAX;

pub struct Backlog {
    /// The subscription.
    pub id: i64,
    limits: Limits,
    state: Mutex<State>,
    /// As in the state, to be seen without the lock.
    slow: AtomicBool,
}

#[derive(Default)]
struct State {
    waiting: LongQueue<PackedMessage>,
    bytes: usize,
    /// The turns that the markers in the channel stand for, one by one, and all of them together.
    runs: VecDeque<usize>,
    turns: usize,
    /// What the channel had sent when the last of these markers was sent.
    last_marker: u64,
    /// Messages taken or dropped at the front, ever: the place of the first one that waits.
    first: u64,
    /// For `LatestPerSubject`: the place of the last one with this subject.
    latest: HashMap<Box<[u8]>, u64>,
    delivered: u64,
    dropped: u64,
    slow: bool,
    ended: bool,
}

impl State {
    fn pop(&mut self, limits: Limits) -> Option<PackedMessage> {
        let message = self.waiting.pop_front()?;
        self.bytes -= message.len();
        if limits.overflow == Overflow::LatestPerSubject
            && self.latest.get(message.subject()) == Some(&self.first)
        {
            self.latest.remove(message.subject());
        }
        self.first += 1;
        Some(message)
    }

    fn drop_oldest(&mut self, limits: Limits) {
        if self.pop(limits).is_some() {
            self.dropped += 1;
        }
    }

    fn full(&self, limits: Limits, more: usize) -> bool {
        limits.messages > 0 && self.waiting.len() >= limits.messages
            || limits.bytes > 0 && self.bytes + more > limits.bytes
    }

    /// Puts the message in the place of the one with the same subject that waits.
    fn replace(&mut self, message: PackedMessage) -> Option<PackedMessage> {
        let place = self.latest.get(message.subject()).map(|place| place - self.first);
        let old = place
            .and_then(|place| usize::try_from(place).ok())
            .and_then(|place| self.waiting.get_mut(place));
        let Some(old) = old else { return Some(message) };
        self.bytes = self.bytes - old.len() + message.len();
        *old = message;
        self.dropped += 1;
        None
    }

    fn push(&mut self, limits: Limits, message: PackedMessage) {
        self.bytes += message.len();
        if limits.overflow == Overflow::LatestPerSubject {
            let place = self.first + self.waiting.len() as u64;
            self.latest.insert(message.subject().into(), place);
        }
        self.waiting.push_back(message);
    }
}

impl Backlog {
    pub fn new(id: i64, limits: Limits) -> Backlog {
        Backlog { id, limits, state: Mutex::default(), slow: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A message of this size has come; `make` makes what is kept, if it is. `sent` is what the
    /// channel has sent so far. Called by one thread.
    pub fn arrive(&self, size: usize, sent: u64, make: impl FnOnce() -> PackedMessage) -> Arrived {
        let limits = self.limits;
        // It is copied without the lock, for which the Tcl thread would wait, unless it may be dropped.
        let likely = !self.slow.load(Ordering::Relaxed) || !self.state().full(limits, size);
        let mut make = Some(make);
        let mut made = if likely { make.take().map(|make| make()) } else { None };
        let mut message = || made.take().or_else(|| make.take().map(|make| make()));
        let mut state = self.state();
        let mut slow = false;
        if state.ended {
            state.dropped += 1;
            return Arrived { needs_marker: false, slow: false };
        }
        if state.full(limits, size) {
            slow = !std::mem::replace(&mut state.slow, true);
            let too_large = limits.bytes > 0 && size > limits.bytes;
            match limits.overflow {
                Overflow::DropNew | Overflow::End => state.dropped += 1,
                _ if too_large => state.dropped += 1,
                Overflow::DropOld => {
                    if let Some(new) = message() {
                        self.make_room(&mut state, new);
                    }
                }
                Overflow::LatestPerSubject => {
                    if let Some(new) = message().and_then(|message| state.replace(message)) {
                        self.make_room(&mut state, new);
                    }
                    while limits.bytes > 0 && state.bytes > limits.bytes {
                        state.drop_oldest(limits);
                    }
                }
            }
            state.ended = limits.overflow == Overflow::End;
            self.slow.store(true, Ordering::Relaxed);
        } else if let Some(message) = message() {
            state.push(limits, message);
        }
        let mut needs_marker = false;
        if state.turns < state.waiting.len() {
            state.turns += 1;
            let joins = state.last_marker == sent;
            match state.runs.back_mut().filter(|_| joins) {
                Some(run) => *run += 1,
                None => {
                    state.runs.push_back(1);
                    needs_marker = true;
                }
            }
        }
        Arrived { needs_marker, slow }
    }

    fn make_room(&self, state: &mut State, message: PackedMessage) {
        while state.full(self.limits, message.len()) && !state.waiting.is_empty() {
            state.drop_oldest(self.limits);
        }
        state.push(self.limits, message);
    }

    /// The marker that was wanted was sent; what the channel has sent with it.
    pub fn marker_sent(&self, sent: u64) {
        self.state().last_marker = sent;
    }

    /// The next message, for one turn; and whether the marker has more of them.
    pub fn take(&self) -> (Option<PackedMessage>, bool) {
        let mut state = self.state();
        let mut more = false;
        if let Some(run) = state.runs.front_mut() {
            *run -= 1;
            more = *run > 0;
            state.turns -= 1;
            if !more {
                state.runs.pop_front();
            }
        }
        (self.next(&mut state), more)
    }

    /// A batch begins, for the turns of one marker.
    pub fn begin_batch(&self) -> usize {
        self.state().runs.pop_front().unwrap_or_default()
    }

    /// The next message of a batch that has so many turns left.
    pub fn take_more(&self, turns: &mut usize) -> Option<PackedMessage> {
        let mut state = self.state();
        let message = self.next(&mut state)?;
        if *turns > 0 {
            *turns -= 1;
            state.turns -= 1;
        }
        Some(message)
    }

    fn next(&self, state: &mut State) -> Option<PackedMessage> {
        let message = state.pop(self.limits)?;
        state.delivered += 1;
        // Not before half of it is free, or a slow reader would report every message.
        let half = |limit: usize| limit == 0 || limit / 2 >= state.waiting.len();
        if state.slow && half(self.limits.messages) {
            state.slow = self.limits.bytes > 0 && state.bytes > self.limits.bytes / 2;
            self.slow.store(state.slow, Ordering::Relaxed);
        }
        Some(message)
    }

    /// A batch was taken and has so many turns left; whether it needs a marker for some of them.
    pub fn end_batch(&self, turns: usize) -> bool {
        let mut state = self.state();
        let rest = turns.min(state.waiting.len());
        state.turns -= turns - rest;
        if rest > 0 {
            state.runs.push_front(rest);
        }
        rest > 0
    }

    /// Drops what waits and everything that comes.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        let waiting = std::mem::take(&mut state.waiting);
        state.bytes = 0;
        state.latest.clear();
        drop(state);
        drop(waiting);
    }

    pub fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }

    pub fn counts(&self) -> Counts {
        let state = self.state();
        Counts {
            delivered: state.delivered,
            pending: state.waiting.len(),
            pending_bytes: state.bytes,
            dropped: state.dropped,
        }
    }

    /// All that waits.
    pub fn take_all(&self) -> LongQueue<PackedMessage> {
        let mut state = self.state();
        state.bytes = 0;
        std::mem::take(&mut state.waiting)
    }

    pub fn overflow(&self) -> Overflow {
        self.limits.overflow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::PackedMessage;

    const POLICIES: [Overflow; 4] =
        [Overflow::DropNew, Overflow::DropOld, Overflow::LatestPerSubject, Overflow::End];

    /// A message of so many bytes with one of a few subjects.
    fn packed(subject: u64, size: usize) -> PackedMessage {
        PackedMessage::of(&format!("s{subject}"), &vec![b'x'; size.saturating_sub(2)])
    }

    /// Numbers that look random and are the same each time.
    fn next(seed: &mut u64) -> u64 {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    }

    /// A channel: markers of the backlog, and other items with the number of messages that came before.
    struct Channel {
        backlog: Backlog,
        items: VecDeque<Option<u64>>,
        sent: u64,
        arrived: u64,
    }

    impl Channel {
        fn new(limits: Limits) -> Channel {
            let backlog = Backlog::new(1, limits);
            Channel { backlog, items: VecDeque::new(), sent: 0, arrived: 0 }
        }

        fn arrive(&mut self, subject: u64, size: usize) {
            self.arrived += 1;
            if self.backlog.arrive(size, self.sent, || packed(subject, size)).needs_marker {
                self.items.push_back(None);
                self.sent += 1;
                self.backlog.marker_sent(self.sent);
            }
        }

        fn other(&mut self) {
            self.items.push_back(Some(self.arrived));
            self.sent += 1;
        }

        /// Serves one item. A batch has time for so many messages; in the middle of it some come.
        fn serve(&mut self, batch: Option<usize>, come: usize) {
            match (self.items.pop_front(), batch) {
                (None, _) => {}
                (Some(Some(before)), _) => {
                    let counts = self.backlog.counts();
                    assert!(counts.delivered + counts.dropped >= before, "a message is late");
                }
                (Some(None), None) => {
                    if self.backlog.take().1 {
                        self.items.push_front(None);
                    }
                }
                (Some(None), Some(time)) => {
                    let mut turns = self.backlog.begin_batch();
                    for i in 0..time {
                        if i == time / 2 {
                            (0..come).for_each(|_| self.arrive(1, 4));
                        }
                        if self.backlog.take_more(&mut turns).is_none() {
                            break;
                        }
                    }
                    (0..come).for_each(|_| self.arrive(2, 4));
                    if self.backlog.end_batch(turns) {
                        self.items.push_front(None);
                    }
                }
            }
        }
    }

    #[test]
    fn limits_hold_no_message_is_late_and_counts_add_up() {
        for (case, overflow) in POLICIES.into_iter().cycle().take(400).enumerate() {
            let mut seed = case as u64 + 1;
            let mut number = |below: u64| (next(&mut seed) % below) as usize;
            let limits = Limits { messages: number(20), bytes: number(200), overflow };
            let batches = number(2) == 0;
            let mut channel = Channel::new(limits);
            for _ in 0..500 {
                match number(5) {
                    0 => channel.other(),
                    1 | 2 => channel.arrive(number(5) as u64, 2 + number(30)),
                    _ => channel.serve(batches.then(|| 1 + number(6)), number(3)),
                }
                let counts = channel.backlog.counts();
                assert!(limits.messages == 0 || counts.pending <= limits.messages, "{limits:?}");
                assert!(limits.bytes == 0 || counts.pending_bytes <= limits.bytes, "{limits:?}");
                let sum = counts.delivered + counts.dropped + counts.pending as u64;
                assert_eq!(sum, channel.arrived);
            }
            while !channel.items.is_empty() {
                channel.serve(batches.then_some(3), 0);
            }
            assert!(channel.backlog.is_empty());
            assert_eq!(channel.backlog.counts().pending_bytes, 0);
        }
    }

    #[test]
    fn a_run_without_anything_between_has_one_marker() {
        let mut channel = Channel::new(Limits::default());
        (0..10).for_each(|_| channel.arrive(1, 4));
        assert_eq!(channel.items.len(), 1);
        channel.other();
        (0..10).for_each(|_| channel.arrive(1, 4));
        assert_eq!(channel.items.len(), 3);
    }
}
