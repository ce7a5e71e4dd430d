//! Coroutines that wait in our commands, and what is delivered to them meanwhile.
//!
//! A coroutine that handles deliveries may call a command that waits. The next delivery must not
//! resume it there. It is held back by its handler where that can know it, which is when the
//! coroutine is itself the callback ([`busy`]). Otherwise a script in between resumes the coroutine:
//! then the value that it passes is kept, and passed again when the coroutine has come to a `yield`
//! of its own. In both cases the handler lets the rest wait ([`Busy::when_free`]).

use super::mailbox::at_thread_exit;
use super::wait::Waiter;
use super::{Fault, Interp, Obj, stubs};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::ptr;
use std::rc::Rc;

/// A coroutine that waits in a command of ours, or has waited and has not yet got all that was kept
/// for it.
pub struct Busy {
    token: *mut stubs::Command,
    /// What it waits for; null while it does not.
    waiter: Cell<*const Waiter>,
    kept: RefCell<VecDeque<Obj>>,
    when_free: RefCell<Vec<Box<dyn FnOnce()>>>,
}

#[derive(Default)]
struct Local {
    /// By their command tokens, which are not used but to compare.
    busy: RefCell<HashMap<*mut stubs::Command, Rc<Busy>>>,
    /// Whether something is being delivered, and to which coroutines it could not be given.
    delivering: Cell<bool>,
    kept: RefCell<Vec<Rc<Busy>>>,
    armed: Cell<bool>,
}

thread_local!(static LOCAL: Local = Local::default());

/// Runs `body`, which delivers something to the program.
pub fn delivering<R>(body: impl FnOnce() -> R) -> R {
    inside(true, body)
}

/// Runs `body`, which lets a coroutine go on, maybe in the middle of a delivery to somebody else.
pub(super) fn not_delivering<R>(body: impl FnOnce() -> R) -> R {
    inside(false, body)
}

fn inside<R>(delivering: bool, body: impl FnOnce() -> R) -> R {
    let before = LOCAL.with(|local| (local.delivering.replace(delivering), local.kept.take()));
    let value = body();
    LOCAL.with(|local| {
        local.delivering.set(before.0);
        let kept = local.kept.replace(before.1);
        drop(kept);
    });
    value
}

/// The coroutines that were resumed by what is being delivered, while they waited: each has kept a
/// value. They are told once.
pub fn kept() -> Vec<Rc<Busy>> {
    LOCAL.with(|local| local.kept.take())
}

/// The coroutine of this name, if it waits in a command of ours.
pub fn busy(interp: Interp<'_>, name: &Obj) -> Option<Rc<Busy>> {
    LOCAL.with(|local| {
        if local.busy.borrow().is_empty() {
            return None;
        }
        // SAFETY: alive.
        let token = unsafe { stubs::get_command_from_obj(interp.raw(), name.raw()) };
        local.busy.borrow().get(&token).filter(|busy| busy.is_busy()).cloned()
    })
}

/// Values must go before Tcl does, not with the thread's storage.
fn forget_all() {
    let all = LOCAL.with(|local| {
        local.armed.set(false);
        local.busy.take()
    });
    for busy in all.values() {
        busy.abandon();
    }
}

impl Busy {
    /// What is known of the coroutine of this token, which is about to wait.
    pub(super) fn of(token: *mut stubs::Command) -> Rc<Busy> {
        LOCAL.with(|local| {
            if !local.armed.replace(true) {
                at_thread_exit(forget_all);
            }
            let mut all = local.busy.borrow_mut();
            let busy = all.entry(token).or_insert_with(|| {
                Rc::new(Busy {
                    token,
                    waiter: Cell::new(ptr::null()),
                    kept: RefCell::default(),
                    when_free: RefCell::default(),
                })
            });
            busy.clone()
        })
    }

    pub(super) fn token(&self) -> *mut stubs::Command {
        self.token
    }

    pub(super) fn waits(&self, waiter: &Rc<Waiter>) {
        self.waiter.set(Rc::as_ptr(waiter));
    }

    pub(super) fn goes_on(&self) {
        self.waiter.set(ptr::null());
    }

    /// It goes on in the middle of a command that calls it, and nobody is told of its end.
    pub(super) fn goes_on_unseen(self: &Rc<Self>) {
        self.goes_on();
        if self.kept.borrow().is_empty() && self.when_free.borrow().is_empty() {
            self.forget();
        }
    }

    /// Its token means nothing to us from now on.
    pub(super) fn forget(self: &Rc<Self>) {
        let known = LOCAL.with(|local| {
            let mut all = local.busy.borrow_mut();
            let ours = all.get(&self.token).is_some_and(|busy| Rc::ptr_eq(busy, self));
            if ours { all.remove(&self.token) } else { None }
        });
        drop(known);
    }

    /// Somebody has resumed it while it waits. What is delivered is kept; everything else is not
    /// meant for this moment, and ignored.
    pub(super) fn resumed_by_other(self: &Rc<Self>, value: Obj) {
        LOCAL.with(|local| {
            if local.delivering.get() {
                self.kept.borrow_mut().push_back(value);
                local.kept.borrow_mut().push(self.clone());
            }
        });
    }

    fn is_waiting(&self) -> bool {
        !self.waiter.get().is_null()
    }

    /// Whether it waits for this.
    pub fn waits_for(&self, waiter: &Rc<Waiter>) -> bool {
        ptr::eq(self.waiter.get(), Rc::as_ptr(waiter))
    }

    fn is_busy(&self) -> bool {
        self.is_waiting() || !self.kept.borrow().is_empty()
    }

    /// Calls `run` when it waits no more and has got what was kept for it, or has ended.
    pub fn when_free(&self, run: impl FnOnce() + 'static) {
        self.when_free.borrow_mut().push(Box::new(run));
    }

    /// Called from the event loop when a command of ours has let it go on and it has come to a stop:
    /// passes what was kept for it, unless it waits in a command of ours again. `name` is what it was
    /// called when it went on.
    pub(super) fn settle(self: &Rc<Self>, interp: Interp<'_>, name: &Obj, deleted: bool) {
        while !self.is_waiting() {
            let kept = self.kept.borrow_mut().pop_front();
            let Some(value) = kept else { return self.free() };
            if !deleted && self.is_named(interp, name) {
                interp.call_back(&mut [name.clone(), value]);
            } else {
                let name = name.text();
                let text = format!(
                    "Invalid coroutine {name}: it ended before it got what was delivered to it"
                );
                interp.background(&Fault::CoroutineDeleted.failure(text));
            }
        }
    }

    fn is_named(&self, interp: Interp<'_>, name: &Obj) -> bool {
        // SAFETY: alive; the token is only compared.
        let token = unsafe { stubs::get_command_from_obj(interp.raw(), name.raw()) };
        ptr::eq(token, self.token)
    }

    /// Nobody is left who could be told of it.
    pub(super) fn abandon(&self) {
        let left = (self.kept.take(), self.when_free.take());
        drop(left);
    }

    fn free(self: &Rc<Self>) {
        self.forget();
        for run in self.when_free.take() {
            run();
        }
    }
}
