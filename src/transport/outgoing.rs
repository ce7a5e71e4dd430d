//! The queue of what goes out, in front of the engine's own.
//!
//! The engine's queue is bounded and its senders wait, for ever while there is no connection; ours
//! takes everything at once from any thread. One task, the writer ([`super::writer`]), moves
//! entries into the engine while there is a connection, so the order on the wire is the order of calls.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use async_nats::message::OutboundMessage;
use tokio::sync::oneshot;

use super::source::SubId;
use crate::lock::lock;

/// One entry of the queue.
pub(super) enum QueueEntry {
    Publish(OutboundMessage),
    Subscribe(SubId),
    /// End a subscription, at once or after this many messages.
    Unsubscribe(SubId, Option<u64>),
    /// Let the server end a subscription, and go on to receive what it has sent for it.
    Drain(SubId),
    /// Tells that everything before it has been handed to the engine.
    Marker(oneshot::Sender<()>),
    /// Give up the connection of this number, if it still is that one, and make another one.
    Reconnect(u64),
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
}

/// What the writer is woken for.
pub(super) enum Wake {
    /// Entries are in its hands.
    Entries,
    /// There may be subscriptions to drop.
    Sweep,
}

impl OutgoingQueue {
    fn state(&self) -> std::sync::MutexGuard<'_, Queue> {
        lock(&self.0)
    }

    /// Queues an entry; gives it back if the queue is sealed. `allow` is asked before a sleeping
    /// writer is woken and may refuse, which leaves the queue as it was.
    pub fn push<E>(
        &self,
        entry: QueueEntry,
        allow: impl FnOnce() -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut state = self.state();
        if state.sealed {
            return Ok(false);
        }
        // Asking may cost a system call, so only at the head of a burst and now and then.
        let queued = state.chunks.back().map_or(0, VecDeque::len);
        if state.waker.is_some() || queued.is_multiple_of(CHUNK) {
            allow()?;
        }
        if let QueueEntry::Publish(message) = &entry {
            state.messages += 1;
            state.bytes += message.payload.len() as u64;
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
        Ok(true)
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
        let entries = (std::mem::take(&mut state.chunks), std::mem::take(&mut state.early));
        drop(state);
        drop(entries);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
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
        QueueEntry::Publish(Outgoing::new("s", "xyz").into_wire().expect("good"))
    }

    fn push(outgoing: &OutgoingQueue) -> bool {
        outgoing.push(entry(), || Ok::<(), ()>(())).expect("allowed")
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
            let pushed = outgoing.push(QueueEntry::Subscribe(SubId(id)), || Ok::<(), ()>(()));
            assert_eq!(pushed, Ok(true));
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
            assert_eq!(outgoing.push(entry, || Ok::<(), ()>(())), Ok(true));
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
        assert_eq!(outgoing.push(entry(), || Err("no")), Err("no"));
        assert_eq!(outgoing.totals(), (0, 0));
        assert!(push(&outgoing));
    }
}
