//! How Tcl's `load` gets into the package.

use super::boundary::{caught, quiet_panics};
use super::call::conclude;
use super::failure::{Error, Fault};
use super::{Failure, Interp, Result, Return, stubs};
use std::borrow::Cow;
use std::ffi::{CString, c_int};
use std::sync::OnceLock;

/// The package that is made with this layer.
pub struct Package {
    pub name: &'static str,
    pub version: &'static str,
    /// Makes its classes and commands in an interpreter.
    pub init: fn(Interp<'_>) -> Result<()>,
    /// What a program is told of a fault with this text.
    pub error: fn(Fault, Cow<'static, str>) -> Error,
}

static PACKAGE: OnceLock<&'static Package> = OnceLock::new();

pub(super) fn package() -> Option<&'static Package> {
    PACKAGE.get().copied()
}

/// Finds Tcl's functions. `Err` leaves Tcl's message in the interpreter where Tcl could be called.
///
/// # Safety
/// `interp` is a live interpreter of this thread.
pub(super) unsafe fn begin(
    interp: *mut stubs::RawInterp,
    package: &'static Package,
) -> std::result::Result<(), ()> {
    PACKAGE.get_or_init(|| package);
    // SAFETY: by the caller's word.
    unsafe { stubs::init(interp) }
}

/// # Safety
/// `interp` is the interpreter that Tcl passes to an initialisation function.
pub unsafe fn enter(interp: *mut stubs::RawInterp, package: &'static Package) -> c_int {
    // SAFETY: by the caller's word; nothing else is called when this fails.
    let interp = unsafe {
        if begin(interp, package).is_err() {
            return stubs::ERROR;
        }
        Interp::from_raw(interp)
    };
    quiet_panics();
    let init =
        || threaded().and_then(|()| (package.init)(interp)).and_then(|()| provide(interp, package));
    let outcome = caught(init).unwrap_or_else(|error| Err(error.into()));
    conclude(interp, outcome.map(|()| Return::Empty))
}

/// Nobody can wake a Tcl that was built without threads: what other threads post would wait for its next timer.
fn threaded() -> Result<()> {
    // SAFETY: no preconditions. Such a Tcl has no numbers of threads.
    if unsafe { stubs::get_current_thread() }.is_null() {
        return Err(Fault::Threads.failure(
            "this Tcl was built without threads (--disable-threads), and nothing would wake it up",
        ));
    }
    Ok(())
}

/// Announces the package.
fn provide(interp: Interp<'_>, package: &Package) -> Result<()> {
    let (Ok(name), Ok(version)) = (CString::new(package.name), CString::new(package.version))
    else {
        return Err(Fault::Internal.failure("bad package name"));
    };
    // SAFETY: alive; both strings end with NUL and are copied.
    let code = unsafe {
        stubs::pkg_provide_ex(interp.raw(), name.as_ptr(), version.as_ptr(), std::ptr::null())
    };
    if code == stubs::OK { Ok(()) } else { Err(Failure::Raised) }
}

/// Defines the function that `load` calls for a package.
macro_rules! entry_point {
    ($name:ident, $package:expr) => {
        /// What Tcl's `load` calls.
        ///
        /// # Safety
        /// `interp` is the interpreter that Tcl passes to it.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, unsafe_code)]
        pub unsafe extern "C" fn $name(
            interp: *mut $crate::tcl::load::RawInterp,
        ) -> ::std::ffi::c_int {
            // SAFETY: by the caller's word.
            unsafe { $crate::tcl::load::enter(interp, $package) }
        }
    };
}

pub(crate) use entry_point;
pub use stubs::RawInterp;
