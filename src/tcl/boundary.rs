//! Where Tcl calls us: a panic of ours ends here and becomes an error of Tcl.

use super::failure::{Error, Fault};
use super::{Interp, InterpHandle};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local!(static PANIC: RefCell<Option<String>> = const { RefCell::new(None) });

/// Replaces Rust's panic message on stderr by a note that becomes the text of the error.
/// The hook belongs to this shared object's copy of the standard library alone.
pub(super) fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        let _ = PANIC.try_with(|note| note.try_borrow_mut().map(|mut note| *note = Some(text)));
    }));
}

/// For calls that can return an error.
pub(super) fn caught<R>(body: impl FnOnce() -> R) -> Result<R, Error> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|_| {
        let note = PANIC.try_with(|note| note.borrow_mut().take()).ok().flatten();
        let text = note.as_deref().unwrap_or("unknown panic");
        Fault::Internal.error(format!("Internal error: {text}"))
    })
}

/// For calls that cannot: the error goes to the background error handler of an interpreter of this
/// thread. `None` after a panic.
pub(super) fn reported<R>(body: impl FnOnce() -> R) -> Option<R> {
    let report = |error: Error| {
        if let Some(handle) = InterpHandle::of_this_thread()
            && let Some(guard) = handle.enter()
        {
            guard.interp().background_aside(error);
        }
    };
    caught(body).map_err(report).ok()
}

impl Interp<'_> {
    /// Runs code of ours that the event loop has called for this interpreter: a panic becomes a
    /// background error.
    pub fn deliver(self, body: impl FnOnce()) {
        if let Err(error) = caught(body) {
            self.background_aside(error);
        }
    }

    fn background_aside(self, error: Error) {
        self.aside(|| self.background(&error.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcl::testing::interp;
    use crate::tcl::{Obj, stubs};

    /// What the background error handler hears of while `body` runs.
    fn heard(interp: Interp<'_>, body: impl FnOnce()) -> Vec<String> {
        quiet_panics();
        interp
            .eval(
                "proc heard {text options} {lappend ::heard [dict get $options -errorcode] $text}",
            )
            .expect("a procedure");
        interp
            .eval("interp bgerror {} heard; set ::heard {}; set ::errorCode before")
            .expect("a handler");
        body();
        // SAFETY: on a thread with an interpreter; takes what is due and does not wait.
        while unsafe { stubs::do_one_event(stubs::DONT_WAIT) } != 0 {}
        let heard = interp.get_var(&Obj::new("::heard"), None).expect("a variable");
        heard.elements(interp).expect("a list").iter().map(Obj::string).collect()
    }

    #[test]
    fn a_panic_in_a_delivery_is_a_background_error() {
        interp(|interp| {
            let heard = heard(interp, || interp.deliver(|| panic!("spilt milk")));
            assert_eq!(heard[0], "NATS ErrInternal");
            assert!(heard[1].starts_with("Internal error: ") && heard[1].contains("spilt milk"));
            assert_eq!(heard.len(), 2);
        });
    }

    #[test]
    fn so_is_one_where_no_interpreter_is_known_and_the_result_stays() {
        interp(|interp| {
            let _known = interp.handle();
            interp.set_result(&Obj::new("of the command"));
            let heard = heard(interp, || {
                interp.set_result(&Obj::new("of the command"));
                assert!(reported(|| panic!("spilt milk")).is_none());
                assert_eq!(interp.result().text(), "of the command");
            });
            assert_eq!(heard[0], "NATS ErrInternal");
            assert!(heard[1].contains("spilt milk"));
        });
    }

    #[test]
    fn what_does_not_panic_has_its_result() {
        assert_eq!(reported(|| 7), Some(7));
        assert_eq!(caught(|| 7).expect("no panic"), 7);
    }
}
