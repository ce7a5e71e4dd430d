//! What a subscription has received and not yet delivered: its limits, and what happens at them.
//!
//! The runtime thread puts messages in, the Tcl thread takes them out. The connection's feed gets a
//! token for each message that waits, so that the feed keeps the order of arrival across all
//! subscriptions, while each backlog can drop and replace what is its own. A batch takes more than
//! its tokens are for: then the others come too early, but no message comes later than its own.

use crate::options::{self, Options, Type};
use crate::transport::Packed;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What to do with a message for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Drop it.
    DropNew,
    /// Drop the oldest ones that wait.
    DropOld,
    /// Put it in the place of the one that waits with the same subject; else drop the oldest.
    LatestPerSubject,
    /// Drop it, and end the subscription.
    End,
}

impl Overflow {
    pub const WORDS: &'static [&'static str] =
        &["drop_new", "drop_old", "latest_per_subject", "error"];

    pub fn of(word: &str) -> Option<Overflow> {
        match word {
            "drop_new" => Some(Overflow::DropNew),
            "drop_old" => Some(Overflow::DropOld),
            "latest_per_subject" => Some(Overflow::LatestPerSubject),
            "error" => Some(Overflow::End),
            _ => None,
        }
    }

    /// What its owner tells about the limit that was reached.
    pub fn what_happens(self) -> &'static str {
        match self {
            Overflow::DropNew => "new messages are dropped",
            Overflow::DropOld => "the oldest messages are dropped",
            Overflow::LatestPerSubject => "only the latest message of each subject is kept",
            Overflow::End => "the subscription was ended",
        }
    }
}

/// Limits of what waits; 0 = none.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub messages: usize,
    pub bytes: usize,
    pub overflow: Overflow,
}

/// The options that set limits.
pub const LIMIT_OPTIONS: [options::Spec; 2] =
    [("pending_msgs", Type::PosInt), ("pending_bytes", Type::PosInt)];

impl Limits {
    /// What the options say, else the usual.
    pub fn of(given: &Options) -> Limits {
        let count = |name: &str, default: usize| match given.int(name) {
            Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
            None => default,
        };
        let usual = Limits::default();
        let overflow = given.string("overflow").and_then(|word| Overflow::of(&word));
        Limits {
            messages: count("pending_msgs", usual.messages),
            bytes: count("pending_bytes", usual.bytes),
            overflow: overflow.unwrap_or(usual.overflow),
        }
    }
}

impl Default for Limits {
    /// As nats.go has it.
    fn default() -> Limits {
        Limits { messages: 524_288, bytes: 64 * 1024 * 1024, overflow: Overflow::DropNew }
    }
}

/// What the runtime thread has to do after a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The feed needs one more token.
    pub token: bool,
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

pub struct Backlog {
    /// The subscription.
    pub id: i64,
    limits: Limits,
    /// Whoever takes one takes all that waits.
    batch: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Packed>,
    bytes: usize,
    /// How many tokens the feed has.
    tokens: usize,
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
    fn pop(&mut self, limits: Limits) -> Option<Packed> {
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
    fn replace(&mut self, message: Packed) -> Option<Packed> {
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

    fn push(&mut self, limits: Limits, message: Packed) {
        self.bytes += message.len();
        if limits.overflow == Overflow::LatestPerSubject {
            let place = self.first + self.waiting.len() as u64;
            self.latest.insert(message.subject().into(), place);
        }
        self.waiting.push_back(message);
    }
}

impl Backlog {
    pub fn new(id: i64, limits: Limits, batch: bool) -> Backlog {
        Backlog { id, limits, batch, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message of this size has come; `make` makes what is kept, if it is.
    pub fn arrive(&self, size: usize, make: impl FnOnce() -> Packed) -> Arrived {
        let limits = self.limits;
        let mut state = self.state();
        let mut slow = false;
        if state.ended {
            state.dropped += 1;
            return Arrived { token: false, slow: false };
        }
        if state.full(limits, size) {
            slow = !std::mem::replace(&mut state.slow, true);
            let too_large = limits.bytes > 0 && size > limits.bytes;
            match limits.overflow {
                Overflow::DropNew | Overflow::End => state.dropped += 1,
                _ if too_large => state.dropped += 1,
                Overflow::DropOld => self.make_room(&mut state, make()),
                Overflow::LatestPerSubject => {
                    if let Some(new) = state.replace(make()) {
                        self.make_room(&mut state, new);
                    }
                    while limits.bytes > 0 && state.bytes > limits.bytes {
                        state.drop_oldest(limits);
                    }
                }
            }
            state.ended = limits.overflow == Overflow::End;
        } else {
            state.push(limits, make());
        }
        let token = state.tokens < state.waiting.len();
        state.tokens += usize::from(token);
        Arrived { token, slow }
    }

    fn make_room(&self, state: &mut State, message: Packed) {
        while state.full(self.limits, message.len()) && !state.waiting.is_empty() {
            state.drop_oldest(self.limits);
        }
        state.push(self.limits, message);
    }

    /// The next message, for one token.
    pub fn take(&self) -> Option<Packed> {
        let mut state = self.state();
        state.tokens = state.tokens.saturating_sub(1);
        self.next(&mut state)
    }

    /// The next message of a batch that has so many tokens left.
    pub fn take_more(&self, tokens: &mut usize) -> Option<Packed> {
        let mut state = self.state();
        let message = self.next(&mut state)?;
        if *tokens > 0 {
            *tokens -= 1;
            state.tokens = state.tokens.saturating_sub(1);
        }
        Some(message)
    }

    fn next(&self, state: &mut State) -> Option<Packed> {
        let message = state.pop(self.limits)?;
        state.delivered += 1;
        // Not before half of it is free, or a slow reader would report every message.
        let half = |limit: usize| limit == 0 || limit / 2 >= state.waiting.len();
        if state.slow && half(self.limits.messages) {
            state.slow = self.limits.bytes > 0 && state.bytes > self.limits.bytes / 2;
        }
        Some(message)
    }

    /// A batch was taken and has so many tokens left; how many of them are still wanted.
    pub fn end_batch(&self, tokens: usize) -> usize {
        let mut state = self.state();
        let rest = tokens.min(state.waiting.len());
        state.tokens = state.tokens.saturating_sub(tokens - rest);
        rest
    }

    pub fn batch(&self) -> bool {
        self.batch
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
    pub fn take_all(&self) -> VecDeque<Packed> {
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
    use crate::transport::Packed;

    const POLICIES: [Overflow; 4] =
        [Overflow::DropNew, Overflow::DropOld, Overflow::LatestPerSubject, Overflow::End];

    /// A message of so many bytes with one of a few subjects.
    fn packed(subject: u64, size: usize) -> Packed {
        Packed::of(&format!("s{subject}"), &vec![b'x'; size.saturating_sub(2)])
    }

    /// Numbers that look random and are the same each time.
    fn next(seed: &mut u64) -> u64 {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    }

    #[test]
    fn limits_hold_tokens_suffice_and_counts_add_up() {
        for (case, overflow) in POLICIES.into_iter().cycle().take(200).enumerate() {
            let mut seed = case as u64 + 1;
            let limits = Limits {
                messages: (next(&mut seed) % 20) as usize,
                bytes: (next(&mut seed) % 200) as usize,
                overflow,
            };
            let backlog = Backlog::new(1, limits, false);
            let (mut arrived, mut tokens) = (0_u64, 0_usize);
            for _ in 0..500 {
                if !next(&mut seed).is_multiple_of(3) {
                    let size = 2 + (next(&mut seed) % 30) as usize;
                    let subject = next(&mut seed) % 5;
                    tokens += usize::from(backlog.arrive(size, || packed(subject, size)).token);
                    arrived += 1;
                } else if tokens > 0 {
                    tokens -= 1;
                    let _ = backlog.take();
                }
                let counts = backlog.counts();
                assert!(limits.messages == 0 || counts.pending <= limits.messages, "{limits:?}");
                assert!(limits.bytes == 0 || counts.pending_bytes <= limits.bytes, "{limits:?}");
                assert!(tokens >= counts.pending, "{limits:?}");
                assert_eq!(counts.delivered + counts.dropped + counts.pending as u64, arrived);
            }
            while tokens > 0 {
                tokens -= 1;
                let _ = backlog.take();
            }
            assert!(backlog.is_empty());
            assert_eq!(backlog.counts().pending_bytes, 0);
        }
    }

    #[test]
    fn a_batch_takes_more_than_its_tokens_and_no_message_is_left_without() {
        let backlog = Backlog::new(1, Limits::default(), true);
        let arrive = || usize::from(backlog.arrive(4, || packed(1, 4)).token);
        let mut tokens: usize = (0..10).map(|_| arrive()).sum();
        assert_eq!(tokens, 10);
        // All ten for a run of four; the other six tokens are for what comes.
        let mut due = 4;
        tokens -= due;
        while backlog.take_more(&mut due).is_some() {}
        assert_eq!((due, backlog.end_batch(due)), (0, 0));
        tokens += (0..7).map(|_| arrive()).sum::<usize>();
        assert_eq!(tokens, 7);
        // Time is up after two of six.
        let mut due = 6;
        tokens -= due;
        assert!((0..2).all(|_| backlog.take_more(&mut due).is_some()));
        tokens += backlog.end_batch(due);
        assert_eq!((tokens, backlog.counts().pending), (5, 5));
        // It was empty, and then one came.
        let mut due = tokens;
        tokens = 0;
        while backlog.take_more(&mut due).is_some() {}
        tokens += arrive();
        let mut due_again = 0;
        while backlog.take_more(&mut due_again).is_some() {}
        tokens += arrive();
        tokens += backlog.end_batch(due);
        assert!(tokens >= backlog.counts().pending, "{tokens}");
    }
}
