//! The entry point of `load`.

use super::call::{conclude, panicked, quiet_panics};
use super::{Failure, Interp, Result, Return, stubs};
use crate::error::Error;
use std::ffi::{CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Announces the package.
pub fn provide(interp: Interp<'_>, name: &str, version: &str) -> Result<()> {
    let (Ok(name), Ok(version)) = (CString::new(name), CString::new(version)) else {
        return Err(Error::invalid("bad package name").into());
    };
    // SAFETY: alive; both strings end with NUL and are copied.
    let code = unsafe {
        stubs::pkg_provide_ex(interp.raw(), name.as_ptr(), version.as_ptr(), std::ptr::null())
    };
    if code == stubs::OK { Ok(()) } else { Err(Failure::Raised) }
}

/// # Safety
/// `interp` is the interpreter that Tcl passes to an initialisation function.
unsafe fn enter(interp: *mut stubs::RawInterp, init: fn(Interp<'_>) -> Result<()>) -> c_int {
    // SAFETY: by the caller's word; nothing else is called when init fails.
    let interp = unsafe {
        if stubs::init(interp).is_err() {
            return stubs::ERROR;
        }
        Interp::from_raw(interp)
    };
    quiet_panics();
    let outcome = catch_unwind(AssertUnwindSafe(|| init(interp)))
        .unwrap_or_else(|panic| Err(panicked(panic).into()));
    conclude(interp, outcome.map(|()| Return::Empty))
}

/// What Tcl's `load` calls. There is no `Nats_SafeInit`: a safe interpreter must not reach the
/// network, and Tcl itself refuses to load the package there.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub extern "C" fn Nats_Init(interp: *mut stubs::RawInterp) -> c_int {
    // SAFETY: Tcl passes its interpreter.
    unsafe { enter(interp, crate::init) }
}
