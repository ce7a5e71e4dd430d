//! Waiting without blocking: a command parks until something completes.
//!
//! Inside a coroutine the command yields, and the completion resumes the coroutine from the event
//! loop; everywhere else it runs the event loop itself, so that nested waits end in LIFO order as
//! those of `vwait` do. A coroutine is known by its command token, so that a renamed one is found;
//! one that is deleted unwinds through [`resumed`], which lets go of the operation.

use super::boundary::caught;
use super::call::{Return, conclude};
use super::coroutine::{Busy, not_delivering};
use super::mailbox::{PATIENCE, Served};
use super::{Failure, Fault, Interp, InterpHandle, Obj, Result, stubs};
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long answers may come that way before timers and files get their turn all the same.
const BREATHER: Duration = Duration::from_millis(5);

/// One wait. Shared between the parked command and whatever completes it, on one thread.
pub struct Waiter {
    interp_handle: InterpHandle,
    done: Cell<bool>,
    parked: RefCell<Option<Rc<Busy>>>,
    /// A coroutine that left before completion.
    left: RefCell<Option<Left>>,
}

/// A coroutine that has left a wait: it was deleted, or somebody threw an error into it.
struct Left {
    busy: Rc<Busy>,
    name: Obj,
    deleted: bool,
}

impl Waiter {
    pub fn new(interp: Interp<'_>) -> Rc<Waiter> {
        Rc::new(Waiter {
            interp_handle: interp.handle(),
            done: Cell::new(false),
            parked: RefCell::new(None),
            left: RefCell::new(None),
        })
    }

    /// Whether the coroutine that waited has left, which others are still to hear of.
    pub fn is_left(&self) -> bool {
        self.left.borrow().is_some()
    }

    /// Ends the wait: called from the event loop, on the Tcl thread.
    pub fn complete(&self) -> Served {
        self.done.set(true);
        let (parked, left) = (self.parked.take(), self.left.take());
        let Some(guard) = self.interp_handle.enter() else {
            if let Some(left) = left {
                left.busy.abandon();
            }
            return Served::Leave;
        };
        let interp = guard.interp();
        if let Some(busy) = parked {
            let name = Obj::empty();
            // SAFETY: the token is valid: a coroutine that goes clears `parked` first.
            unsafe { stubs::get_command_full_name(interp.raw(), busy.token(), name.raw()) };
            not_delivering(|| {
                interp.call_back(&mut [name.clone()]);
                busy.settle(interp, &name, false);
            });
            Served::Done
        } else if let Some(Left { busy, name, deleted }) = left {
            if deleted {
                let text = format!("Invalid coroutine {}", name.text());
                interp.background(&Fault::CoroutineDeleted.failure(text));
            }
            not_delivering(|| busy.settle(interp, &name, deleted));
            Served::Done
        } else {
            Served::Leave
        }
    }
}

type Finish = Box<dyn FnOnce(Interp<'_>) -> Result<Return>>;

struct Parked {
    waiter: Rc<Waiter>,
    coroutine: Obj,
    busy: Rc<Busy>,
    finish: Finish,
}

/// Waits for `waiter`, then makes the command's result with `finish`. `ready` tells whether the
/// completion is on its way; it is asked only if nobody else can be kept waiting by that. There is
/// none if the event loop has to run for it.
pub fn wait(
    interp: Interp<'_>,
    waiter: &Rc<Waiter>,
    ready: Option<impl Fn() -> bool>,
    finish: impl FnOnce(Interp<'_>) -> Result<Return> + 'static,
) -> Result<Return> {
    if waiter.done.get() {
        return finish(interp);
    }
    let Some((coroutine, command)) = current_coroutine(interp)? else {
        if !ready.is_some_and(|ready| look(&ready)) {
            run_event_loop(interp, waiter)?;
        }
        return finish(interp);
    };
    let (waiter, busy) = (waiter.clone(), Busy::of(command));
    let parked = Parked { waiter, coroutine, busy, finish: Box::new(finish) };
    Ok(Return::Suspended(park(interp, Box::new(parked))))
}

thread_local!(static SERVED: Cell<Option<Instant>> = const { Cell::new(None) });

/// Looks for an answer for a moment (see [`PATIENCE`]) without sleeping, letting other threads of
/// this processor go first. `false` without a look when the event loop has waited long enough.
fn look(ready: &impl Fn() -> bool) -> bool {
    let start = Instant::now();
    let rested = SERVED.get().is_some_and(|served| start - served < BREATHER);
    if !rested {
        // A script that comes again and again at once must not keep this call for ever.
        // SAFETY: on a Tcl thread; takes what is due and does not wait.
        while unsafe { stubs::do_one_event(stubs::DONT_WAIT) } != 0 && start.elapsed() < BREATHER {}
        SERVED.set(Some(Instant::now()));
    }
    let start = Instant::now();
    loop {
        if ready() {
            return true;
        }
        if start.elapsed() > PATIENCE {
            return false;
        }
        std::thread::yield_now();
    }
}

/// Whether a command that waits now yields, rather than running the event loop.
pub fn in_coroutine(interp: Interp<'_>) -> Result<bool> {
    Ok(current_coroutine(interp)?.is_some())
}

fn current_coroutine(interp: Interp<'_>) -> Result<Option<(Obj, *mut stubs::Command)>> {
    let question = Obj::new("::tcl::info::coroutine");
    let name = interp.call(&mut [question])?;
    if name.is_empty() {
        return Ok(None);
    }
    // SAFETY: alive.
    let command = unsafe { stubs::get_command_from_obj(interp.raw(), name.raw()) };
    Ok((!command.is_null()).then_some((name, command)))
}

fn park(interp: Interp<'_>, parked: Box<Parked>) -> c_int {
    parked.busy.waits(&parked.waiter);
    parked.waiter.parked.replace(Some(parked.busy.clone()));
    let data: *mut c_void = Box::into_raw(parked).cast();
    let yield_now = Obj::list(&[Obj::new("::yield")]);
    // SAFETY: alive; `resumed` takes the box back, and Tcl runs it exactly once, also when the
    // coroutine is deleted.
    unsafe {
        let null = ptr::null_mut();
        stubs::nr_add_callback(interp.raw(), resumed, data, null, null, null);
        stubs::nr_eval_obj(interp.raw(), yield_now.raw(), 0)
    }
}

unsafe extern "C" fn resumed(
    data: *const *mut c_void,
    interp: *mut stubs::RawInterp,
    code: c_int,
) -> c_int {
    // SAFETY: the box that `park` gave away; Tcl passes the live interpreter of the coroutine.
    let (parked, interp) =
        unsafe { (Box::from_raw((*data).cast::<Parked>()), Interp::from_raw(interp)) };
    caught(|| resume(interp, parked, code))
        .unwrap_or_else(|error| conclude(interp, Err(error.into())))
}

/// The coroutine goes on, or is unwound.
fn resume(interp: Interp<'_>, parked: Box<Parked>, code: c_int) -> c_int {
    let waiter = parked.waiter.clone();
    waiter.parked.take();
    parked.busy.goes_on();
    if code == stubs::OK && !waiter.done.get() {
        // Somebody else resumed the coroutine: not our completion, so wait on.
        parked.busy.resumed_by_other(interp.result());
        return park(interp, parked);
    }
    if code != stubs::OK {
        // The error code alone could be an older one, left over when the coroutine is unwound.
        let deleted = !runs(interp, parked.busy.token());
        if !deleted && cannot_yield(interp) {
            interp.reset_result();
            parked.busy.goes_on_unseen();
            let outcome = run_event_loop(interp, &waiter).and_then(|()| (parked.finish)(interp));
            return conclude(interp, outcome);
        }
        if deleted {
            parked.busy.forget();
            if interp.deleted() {
                parked.busy.abandon();
            }
        }
        // If it lives, somebody threw an error into it, and has its answer.
        if !waiter.done.get() {
            let (busy, name) = (parked.busy.clone(), parked.coroutine.clone());
            waiter.left.replace(Some(Left { busy, name, deleted }));
        }
        return code;
    }
    conclude(interp, (parked.finish)(interp))
}

/// Whether this coroutine is the one that runs now. It is not while it is unwound: Tcl then
/// evaluates nothing.
fn runs(interp: Interp<'_>, command: *mut stubs::Command) -> bool {
    interp.aside(|| {
        current_coroutine(interp).is_ok_and(|now| now.is_some_and(|(_, now)| ptr::eq(now, command)))
    })
}

/// A C function between the coroutine and us (`lsort -command`, say) makes yielding impossible.
fn cannot_yield(interp: Interp<'_>) -> bool {
    // SAFETY: alive; the options are a dict that Tcl made.
    let options = unsafe { Obj::from_raw(stubs::get_return_options(interp.raw(), stubs::ERROR)) };
    let code = options.and_then(|options| options.dict_get(interp, "-errorcode").ok().flatten());
    code.is_some_and(|code| code.tcl_bytes() == b"TCL COROUTINE CANT_YIELD")
}

/// The error for an interpreter that has used up its time or its commands.
fn over_limit(interp: Interp<'_>) -> Failure {
    // SAFETY: alive. The check sets Tcl's error, unless it is not its turn (see granularity).
    if unsafe { stubs::limit_check(interp.raw()) } == stubs::OK {
        interp.set_result(&Obj::new("limit exceeded"));
        let code = Obj::list(&[Obj::new("TCL"), Obj::new("LIMIT")]);
        // SAFETY: both live; Tcl takes its own reference of the code.
        unsafe { stubs::set_obj_error_code(interp.raw(), code.raw()) };
    }
    Failure::Raised
}

fn run_event_loop(interp: Interp<'_>, waiter: &Waiter) -> Result<()> {
    let interp_handle = interp.handle();
    // Held, since what runs meanwhile may delete it.
    let guard = interp_handle.enter();
    while !waiter.done.get() {
        if guard.is_none() || interp.deleted() {
            return Err(Fault::InterpDeleted.failure("the interpreter was deleted"));
        }
        // SAFETY: the interpreter is held by `guard`.
        unsafe {
            if stubs::canceled(interp.raw(), stubs::LEAVE_ERR_MSG) != stubs::OK {
                return Err(Failure::Raised);
            }
            if stubs::limit_exceeded(interp.raw()) != 0 {
                return Err(over_limit(interp));
            }
            stubs::do_one_event(stubs::ALL_EVENTS);
        }
    }
    SERVED.set(Some(Instant::now()));
    Ok(())
}
