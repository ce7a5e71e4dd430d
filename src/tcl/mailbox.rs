//! What other threads post to a Tcl thread: an event source, never one event per message.
//!
//! ```text
//! post       (any thread)   push the work; if !alerted.swap(true) → Tcl_ThreadAlert
//! setup      (Tcl thread)   alerted = false; something queued → alerted = true, do not sleep
//! check      (Tcl thread)   something queued and no event in Tcl's queue → queue one, but for a
//!                           break every SHIFT
//! event      (Tcl thread)   serve what is queued, fairly in turn, until all are empty or EVENT has
//!                           gone; timers and idle scripts come in between, every TURN
//! ```
//! The flag is cleared only just before Tcl sleeps: clearing it anywhere else loses wake-ups or
//! starves timers and files (both seen in experiments, both tested). The limit is a time and not
//! a count because one poll of Tcl's notifier costs 57 µs on 8.6, more than many callbacks: it waits
//! for a thread that waits for the files. Where all processors are busy that takes milliseconds (4 of
//! them in the middle, 50 at worst, measured with four busy threads for each processor), and was what
//! made timers late. So an event has several turns, and Tcl's timers are looked at between them,
//! which needs no poll.
//!
//! A piece of work may be served again from a nested event loop while one of its deliveries still runs,
//! so it stays in the queue until it is found empty, and is served one slice at a time.

use super::boundary::{caught, reported};
use super::{leaving, stubs};
use crate::lock::lock;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once};
use std::time::{Duration, Instant};

/// How long one event may serve before Tcl sees to its timers and idle work.
const TURN: Duration = Duration::from_millis(1);

/// How long before Tcl sees to files, and to what waits in the event loop.
const EVENT: Duration = Duration::from_millis(5);

/// How long there may be work without a break. In a break Tcl finds no event of ours, and so runs
/// its idle scripts, the redrawing of Tk among them, or lets `update` return.
const SHIFT: Duration = Duration::from_millis(20);

/// How long a break may wait for Tcl to become idle: timers and files come before that.
const BREAK: Duration = Duration::from_millis(5);

/// After a question was sent, how long an event that has nothing left to do waits for the answer
/// before it returns to Tcl: an answer within it spares a sleep, a wake-up and a poll of Tcl's
/// notifier. The turn's limit holds all the same.
pub const PATIENCE: Duration = Duration::from_micros(100);

/// Something with work for the Tcl thread.
pub trait Work: Send + Sync {
    /// Serves a slice of the work, until `deadline` at the latest, on the Tcl thread.
    fn serve(&self, deadline: Instant) -> Served;

    /// Asked when it leaves the queue: false if there is work again, so that it has to stay. From
    /// true on, new work needs a new post.
    fn retire(&self) -> bool {
        true
    }
}

/// What a piece of work says after a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// There is more.
    More,
    /// Nothing is left; see [`Work::retire`].
    Done,
    /// Done, and a command is waiting for the event loop to return to it.
    Leave,
    /// There is more, in the next turn of the event loop, and before all other work then. Whoever
    /// waits for what has happened finds it before more happens.
    Pause,
}

/// The mailbox of one Tcl thread.
pub struct Mailbox {
    queues: Mutex<Queues>,
    queued: AtomicUsize,
    alerted: AtomicBool,
}

struct Queues {
    /// The thread, until it ends.
    thread: Option<ThreadId>,
    /// Answers that somebody waits for. They are served first.
    urgent: VecDeque<Arc<dyn Work>>,
    normal: VecDeque<Arc<dyn Work>>,
}

struct ThreadId(*mut c_void);
// SAFETY: Tcl's thread id is a number in the form of a pointer, made to be used from other threads.
unsafe impl Send for ThreadId {}

#[repr(C)]
struct ServeEvent {
    header: stubs::Event,
}

/// How far a break has come.
#[derive(Clone, Copy)]
enum Break {
    None,
    /// Until Tcl is idle, but no longer than this.
    Until(Instant),
    /// The idle scripts have run.
    Idle,
}

struct Local {
    mailbox: Arc<Mailbox>,
    event_queued: Cell<bool>,
    /// Counts the events.
    turn: Cell<u64>,
    /// The time spent on work since there was none, or a break.
    worked: Cell<Duration>,
    idle_break: Cell<Break>,
    /// An answer may come until then.
    expecting_until: Cell<Option<Instant>>,
    /// Timers are looked at in the middle of an event: no other one of ours then.
    between_turns: Cell<bool>,
    /// What these and idle scripts took the last time: as much is ours before they come again.
    tcl_took: Cell<Duration>,
    at_exit: RefCell<Vec<Box<dyn FnOnce()>>>,
}

thread_local! {
    static LOCAL: RefCell<Option<Rc<Local>>> = const { RefCell::new(None) };
}

impl Mailbox {
    /// The mailbox of the calling Tcl thread.
    pub fn of_this_thread() -> Arc<Mailbox> {
        local().mailbox.clone()
    }

    /// Queues `work`, from any thread. After the end of the Tcl thread this does nothing.
    pub fn post(&self, work: Arc<dyn Work>, urgent: bool) {
        let mut queues = self.lock();
        if queues.thread.is_none() || leaving::is_leaving() {
            return;
        }
        if urgent {
            queues.urgent.push_back(work);
        } else {
            queues.normal.push_back(work);
        }
        self.queued.fetch_add(1, Ordering::SeqCst);
        if !self.alerted.swap(true, Ordering::SeqCst)
            && let Some(thread) = &queues.thread
        {
            // SAFETY: the thread exists: it takes its id out under this lock when it ends.
            unsafe { stubs::thread_alert(thread.0) };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        lock(&self.queues)
    }

    /// The next work to serve: an urgent one is taken off, a normal one goes to the end of its
    /// queue.
    fn next(&self) -> Option<(Arc<dyn Work>, bool)> {
        let mut queues = self.lock();
        if let Some(work) = queues.urgent.pop_front() {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            return Some((work, true));
        }
        let work = queues.normal.pop_front()?;
        queues.normal.push_back(work.clone());
        Some((work, false))
    }

    /// Takes urgent work back whose news has been found without the event loop. It may be
    /// still on its way in; it is served later then, which does no harm.
    pub fn withdraw(&self, work: &Arc<dyn Work>) {
        let mut queues = self.lock();
        if let Some(at) = queues.urgent.iter().position(|other| Arc::ptr_eq(other, work)) {
            queues.urgent.remove(at);
            self.queued.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Puts a piece of work to the head of the normal ones.
    fn put_first(&self, work: &Arc<dyn Work>) {
        let mut queues = self.lock();
        if let Some(at) = queues.normal.iter().rposition(|other| Arc::ptr_eq(other, work))
            && let Some(first) = queues.normal.remove(at)
        {
            queues.normal.push_front(first);
        }
    }

    /// Takes a piece of work off the queue that has found itself empty. It is asked again under the lock:
    /// with nested event loops its place may be gone, and a post that has just come in is not to be
    /// lost.
    fn remove(&self, work: &Arc<dyn Work>) {
        let mut queues = self.lock();
        if work.retire() {
            let before = queues.normal.len();
            queues.normal.retain(|other| !Arc::ptr_eq(other, work));
            self.queued.fetch_sub(before - queues.normal.len(), Ordering::Relaxed);
        }
    }
}

/// Says that a question has been sent whose answer may come soon.
pub fn expect_answer() {
    local().expecting_until.set(Some(Instant::now() + PATIENCE));
}

/// Counts the events that have served this thread: while it stays the same, no script that waits
/// in the event loop has gone on.
pub fn turn() -> u64 {
    local().turn.get()
}

impl Local {
    /// Whether something came in while an answer can be expected soon.
    fn await_answer(&self, deadline: Instant) -> bool {
        let Some(until) = self.expecting_until.take() else { return false };
        let until = until.min(deadline);
        while Instant::now() < until {
            if self.mailbox.queued.load(Ordering::Acquire) > 0 {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }
}

impl Local {
    /// Whether Tcl shall find no event of ours this time.
    fn is_resting(&self) -> bool {
        match self.idle_break.get() {
            Break::None if self.worked.get() > SHIFT => {
                self.idle_break.set(Break::Until(Instant::now() + BREAK));
                // SAFETY: a static function; Tcl calls it once on this thread, unless it is taken back.
                unsafe { stubs::do_when_idle(idle, ptr::null_mut()) };
                true
            }
            Break::None => false,
            Break::Until(end) if Instant::now() < end => true,
            Break::Until(_) => {
                self.end_break();
                false
            }
            // Once more: `update` goes on as long as there is something, idle scripts too.
            Break::Idle => {
                self.end_break();
                true
            }
        }
    }

    fn end_break(&self) {
        self.worked.set(Duration::ZERO);
        if let Break::Until(_) = self.idle_break.replace(Break::None) {
            // SAFETY: what was given to `do_when_idle`.
            unsafe { stubs::cancel_idle_call(idle, ptr::null_mut()) };
        }
    }
}

/// The idle scripts before this one have run.
unsafe extern "C" fn idle(_data: *mut c_void) {
    reported(|| {
        if let Some(local) = existing() {
            local.idle_break.set(Break::Idle);
        }
    });
}

/// Runs `f` when this Tcl thread ends, before Tcl takes its own state down.
pub fn at_thread_exit(f: impl FnOnce() + 'static) {
    local().at_exit.borrow_mut().push(Box::new(f));
}

/// Runs `f` when the process leaves by Tcl's `exit`. The first call counts.
pub fn at_process_exit(f: fn()) {
    static FIRST: Once = Once::new();
    unsafe extern "C" fn leave(data: *mut c_void) {
        // SAFETY: the function pointer given below.
        let f = unsafe { std::mem::transmute::<*mut c_void, fn()>(data) };
        leaving::begin();
        // There is nobody left to tell of a panic.
        let _ = caught(f);
    }
    // SAFETY: a static function; Tcl calls it once.
    FIRST.call_once(|| unsafe { stubs::create_exit_handler(leave, f as *mut c_void) });
}

fn local() -> Rc<Local> {
    LOCAL.with(|cell| {
        cell.borrow_mut()
            .get_or_insert_with(|| {
                // SAFETY: we are on a Tcl thread with a live interpreter (the caller's).
                let thread = unsafe {
                    stubs::create_event_source(setup, check, ptr::null_mut());
                    stubs::create_thread_exit_handler(thread_exit, ptr::null_mut());
                    ThreadId(stubs::get_current_thread())
                };
                let queues = Queues {
                    thread: Some(thread),
                    urgent: VecDeque::new(),
                    normal: VecDeque::new(),
                };
                Rc::new(Local {
                    mailbox: Arc::new(Mailbox {
                        queues: Mutex::new(queues),
                        queued: AtomicUsize::new(0),
                        alerted: AtomicBool::new(false),
                    }),
                    event_queued: Cell::new(false),
                    turn: Cell::new(0),
                    worked: Cell::new(Duration::ZERO),
                    idle_break: Cell::new(Break::None),
                    expecting_until: Cell::new(None),
                    between_turns: Cell::new(false),
                    tcl_took: Cell::new(Duration::ZERO),
                    at_exit: RefCell::default(),
                })
            })
            .clone()
    })
}

/// The thread's state while it has one; never makes it.
fn existing() -> Option<Rc<Local>> {
    LOCAL.with(|cell| cell.borrow().clone())
}

unsafe extern "C" fn thread_exit(_data: *mut c_void) {
    stubs::finish_thread();
    let Ok(Some(local)) = caught(|| LOCAL.with(|cell| cell.borrow_mut().take())) else { return };
    // SAFETY: the same source that `local` created, on the same thread.
    unsafe { stubs::delete_event_source(setup, check, ptr::null_mut()) };
    // Each for itself, so that a panic keeps none of the others back.
    for f in local.at_exit.take() {
        reported(f);
    }
    reported(|| {
        let mut queues = local.mailbox.lock();
        queues.thread = None;
        local.mailbox.queued.store(0, Ordering::Relaxed);
        let dropped = (std::mem::take(&mut queues.urgent), std::mem::take(&mut queues.normal));
        drop(queues);
        drop(dropped);
    });
}

unsafe extern "C" fn setup(_data: *mut c_void, flags: c_int) {
    reported(|| prepare_to_sleep(flags));
}

fn prepare_to_sleep(flags: c_int) {
    // What comes from the network is served when file events are: not in loops that wait for
    // windows only.
    if flags & stubs::FILE_EVENTS == 0 {
        return;
    }
    let Some(local) = existing() else { return };
    let mailbox = &local.mailbox;
    mailbox.alerted.store(false, Ordering::SeqCst);
    if mailbox.queued.load(Ordering::SeqCst) > 0 {
        mailbox.alerted.store(true, Ordering::SeqCst);
        let now = stubs::Time { sec: 0, usec: 0 };
        // SAFETY: Tcl copies the time.
        unsafe { stubs::set_max_block_time(&raw const now) };
    } else {
        local.end_break();
    }
}

unsafe extern "C" fn check(_data: *mut c_void, flags: c_int) {
    reported(|| queue_event(flags));
}

fn queue_event(flags: c_int) {
    let Some(local) = existing() else { return };
    if flags & stubs::FILE_EVENTS == 0 {
        return;
    }
    if local.between_turns.take()
        || local.mailbox.queued.load(Ordering::SeqCst) == 0
        || local.event_queued.get()
    {
        return;
    }
    if local.is_resting() {
        return;
    }
    local.event_queued.set(true);
    // SAFETY: Tcl frees the event with its own allocator after it was served.
    unsafe {
        let event = stubs::alloc(size_of::<ServeEvent>()).cast::<ServeEvent>();
        event.write(ServeEvent {
            header: stubs::Event { proc_: Some(serve), next: ptr::null_mut() },
        });
        stubs::queue_event(event.cast(), stubs::QUEUE_TAIL);
    }
}

unsafe extern "C" fn serve(_event: *mut stubs::Event, flags: c_int) -> c_int {
    if flags & stubs::FILE_EVENTS == 0 {
        return 0;
    }
    reported(|| serve_queued(flags));
    1
}

/// `flags` are the kinds of events that the loop is to serve.
fn serve_queued(flags: c_int) {
    let everything = flags & stubs::EVENT_KINDS == stubs::EVENT_KINDS;
    let Some(local) = existing() else { return };
    // Cleared first: a callback may run a nested event loop, which has to queue an event of its own.
    local.event_queued.set(false);
    local.turn.set(local.turn.get() + 1);
    let start = Instant::now();
    let end = start + EVENT;
    let mut worked = Duration::ZERO;
    let mut turn = TURN.max(local.tcl_took.take());
    loop {
        let begin = Instant::now();
        let left = serve_turn(&local, (begin + turn).min(end));
        let now = Instant::now();
        worked += now - begin;
        if left || now >= end || local.mailbox.queued.load(Ordering::Acquire) == 0 {
            break;
        }
        // What runs there may be what somebody waits for. A loop that leaves out timers, say, is to
        // get none from us.
        if everything && serve_tcl(&local) {
            local.tcl_took.set(now.elapsed());
            break;
        }
        turn = TURN;
    }
    local.worked.set(local.worked.get() + worked);
}

/// Lets Tcl serve timers and idle scripts that are due; whether there were any.
fn serve_tcl(local: &Local) -> bool {
    local.between_turns.set(true);
    // SAFETY: on a Tcl thread, in an event. Tcl refuses to serve events inside of an event unless it
    // is told otherwise, as it is inside of `vwait`; the mode is put back as it was.
    let served = unsafe {
        let mode = stubs::set_service_mode(stubs::SERVICE_ALL);
        let served = stubs::service_all();
        stubs::set_service_mode(mode);
        served
    };
    local.between_turns.set(false);
    served != 0
}

/// Serves until this time; whether the event has to end.
fn serve_turn(local: &Local, deadline: Instant) -> bool {
    loop {
        let Some((work, urgent)) = local.mailbox.next() else {
            if local.await_answer(deadline) {
                continue;
            }
            return true;
        };
        let served = reported(|| work.serve(deadline)).unwrap_or(Served::Done);
        match served {
            Served::More => {}
            Served::Pause => local.mailbox.put_first(&work),
            Served::Done | Served::Leave if urgent => {}
            Served::Done | Served::Leave => local.mailbox.remove(&work),
        }
        if matches!(served, Served::Leave | Served::Pause) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(AtomicUsize);

    impl Work for Counter {
        fn serve(&self, _deadline: Instant) -> Served {
            Served::Done
        }

        fn retire(&self) -> bool {
            self.0.load(Ordering::SeqCst) == 0
        }
    }

    /// A mailbox that needs no Tcl: its thread is taken to be awake.
    fn mailbox() -> Mailbox {
        let queues = Queues {
            thread: Some(ThreadId(ptr::null_mut())),
            urgent: VecDeque::new(),
            normal: VecDeque::new(),
        };
        Mailbox {
            queues: Mutex::new(queues),
            queued: AtomicUsize::new(0),
            alerted: AtomicBool::new(true),
        }
    }

    #[test]
    fn a_post_between_the_last_look_and_the_removal_is_kept() {
        let mailbox = mailbox();
        let counter = Arc::new(Counter(AtomicUsize::new(0)));
        let work: Arc<dyn Work> = counter.clone();
        mailbox.post(work.clone(), false);
        // A nested event loop has found it empty, and so does the outer one, but then:
        mailbox.remove(&work);
        counter.0.store(1, Ordering::SeqCst);
        mailbox.post(work.clone(), false);
        mailbox.remove(&work);
        assert_eq!(mailbox.queued.load(Ordering::SeqCst), 1);
        assert!(mailbox.next().is_some());
        counter.0.store(0, Ordering::SeqCst);
        mailbox.remove(&work);
        assert_eq!(mailbox.queued.load(Ordering::SeqCst), 0);
        assert!(mailbox.next().is_none());
    }

    #[test]
    fn a_source_that_pauses_is_served_first() {
        let mailbox = mailbox();
        let all: [Arc<dyn Work>; 3] =
            std::array::from_fn(|_| Arc::new(Counter(AtomicUsize::new(1))) as _);
        for work in &all {
            mailbox.post(work.clone(), false);
        }
        mailbox.next();
        mailbox.put_first(&all[0]);
        for at in [0, 1, 2, 0] {
            assert!(mailbox.next().is_some_and(|(next, _)| Arc::ptr_eq(&next, &all[at])));
        }
    }

    #[test]
    fn a_source_that_is_queued_twice_leaves_once_for_all() {
        let mailbox = mailbox();
        let work: Arc<dyn Work> = Arc::new(Counter(AtomicUsize::new(0)));
        mailbox.post(work.clone(), false);
        mailbox.post(work.clone(), false);
        mailbox.remove(&work);
        assert_eq!(mailbox.queued.load(Ordering::SeqCst), 0);
    }
}
