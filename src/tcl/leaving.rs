//! The end of the process by Tcl's `exit`, as the other threads see it.
//!
//! `exit` ends the process from one thread while the scripts of others still run. What they wait for
//! ends with it, and what they begin now cannot be done any more; but as there is nobody to handle an
//! error, none is told: such a thread stays where it is.

use std::sync::OnceLock;
use std::thread::{self, ThreadId};
use std::time::Duration;

/// The thread that has called `exit`.
static LEAVER: OnceLock<ThreadId> = OnceLock::new();

/// Should the process not end after all, errors are errors again.
const LONGEST: Duration = Duration::from_secs(10);

/// The process ends: nothing is delivered any more.
pub(super) fn begin() {
    LEAVER.get_or_init(|| thread::current().id());
}

/// Whether the process is ending.
pub fn is_leaving() -> bool {
    LEAVER.get().is_some()
}

/// Before an error is told: does not return in a thread that the end of the process has overtaken.
pub(super) fn stay_behind() {
    if LEAVER.get().is_some_and(|leaver| *leaver != thread::current().id()) {
        thread::sleep(LONGEST);
    }
}
