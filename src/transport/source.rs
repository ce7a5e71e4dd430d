//! One subscription: from the engine's channel straight into a sink, in order of arrival.
//!
//! The engine hands each subscription its own tokio channel. A task per channel would cost one task
//! wake-up per message and would lose the order between subscriptions: the scheduler, not the
//! network, would decide whose message comes first. A source has no task. It polls the channel with
//! a waker of its own, and that waker, instead of scheduling anything, takes the message out and
//! calls the sink at once.
//!
//! # Why this is sound
//!
//! * *Order.* The engine's handler reads one message after the other and puts each into its channel
//!   with `try_send`. That pushes the value and then calls the registered waker, before it returns.
//!   So the sink has seen a message before the handler parses the next one, whichever subscription
//!   that is for.
//! * *The waker is always registered.* A source is polled first by the writer, right after
//!   `subscribe` has queued the engine's command and before the writer yields; the runtime has one
//!   thread, so the handler cannot have run in between. Every later poll goes on until the channel
//!   says `Pending`, which is the moment at which it stores the waker again.
//! * *Calling wake from inside a poll, and a poll from inside wake,* is allowed: tokio takes the
//!   waker out of its cell and releases the cell before it calls it, so the poll inside may store a
//!   new one. `std::task::Wake` asks for nothing but thread safety, which the mutex gives.
//! * *Re-entry.* A sink may publish, subscribe, unsubscribe any source or ask for its own end. None
//!   of this touches the handler, which is on the stack below: it only changes our queue and the
//!   source's flags. Should a wake come while the source is being drained all the same, `again`
//!   makes the running drain go round once more, so no wake is lost.
//! * *No budget.* Tokio's cooperative budget makes a channel say `Pending` although it is not empty
//!   and wakes the caller at once, which here would be a recursion that achieves nothing. The poll
//!   is therefore `unconstrained`. The handler still yields: its socket reads are budgeted.
//! * *Wakes from elsewhere.* When the engine drops its side, at the end of a subscription or of the
//!   whole runtime, the same wake finds the end of the channel. If the engine panics, it drops its
//!   side in the middle of that; the source stays without one until there is another engine.
//! * *The cycle* source → channel → waker → source is cut whenever the source ends, which happens
//!   at the latest when the link is torn down.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

use async_nats::Subscriber;
use futures_util::Stream;
use tokio::task::unconstrained;

use super::message::Message;
use crate::lock::lock;

/// Names a subscription of one link; counts up from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubId(pub(super) u64);

/// Receives the messages of one subscription, on the runtime thread.
pub trait Sink: Send {
    /// A message. Must not block: the whole connection waits.
    fn message(&mut self, message: Message);
    /// There will be no more messages. Called once, whatever ended the subscription.
    fn ended(&mut self);
}

/// No limit on the number of messages.
const UNLIMITED: u64 = u64::MAX;

pub(super) struct SubscriptionSource {
    pub subject: String,
    pub queue: Option<String>,
    /// Cleared by whoever unsubscribes, from any thread, also from inside the sink.
    active: AtomicBool,
    /// The server is told of the end; what it has sent still comes.
    draining: AtomicBool,
    limit: AtomicU64,
    received: AtomicU64,
    /// What had been received when the engine's subscription began, which counts from there.
    before: AtomicU64,
    again: AtomicBool,
    ends: Mutex<Ends>,
    /// Told when the source ends by itself, before the sink is; must not need the ends.
    on_end: Box<dyn Fn() + Send + Sync>,
}

/// Where the messages come from, and where they go.
struct Ends {
    subscriber: Option<Subscriber>,
    sink: Option<Box<dyn Sink>>,
}

impl SubscriptionSource {
    pub fn new(
        subject: String,
        queue: Option<String>,
        limit: Option<u64>,
        sink: Box<dyn Sink>,
        on_end: impl Fn() + Send + Sync + 'static,
    ) -> Arc<SubscriptionSource> {
        Arc::new(SubscriptionSource {
            subject,
            queue,
            active: AtomicBool::new(true),
            draining: AtomicBool::new(false),
            limit: AtomicU64::new(limit.unwrap_or(UNLIMITED)),
            received: AtomicU64::new(0),
            before: AtomicU64::new(0),
            again: AtomicBool::new(false),
            ends: Mutex::new(Ends { subscriber: None, sink: Some(sink) }),
            on_end: Box::new(on_end),
        })
    }

    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Stops the delivery now; the runtime thread ends the source later, by `end`.
    pub fn stop(&self) {
        self.active.store(false, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// From now on no other engine subscribes.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Sets the total number of messages; tells whether as many have come already.
    pub fn set_limit(&self, limit: u64) -> bool {
        self.limit.store(limit, Ordering::Release);
        self.received.load(Ordering::Acquire) >= limit
    }

    pub fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Acquire)).filter(|limit| *limit != UNLIMITED)
    }

    /// A subscription of the engine begins.
    pub fn begin(&self) {
        self.before.store(self.received.load(Ordering::Acquire), Ordering::Release);
    }

    /// A limit of ours as the engine counts.
    pub fn of_engine(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.before.load(Ordering::Acquire))
    }

    pub fn is_attached(&self) -> bool {
        self.ends().subscriber.is_some()
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        lock(&self.ends)
    }

    /// Takes over the engine's side and polls it for the first time. Runtime thread only.
    pub fn attach(self: &Arc<Self>, subscriber: Subscriber) {
        self.ends().subscriber = Some(subscriber);
        self.drain();
    }

    /// Passes on what an engine that is gone has left; the source stays without one until there is
    /// another. Runtime thread only.
    pub fn pass_rest(&self, mut subscriber: Subscriber) {
        let mut ends = self.ends();
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let next =
                unconstrained(std::future::poll_fn(|cx| Pin::new(&mut subscriber).poll_next(cx)));
            let Poll::Ready(Some(message)) = pin!(next).poll(&mut cx) else { return };
            if self.pass(&mut ends, Message::new(message)) {
                (self.on_end)();
                return Self::finish(&mut ends);
            }
        }
    }

    /// The engine's side, to send it a command. Runtime thread only.
    pub fn take_subscriber(&self) -> Option<Subscriber> {
        self.ends().subscriber.take()
    }

    /// Ends the source: drops the engine's side, which unsubscribes if need be, and tells the sink.
    /// Runtime thread only, and never from inside the sink.
    pub fn end(&self) {
        self.stop();
        let mut ends = self.ends();
        Self::finish(&mut ends);
    }

    fn finish(ends: &mut Ends) {
        // Taken out first: dropping it may wake us.
        let subscriber = ends.subscriber.take();
        drop(subscriber);
        let Some(mut sink) = ends.sink.take() else { return };
        // A panic of ours must not unwind through the engine and silently end the connection.
        let _ = catch_unwind(AssertUnwindSafe(|| sink.ended()));
    }

    fn drain(self: &Arc<Self>) {
        let mut ends = match self.ends.try_lock() {
            Ok(ends) => ends,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.again.store(true, Ordering::Release);
                return;
            }
        };
        let waker = Waker::from(self.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            self.again.store(false, Ordering::Release);
            let ended = self.drain_locked(&mut ends, &mut cx);
            if ended {
                (self.on_end)();
                Self::finish(&mut ends);
                return;
            }
            if !self.again.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// Passes on what there is; tells whether the subscription is over.
    fn drain_locked(&self, ends: &mut Ends, cx: &mut Context<'_>) -> bool {
        loop {
            let Some(subscriber) = &mut ends.subscriber else { return false };
            let next =
                unconstrained(std::future::poll_fn(|cx| Pin::new(&mut *subscriber).poll_next(cx)));
            match pin!(next).poll(cx) {
                Poll::Pending => return false,
                // The engine is coming down; the next one will carry on.
                Poll::Ready(None) if std::thread::panicking() => {
                    ends.subscriber = None;
                    return false;
                }
                Poll::Ready(None) => return true,
                Poll::Ready(Some(message)) => {
                    if self.pass(ends, Message::new(message)) {
                        return true;
                    }
                }
            }
        }
    }

    /// Passes one message on; tells whether it was the last one.
    fn pass(&self, ends: &mut Ends, message: Message) -> bool {
        // The engine's side stays for the writer: its UNSUB has a place among what was queued.
        if !self.is_active() {
            return false;
        }
        let Some(sink) = &mut ends.sink else { return true };
        let received = self.received.fetch_add(1, Ordering::AcqRel) + 1;
        if catch_unwind(AssertUnwindSafe(|| sink.message(message))).is_err() {
            return true;
        }
        received >= self.limit.load(Ordering::Acquire)
    }
}

impl Wake for SubscriptionSource {
    fn wake(self: Arc<Self>) {
        self.drain();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.drain();
    }
}
