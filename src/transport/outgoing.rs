//! The queue of what goes out, in front of the engine's own.
//!
//! The engine's queue is bounded and its senders wait, for ever while there is no connection; ours
//! takes everything at once from any thread, or refuses it at once if there is no more room. Only
//! messages of the program are refused: without the others something would stop for good, and they
//! are small and few. One task, the writer ([`super::writer`]), moves
//! entries into the engine while there is a connection, so the order on the wire is the order of calls.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use async_nats::message::OutboundMessage;
use tokio::sync::oneshot;

use super::requests::RequestId;
use super::source::SubId;
use crate::lock::lock;

/// One entry of the queue.
pub(super) enum QueueEntry {
    Publish(OutboundMessage),
    /// Not sent any more when the flag says that nobody wants what it asks for.
    PublishWhile(Box<(OutboundMessage, Arc<AtomicBool>)>),
    Subscribe(SubId),
    /// End a subscription, at once or after this many messages.
    Unsubscribe(SubId, Option<u64>),
    /// Let the server end a subscription, and go on to receive what it has sent for it.
    Drain(SubId),
    /// A PING, for this barrier.
    Ping(RequestId),
    /// Tells that everything before it has been handed to the engine.
    Marker(oneshot::Sender<()>),
    /// Give up the connection of this number, if it still is that one, and make another one.
    Reconnect(u64),
}

impl QueueEntry {
    /// A message and its size; nothing for other entries.
    #[inline]
    pub fn amount(&self) -> Amount {
        match self.message() {
            Some(message) => {
                let headers = message.headers.as_ref().map_or(0, size_of_headers);
                Amount { messages: 1, bytes: (message.payload.len() + headers) as u64 }
            }
            None => Amount::default(),
        }
    }

    #[inline]
    fn message(&self) -> Option<&OutboundMessage> {
        match self {
            QueueEntry::Publish(message) => Some(message),
            QueueEntry::PublishWhile(conditional) => Some(&conditional.0),
            _ => None,
        }
    }
}

/// Apart from it, since most messages have none.
#[cold]
fn size_of_headers(headers: &HeaderMap) -> usize {
    let field = |(name, values): (&HeaderName, &Vec<HeaderValue>)| {
        let values_size: usize = values.iter().map(|value| value.as_str().len()).sum();
        AsRef::<[u8]>::as_ref(name).len() * values.len() + values_size
    };
    headers.iter().map(field).sum()
}

/// So many messages, and the bytes of their headers and payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub messages: u64,
    pub bytes: u64,
}

impl Amount {
    pub fn add(&mut self, more: Amount) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }
}

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    messages: u64,
    bytes: u64,
}

impl Room {
    /// As options say it: 0 is no limit.
    pub fn of_options(messages: i64, bytes: i64) -> Room {
        let limit = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0).unwrap_or(u64::MAX);
        Room { messages: limit(messages), bytes: limit(bytes) }
    }
}

impl Default for Room {
    fn default() -> Room {
        Room::of_options(0, 0)
    }
}

/// What became of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Queued,
    /// Nothing is accepted any more.
    Sealed,
    /// Too much waits already: the limit.
    NoRoom(Limit),
}

/// A limit, as an error text names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Messages(u64),
    Bytes(u64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Messages(n) => write!(f, "{n} messages (-pending_out_msgs)"),
            Limit::Bytes(n) => write!(f, "{n} bytes (-pending_out_bytes)"),
        }
    }
}

#[derive(Default)]
pub(super) struct OutgoingQueue(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// In chunks, so that a long queue is never moved as a whole. Only the last one is not full.
    chunks: VecDeque<VecDeque<QueueEntry>>,
    /// What was subscribed and unsubscribed without a connection: it goes before the messages.
    early: VecDeque<QueueEntry>,
    /// Set while the writer sleeps; whoever takes it wakes the writer, so a burst wakes it once.
    waker: Option<Waker>,
    /// Whether there is a connection. Without one there is nothing to wake the writer for.
    open: bool,
    /// Wakes the writer in spite of that.
    sweep_wanted: bool,
    /// Nothing is accepted any more.
    sealed: bool,
    /// Messages and payload bytes ever accepted.
    messages: u64,
    bytes: u64,
    /// What has not been handed to the engine.
    waiting: Amount,
    room: Room,
}

/// Entries in one chunk.
const CHUNK: usize = 512;

impl Queue {
    fn add(&mut self, entry: QueueEntry) {
        match self.chunks.back_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push_back(entry),
            None => self.chunks.push_back(VecDeque::from([entry])),
        }
    }

    /// The limit that so much more would exceed.
    fn exceeded(&self, more: Amount) -> Option<Limit> {
        if self.waiting.messages + more.messages > self.room.messages {
            return Some(Limit::Messages(self.room.messages));
        }
        (self.waiting.bytes.saturating_add(more.bytes) > self.room.bytes)
            .then_some(Limit::Bytes(self.room.bytes))
    }
}

/// What the writer is woken for.
pub(super) enum Wake {
    /// Entries are in its hands.
    Entries,
    /// There may be subscriptions to drop.
    Sweep,
}

impl OutgoingQueue {
    pub fn new(room: Room) -> OutgoingQueue {
        OutgoingQueue(Mutex::new(Queue { room, ..Queue::default() }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Queue> {
        lock(&self.0)
    }

    /// Queues an entry, unless the queue is sealed or, if the entry is `refusable`, there is no room.
    /// `allow` is asked before a sleeping writer is woken and may refuse. Whatever is refused leaves
    /// the queue as it was.
    pub fn push<E>(
        &self,
        entry: QueueEntry,
        refusable: bool,
        allow: impl FnOnce() -> Result<(), E>,
    ) -> Result<Pushed, E> {
        let amount = entry.amount();
        let mut state = self.state();
        if state.sealed {
            return Ok(Pushed::Sealed);
        }
        if refusable && let Some(limit) = state.exceeded(amount) {
            return Ok(Pushed::NoRoom(limit));
        }
        // Asking may cost a system call, so only at the head of a burst and now and then.
        let queued = state.chunks.back().map_or(0, VecDeque::len);
        if state.waker.is_some() || queued.is_multiple_of(CHUNK) {
            allow()?;
        }
        if let Some(message) = entry.message() {
            state.messages += 1;
            state.bytes += message.payload.len() as u64;
            state.waiting.add(amount);
        }
        match entry {
            QueueEntry::Subscribe(_) | QueueEntry::Unsubscribe(..) if !state.open => {
                state.early.push_back(entry)
            }
            entry => state.add(entry),
        }
        let waker = if state.open { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(Pushed::Queued)
    }

    pub fn set_room(&self, room: Room) {
        self.state().room = room;
    }

    pub fn waiting(&self) -> Amount {
        self.state().waiting
    }

    /// For the writer: so much has been handed to the engine. Resets the count.
    pub fn handed(&self, amount: &mut Amount) {
        let amount = std::mem::take(amount);
        let waiting = &mut self.state().waiting;
        waiting.messages = waiting.messages.saturating_sub(amount.messages);
        waiting.bytes = waiting.bytes.saturating_sub(amount.bytes);
    }

    /// Without a connection: queues these subscriptions, in the place of all that waited for it. An
    /// engine may end many times before there is one.
    pub fn subscribe_again(&self, ids: impl IntoIterator<Item = SubId>) {
        let mut state = self.state();
        // After the end there is nothing to subscribe to.
        if state.sealed {
            return;
        }
        state.early.retain(|entry| !matches!(entry, QueueEntry::Subscribe(_)));
        state.early.extend(ids.into_iter().map(QueueEntry::Subscribe));
    }

    /// From now on nothing is accepted.
    pub fn seal(&self) {
        self.state().sealed = true;
    }

    /// Tells whether there is a connection.
    pub fn set_open(&self, open: bool) {
        let mut state = self.state();
        state.open = open;
        if open {
            Self::wake(state);
        }
    }

    /// Wakes the writer even without a connection.
    pub fn wake_to_sweep(&self) {
        let mut state = self.state();
        state.sweep_wanted = true;
        Self::wake(state);
    }

    fn wake(mut state: std::sync::MutexGuard<'_, Queue>) {
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Messages and payload bytes ever accepted.
    pub fn totals(&self) -> (u64, u64) {
        let state = self.state();
        (state.messages, state.bytes)
    }

    /// Takes a message out of the count that the engine refused.
    pub fn forget_message(&self) {
        let mut state = self.state();
        state.messages = state.messages.saturating_sub(1);
    }

    /// For the writer: everything that is queued, as soon as there is a connection. `batch` holds
    /// what the writer has not handed over yet and counts as queued.
    pub fn poll_take(&self, cx: &mut Context<'_>, batch: &mut VecDeque<QueueEntry>) -> Poll<Wake> {
        let mut state = self.state();
        if std::mem::take(&mut state.sweep_wanted) {
            return Poll::Ready(Wake::Sweep);
        }
        if state.open {
            while let Some(entry) = state.early.pop_back() {
                batch.push_front(entry);
            }
            if batch.is_empty()
                && let Some(chunk) = state.chunks.pop_front()
            {
                *batch = chunk;
            }
            if !batch.is_empty() {
                return Poll::Ready(Wake::Entries);
            }
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Drops everything, for good.
    pub fn clear(&self) {
        let mut state = self.state();
        state.sealed = true;
        state.waiting = Amount::default();
        let entries = (std::mem::take(&mut state.chunks), std::mem::take(&mut state.early));
        drop(state);
        drop(entries);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake as _;

    use super::*;
    use crate::transport::message::Outgoing;

    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }
        fn wake_by_ref(self: &Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn entry() -> QueueEntry {
        QueueEntry::Publish(Outgoing::new("s", "xyz").into_wire(usize::MAX).expect("good"))
    }

    fn push(outgoing: &OutgoingQueue) -> bool {
        outgoing.push(entry(), true, || Ok::<(), ()>(())).expect("allowed") == Pushed::Queued
    }

    #[test]
    fn a_burst_wakes_once_and_only_with_a_connection() {
        let outgoing = OutgoingQueue::default();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let wakes = || count.0.load(Ordering::SeqCst);
        let mut batch = VecDeque::new();

        assert!(outgoing.poll_take(&mut cx, &mut batch).is_pending());
        assert!(push(&outgoing) && push(&outgoing));
        assert_eq!(wakes(), 0);
        outgoing.set_open(true);
        assert_eq!(wakes(), 1);
        assert!(outgoing.poll_take(&mut cx, &mut batch).is_ready());
        assert_eq!(batch.len(), 2);
        batch.clear();
        assert!(outgoing.poll_take(&mut cx, &mut batch).is_pending());
        assert!(push(&outgoing) && push(&outgoing) && push(&outgoing));
        assert_eq!(wakes(), 2);
        assert_eq!(outgoing.totals(), (5, 15));

        outgoing.set_open(false);
        assert!(outgoing.poll_take(&mut cx, &mut batch).is_pending());
        outgoing.wake_to_sweep();
        assert_eq!(wakes(), 3);
        assert!(matches!(outgoing.poll_take(&mut cx, &mut batch), Poll::Ready(Wake::Sweep)));

        outgoing.clear();
        assert!(!push(&outgoing));
        count.wake();
    }

    #[test]
    fn subscriptions_made_without_a_connection_go_first() {
        let outgoing = OutgoingQueue::default();
        let waker = Waker::noop();
        let mut cx = Context::from_waker(waker);
        let mut batch = VecDeque::from([entry()]);
        assert!(push(&outgoing));
        for id in 1..=2 {
            let pushed =
                outgoing.push(QueueEntry::Subscribe(SubId(id)), false, || Ok::<(), ()>(()));
            assert_eq!(pushed, Ok(Pushed::Queued));
        }
        outgoing.set_open(true);
        assert!(outgoing.poll_take(&mut cx, &mut batch).is_ready());
        let firsts: Vec<_> = batch
            .iter()
            .map(|entry| match entry {
                QueueEntry::Subscribe(id) => id.0,
                _ => 0,
            })
            .collect();
        assert_eq!(firsts, [1, 2, 0]);
    }

    #[test]
    fn subscriptions_made_again_take_the_place_of_those_that_wait() {
        let outgoing = OutgoingQueue::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut batch = VecDeque::new();
        let entries =
            [QueueEntry::Subscribe(SubId(1)), QueueEntry::Unsubscribe(SubId(2), None), entry()];
        for entry in entries {
            let pushed = outgoing.push(entry, false, || Ok::<(), ()>(()));
            assert_eq!(pushed, Ok(Pushed::Queued));
        }
        for _ in 0..3 {
            outgoing.subscribe_again([SubId(1), SubId(3)]);
        }
        outgoing.set_open(true);
        assert!(outgoing.poll_take(&mut cx, &mut batch).is_ready());
        let subscribed = |entry: &QueueEntry| match entry {
            QueueEntry::Subscribe(id) => Some(id.0),
            _ => None,
        };
        assert_eq!(batch.iter().filter_map(subscribed).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(batch.len(), 3);
    }

    #[test]
    fn a_refused_entry_leaves_no_trace() {
        let outgoing = OutgoingQueue::default();
        assert_eq!(outgoing.push(entry(), true, || Err("no")), Err("no"));
        assert_eq!(outgoing.totals(), (0, 0));
        assert_eq!(outgoing.waiting(), Amount::default());
        assert!(push(&outgoing));
    }

    #[test]
    fn what_waits_has_limits_that_only_messages_of_the_program_meet() {
        let outgoing = OutgoingQueue::new(Room::of_options(3, 7));
        let offer = |refusable| outgoing.push(entry(), refusable, || Ok::<(), ()>(()));
        assert_eq!(offer(true), Ok(Pushed::Queued));
        assert_eq!(offer(true), Ok(Pushed::Queued));
        assert_eq!(offer(true), Ok(Pushed::NoRoom(Limit::Bytes(7))));
        assert_eq!(outgoing.totals(), (2, 6));
        assert_eq!(offer(false), Ok(Pushed::Queued));
        assert_eq!(offer(true), Ok(Pushed::NoRoom(Limit::Messages(3))));
        assert_eq!(outgoing.waiting(), Amount { messages: 3, bytes: 9 });
        let mut amount = Amount { messages: 2, bytes: 6 };
        outgoing.handed(&mut amount);
        assert_eq!((amount, outgoing.waiting().bytes), (Amount::default(), 3));
        assert_eq!(offer(true), Ok(Pushed::Queued));
        outgoing.set_room(Room::default());
        for _ in 0..100 {
            assert_eq!(offer(true), Ok(Pushed::Queued));
        }
        outgoing.clear();
        assert_eq!(outgoing.waiting(), Amount::default());
        assert_eq!(offer(true), Ok(Pushed::Sealed));
    }

    #[test]
    fn headers_count() {
        let headers = crate::transport::Headers::from_iter([("ab", "xyz"), ("ab", "1"), ("c", "")]);
        let message = Outgoing { headers, ..Outgoing::new("s", "12345") };
        let entry = QueueEntry::Publish(message.into_wire(usize::MAX).expect("good"));
        assert_eq!(entry.amount(), Amount { messages: 1, bytes: 5 + 4 + 4 + 1 });
    }
}
