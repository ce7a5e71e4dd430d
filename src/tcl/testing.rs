//! Interpreters for unit tests, of the Tcl library that the crate `tcl-sys` links.

use super::{Failure, Interp, Obj, Result};
use std::borrow::Cow;

/// Runs `test` with a new interpreter.
pub fn interp(test: impl FnOnce(Interp<'_>)) {
    // SAFETY: finding the executable comes before all else and may be repeated; the interpreter is
    // live until it is deleted, and used on this thread only.
    unsafe {
        tcl_sys::Tcl_FindExecutable(std::ptr::null());
        let raw = tcl_sys::Tcl_CreateInterp();
        super::load::begin(raw.cast(), &crate::PACKAGE)
            .expect("a Tcl that the package can be loaded into");
        test(Interp::from_raw(raw.cast()));
        tcl_sys::Tcl_DeleteInterp(raw);
    }
}

/// The words of a command.
pub fn words(interp: Interp<'_>, text: &str) -> Vec<Obj> {
    Obj::new(text).elements(interp).expect("a list")
}

/// The error code and the text of what has failed with an error of ours.
pub fn refused<T>(result: Result<T>) -> (&'static str, String) {
    match result {
        Err(Failure::Error(error)) => match error.code.last() {
            Some(Cow::Borrowed(word)) => (word, error.message.into_owned()),
            _ => panic!("not one of our kinds: {error:?}"),
        },
        Err(Failure::Raised) => panic!("an error of Tcl"),
        Ok(_) => panic!("no error"),
    }
}
