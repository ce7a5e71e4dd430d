//! Between the runtime threads and a Tcl thread.
//!
//! A [`Promise`] carries one answer to whoever waits for its [`Pending`]; a [`Sender`] carries any
//! number of items, in order, to one handler. Both ends of each are made together on the Tcl
//! thread; the sending end may then go to any thread.

use crate::error::Error;
use crate::lock::lock;
use crate::tcl::coroutine::{self, Busy};
use crate::tcl::leaving::is_leaving;
use crate::tcl::mailbox::{Mailbox, Served, Work, at_thread_exit, expect_answer};
use crate::tcl::wait::{Waiter, wait};
use crate::tcl::{Interp, InterpHandle, Obj, Result, Return};
use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

/// How many items one turn of a channel delivers before others get theirs.
const SLICE: usize = 64;

type Key = u64;

/// What waits on this thread: keys are never used twice, so a late delivery finds nothing.
#[derive(Default)]
struct Registry {
    waiters: RefCell<HashMap<Key, Rc<Waiter>>>,
    handlers: RefCell<HashMap<Key, Rc<dyn Any>>>,
    armed: Cell<bool>,
}

thread_local!(static REGISTRY: Registry = Registry::default());
static KEYS: AtomicU64 = AtomicU64::new(1);

fn new_key() -> Key {
    REGISTRY.with(|registry| {
        if !registry.armed.replace(true) {
            // Tcl values must go before Tcl does, not with the thread's storage.
            at_thread_exit(|| {
                REGISTRY.with(|registry| {
                    let waiters = registry.waiters.take();
                    let handlers = registry.handlers.take();
                    registry.armed.set(false);
                    drop((waiters, handlers));
                });
            });
        }
    });
    KEYS.fetch_add(1, Ordering::Relaxed)
}

// ---------------------------------------------------------------------------------------- Promise

struct Slot<T> {
    key: Key,
    /// Set after the value, so that the waiting thread may look without the lock.
    ready: AtomicBool,
    value: Mutex<Option<T>>,
}

impl<T: Send> Work for Slot<T> {
    fn serve(&self, _deadline: Instant) -> Served {
        let waiter = REGISTRY.with(|registry| registry.waiters.borrow_mut().remove(&self.key));
        waiter.map_or(Served::Done, |waiter| waiter.complete())
    }
}

/// The sending end of one answer. Dropped without an answer, it sends
/// [`Error::connection_closed`].
pub struct Promise<T: Send + 'static> {
    slot: Option<Arc<Slot<crate::error::Result<T>>>>,
    mailbox: Arc<Mailbox>,
}

/// The waiting end. If the answer is never taken, the operation is cancelled.
pub struct Pending<T: Send + 'static> {
    slot: Arc<Slot<crate::error::Result<T>>>,
    waiter: Rc<Waiter>,
    abandoned: Abandoned,
    by_handler: bool,
}

/// Dropped with the wait whose answer nobody has taken: its coroutine was deleted or had an error
/// thrown into it, its interpreter was deleted, cancelled or over its limit, or nobody has waited.
struct Abandoned {
    waiter: Rc<Waiter>,
    key: Key,
    cancel: Option<Box<dyn FnOnce()>>,
    taken: bool,
}

impl Abandoned {
    /// The answer is being taken.
    fn answered(mut self) {
        self.taken = true;
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        // That a coroutine has left is reported when its operation has ended, which cancelling brings
        // on.
        if !self.waiter.is_left() {
            forget_waiter(self.key);
        }
        if let Some(cancel) = self.cancel.take() {
            cancel();
        }
    }
}

fn forget_waiter(key: Key) {
    let waiter = REGISTRY.try_with(|registry| {
        registry.waiters.try_borrow_mut().ok().and_then(|mut waiters| waiters.remove(&key))
    });
    drop(waiter);
}

pub fn promise<T: Send + 'static>(interp: Interp<'_>) -> (Promise<T>, Pending<T>) {
    let key = new_key();
    let slot = Arc::new(Slot { key, ready: AtomicBool::new(false), value: Mutex::new(None) });
    let waiter = Waiter::new(interp);
    REGISTRY.with(|registry| registry.waiters.borrow_mut().insert(key, waiter.clone()));
    let promise = Promise { slot: Some(slot.clone()), mailbox: Mailbox::of_this_thread() };
    let abandoned = Abandoned { waiter: waiter.clone(), key, cancel: None, taken: false };
    (promise, Pending { slot, waiter, abandoned, by_handler: false })
}

impl<T: Send + 'static> Promise<T> {
    pub fn complete(mut self, value: crate::error::Result<T>) {
        self.send(value);
    }

    /// Whether this coroutine waits for the answer. On the thread that made the promise.
    pub fn is_awaited_by(&self, busy: &Busy) -> bool {
        let Some(slot) = &self.slot else { return false };
        REGISTRY.with(|registry| {
            registry.waiters.borrow().get(&slot.key).is_some_and(|waiter| busy.waits_for(waiter))
        })
    }

    fn send(&mut self, value: crate::error::Result<T>) {
        if let Some(slot) = self.slot.take().filter(|_| !is_leaving()) {
            *lock(&slot.value) = Some(value);
            slot.ready.store(true, Ordering::Release);
            self.mailbox.post(slot, true);
        }
    }
}

impl<T: Send + 'static> Drop for Promise<T> {
    fn drop(&mut self) {
        self.send(Err(Error::connection_closed()));
    }
}

impl<T: Send + 'static> Pending<T> {
    /// What cancels the operation if nobody takes its answer: called once, on this thread, and
    /// never after the answer was taken. It should drop the [`Promise`].
    pub fn or_cancel(mut self, cancel: impl FnOnce() + 'static) -> Self {
        self.abandoned.cancel = Some(Box::new(cancel));
        self
    }

    /// It is a handler on this thread that answers: looking for the answer without running the event
    /// loop would be in vain.
    pub fn by_handler(mut self) -> Self {
        self.by_handler = true;
        self
    }

    /// Waits, in a coroutine or in the event loop, and makes the command's result.
    pub fn wait(
        self,
        interp: Interp<'_>,
        finish: impl FnOnce(Interp<'_>, crate::error::Result<T>) -> Result<Return> + 'static,
    ) -> Result<Return> {
        expect_answer();
        let Pending { slot, waiter, abandoned, by_handler } = self;
        let seen = slot.clone();
        let ready = move || {
            let ready = seen.ready.load(Ordering::Acquire);
            if ready {
                REGISTRY.with(|registry| registry.waiters.borrow_mut().remove(&seen.key));
                let posted: Arc<dyn Work> = seen.clone();
                Mailbox::of_this_thread().withdraw(&posted);
            }
            ready
        };
        let ready = (!by_handler).then_some(ready);
        wait(interp, &waiter, ready, move |interp| {
            abandoned.answered();
            let value = lock(&slot.value).take();
            let closed = || Err(Error::connection_closed());
            finish(interp, value.unwrap_or_else(closed))
        })
    }
}

// ------------------------------------------------------------------------------------------ Sender

struct Queue<T> {
    items: VecDeque<T>,
    /// In the mailbox, or on the way in; stays so until it has left the mailbox empty.
    posted: bool,
    /// Items wait until the receiver starts.
    started: bool,
    open: bool,
    /// What is in it is still delivered; then the handler goes.
    last: bool,
}

struct Channel<T> {
    key: Key,
    sent: AtomicU64,
    queue: Mutex<Queue<T>>,
}

/// The sending end of an ordered stream of items. Clones send to the same handler.
pub struct Sender<T: Send + 'static> {
    channel: Arc<Channel<T>>,
    mailbox: Arc<Mailbox>,
}

impl<T: Send + 'static> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender { channel: self.channel.clone(), mailbox: self.mailbox.clone() }
    }
}

type Take<T> = dyn Fn(T, &Rest<'_, T>);

/// What the handler of a channel has on the Tcl thread. Items are taken over many at a time; a nested
/// event loop goes on with the same ones, in order.
struct Handler<T> {
    interp_handle: InterpHandle,
    take: Box<Take<T>>,
    taken: RefCell<VecDeque<T>>,
    open: Cell<bool>,
    /// Counts the pauses, up to as many as a slice has items.
    pauses: Cell<usize>,
    channel: OnceCell<Weak<Channel<T>>>,
    /// Lanes that are closed: what is in them comes back to the channel.
    closed_lanes: Cell<usize>,
}

/// A part of what a channel carries that goes to one callback. While a coroutine that gets it waits in
/// a command of ours, the lane is closed: what comes for it is held back, and what comes for others
/// passes.
pub struct Lane<T> {
    held: RefCell<VecDeque<T>>,
    /// The coroutines that close it.
    closed_by: RefCell<Vec<Rc<Busy>>>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Lane { held: RefCell::default(), closed_by: RefCell::default() }
    }
}

impl<T> Lane<T> {
    pub fn is_closed(&self) -> bool {
        !self.closed_by.borrow().is_empty()
    }

    /// Takes out what is held back.
    pub fn take_held(&self) -> VecDeque<T> {
        self.held.take()
    }

    /// Puts an item behind those that are held back, if the lane is closed by a coroutine of which
    /// `counts` is true; else gives it back.
    pub fn hold_behind(&self, item: T, counts: impl Fn(&Busy) -> bool) -> Option<T> {
        if !self.closed_by.borrow().iter().any(|busy| counts(busy)) {
            return Some(item);
        }
        self.held.borrow_mut().push_back(item);
        None
    }
}

/// A place for the lane of a callback, which few ever need.
pub type LanePlace<T> = OnceCell<Rc<Lane<T>>>;

/// The place of the item that a handler has just got.
pub struct Rest<'a, T> {
    handler: &'a Rc<Handler<T>>,
    pause: Cell<bool>,
}

impl<T: Send + 'static> Rest<'_, T> {
    /// Puts what is left of it back there. To be called before anything of the program runs.
    pub fn put_back(&self, item: T) {
        self.handler.taken.borrow_mut().push_front(item);
    }

    /// Hands on the items behind this one, while they are wanted and `take` wants more. Nothing of
    /// the program runs in these.
    pub fn go_on(&self, wanted: impl Fn(&T) -> bool, mut take: impl FnMut(T) -> bool) {
        let Some(channel) = self.handler.channel.get().and_then(Weak::upgrade) else { return };
        while let Some(item) = channel.next(self.handler) {
            if !wanted(&item) {
                return self.put_back(item);
            }
            if !take(item) {
                return;
            }
        }
    }

    /// Gives the item back if it can be delivered to the callback that has this lane; else it is
    /// held back.
    pub fn admit(
        &self,
        interp: Interp<'_>,
        lane: &LanePlace<T>,
        callback: &[Obj],
        item: T,
    ) -> Option<T> {
        if let Some(lane) = lane.get().filter(|lane| lane.is_closed()) {
            lane.held.borrow_mut().push_back(item);
            return None;
        }
        let busy = callback.first().and_then(|word| coroutine::busy(interp, word));
        let Some(busy) = busy else { return Some(item) };
        self.close(lane, busy).held.borrow_mut().push_back(item);
        None
    }

    /// What was delivered has been kept by coroutines: what follows in this lane waits for them.
    pub fn delivered(&self, lane: &LanePlace<T>) {
        for busy in coroutine::kept() {
            self.close(lane, busy);
        }
    }

    fn close<'a>(&self, lane: &'a LanePlace<T>, busy: Rc<Busy>) -> &'a Rc<Lane<T>> {
        let lane = lane.get_or_init(Rc::default);
        let mut closed_by = lane.closed_by.borrow_mut();
        if closed_by.iter().any(|other| Rc::ptr_eq(other, &busy)) {
            return lane;
        }
        if closed_by.is_empty() {
            self.handler.closed_lanes.set(self.handler.closed_lanes.get() + 1);
        }
        closed_by.push(busy.clone());
        let (held, handler, opener) = (lane.clone(), self.handler.clone(), Rc::downgrade(&busy));
        // Kept until then: whoever sends may be gone.
        let channel = handler.channel.get().and_then(Weak::upgrade);
        busy.when_free(move || {
            held.closed_by
                .borrow_mut()
                .retain(|busy| !std::ptr::eq(Rc::as_ptr(busy), opener.as_ptr()));
            if !held.is_closed() {
                handler.lane_opened(channel, held.held.take());
            }
        });
        lane
    }

    /// Puts the item back, and lets it and those behind it wait for the next turn of the event
    /// loop.
    pub fn pause(&self, item: T) {
        self.put_back(item);
        self.pause.set(true);
    }
}

/// The receiving end: items are delivered while it exists, and not after.
pub struct Receiver<T: Send + 'static> {
    channel: Arc<Channel<T>>,
    handler: Rc<Handler<T>>,
}

/// `take` runs on this thread, from the event loop, once for each item, after
/// [`Receiver::start`] and while the interpreter exists, which is held meanwhile.
pub fn channel<T: Send + 'static>(
    interp_handle: InterpHandle,
    take: impl Fn(T, &Rest<'_, T>) + 'static,
) -> (Sender<T>, Receiver<T>) {
    let key = new_key();
    let handler = Rc::new(Handler {
        interp_handle,
        take: Box::new(take),
        taken: RefCell::default(),
        open: Cell::new(true),
        pauses: Cell::new(0),
        channel: OnceCell::new(),
        closed_lanes: Cell::new(0),
    });
    REGISTRY.with(|registry| registry.handlers.borrow_mut().insert(key, handler.clone()));
    let queue =
        Queue { items: VecDeque::new(), posted: false, started: false, open: true, last: false };
    let channel = Arc::new(Channel { key, sent: AtomicU64::new(0), queue: Mutex::new(queue) });
    // Empty until now.
    let _ = handler.channel.set(Arc::downgrade(&channel));
    let sender = Sender { channel: channel.clone(), mailbox: Mailbox::of_this_thread() };
    (sender, Receiver { channel, handler })
}

impl<T: Send + 'static> Channel<T> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue<T>> {
        lock(&self.queue)
    }
}

impl<T: Send + 'static> Sender<T> {
    /// Sends an item; it is dropped when the receiving end has gone.
    pub fn send(&self, item: T) {
        self.send_counted(item);
    }

    /// Sends an item, and returns what [`Sender::sent`] is then.
    pub fn send_counted(&self, item: T) -> u64 {
        let mut queue = self.channel.lock();
        let sent = self.channel.sent.fetch_add(1, Ordering::Release) + 1;
        if (!queue.open && !queue.last) || is_leaving() {
            return sent;
        }
        queue.items.push_back(item);
        if queue.started && !std::mem::replace(&mut queue.posted, true) {
            drop(queue);
            self.mailbox.post(self.channel.clone(), false);
        }
        sent
    }

    /// How many items were ever sent, by anybody.
    pub fn sent(&self) -> u64 {
        self.channel.sent.load(Ordering::Acquire)
    }
}

impl<T> Handler<T> {
    /// Others get their turn after as many pauses as a slice has items.
    fn paused(&self) -> Served {
        let pauses = (self.pauses.get() + 1) % SLICE;
        self.pauses.set(pauses);
        if pauses == 0 { Served::Leave } else { Served::Pause }
    }
}

impl<T: Send + 'static> Handler<T> {
    /// What was held back has its turn now.
    fn lane_opened(&self, channel: Option<Arc<Channel<T>>>, mut held: VecDeque<T>) {
        self.closed_lanes.set(self.closed_lanes.get() - 1);
        let Some(channel) = channel.filter(|_| self.open.get()) else { return };
        let mut taken = self.taken.borrow_mut();
        held.append(&mut taken);
        *taken = held;
        drop(taken);
        channel.wake();
    }
}

impl<T: Send + 'static> Work for Channel<T> {
    fn serve(&self, deadline: Instant) -> Served {
        let Some(handler) = self.handler() else {
            let dropped = std::mem::take(&mut self.lock().items);
            drop(dropped);
            return Served::Done;
        };
        // Once for all items of the slice: that costs something.
        let guard = handler.interp_handle.enter();
        for _ in 0..SLICE {
            let Some(item) = self.next(&handler) else {
                if handler.closed_lanes.get() == 0 && std::mem::take(&mut self.lock().last) {
                    forget_handler(self.key);
                }
                return Served::Done;
            };
            if let Some(guard) = &guard {
                let rest = Rest { handler: &handler, pause: Cell::new(false) };
                coroutine::delivering(|| {
                    guard.interp().deliver(|| (handler.take)(item, &rest));
                });
                if rest.pause.get() {
                    return handler.paused();
                }
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        Served::More
    }

    fn retire(&self) -> bool {
        if self.handler().is_some_and(|handler| !handler.taken.borrow().is_empty()) {
            return false;
        }
        let mut queue = self.lock();
        let empty = queue.items.is_empty();
        if empty {
            queue.posted = false;
        }
        empty
    }
}

/// Takes a handler out; what it owns is dropped when nobody uses it any more.
fn forget_handler(key: Key) {
    let handler = REGISTRY.try_with(|registry| {
        registry.handlers.try_borrow_mut().ok().and_then(|mut handlers| handlers.remove(&key))
    });
    drop(handler);
}

impl<T: Send + 'static> Channel<T> {
    fn handler(&self) -> Option<Rc<Handler<T>>> {
        let known = REGISTRY.with(|registry| registry.handlers.borrow().get(&self.key).cloned());
        known.and_then(|any| any.downcast::<Handler<T>>().ok())
    }

    /// There is something to serve again, on this thread.
    fn wake(self: Arc<Self>) {
        if !std::mem::replace(&mut self.lock().posted, true) {
            Mailbox::of_this_thread().post(self, false);
        }
    }

    /// The next item, while there is somebody to have it.
    fn next(&self, handler: &Handler<T>) -> Option<T> {
        if !handler.open.get() {
            return None;
        }
        let mut taken = handler.taken.borrow_mut();
        if taken.is_empty() {
            // Not held while the handler runs, which may be long.
            std::mem::swap(&mut *taken, &mut self.lock().items);
        }
        taken.pop_front()
    }
}

impl<T: Send + 'static> Receiver<T> {
    /// Begins delivery, with what has been sent so far.
    pub fn start(&self) {
        let mut queue = self.channel.lock();
        queue.started = true;
        if !queue.items.is_empty() && !std::mem::replace(&mut queue.posted, true) {
            drop(queue);
            Mailbox::of_this_thread().post(self.channel.clone(), false);
        }
    }

    /// Takes what has not been delivered.
    pub fn take_all(&self) -> VecDeque<T> {
        let mut all = self.handler.taken.take();
        all.append(&mut self.channel.lock().items);
        all
    }

    /// Lets what has been sent so far be delivered, and what is sent meanwhile.
    pub fn finish(self) {
        let mut queue = self.channel.lock();
        queue.open = false;
        // Not posted means that nothing is left, but for what is held back.
        queue.last = queue.posted || self.handler.closed_lanes.get() > 0;
    }
}

impl<T: Send + 'static> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.channel.lock().last {
            return;
        }
        self.handler.open.set(false);
        let taken = self.handler.taken.take();
        drop(taken);
        let items = {
            let mut queue = self.channel.lock();
            queue.open = false;
            std::mem::take(&mut queue.items)
        };
        drop(items);
        forget_handler(self.channel.key);
    }
}
