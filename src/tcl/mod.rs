//! The layer that knows Tcl, and nothing of NATS. The only code of the crate with `unsafe`.
//!
//! | file | what it owns |
//! |---|---|
//! | `stubs` | Tcl's C functions for 8.6 and 9 |
//! | `obj` | values |
//! | `text` | string conversions |
//! | `interp` | the interpreter token: results, variables, evaluation |
//! | `call` | entries from Tcl: commands and methods, panics |
//! | `oo` | classes, objects and the Rust data in them |
//! | `wait` | waiting in coroutines and in the event loop |
//! | `mailbox` | what other threads post to a Tcl thread |
#![allow(unsafe_code)]

pub mod call;
pub mod interp;
pub mod load;
pub mod mailbox;
pub mod obj;
pub mod oo;
mod stubs;
pub mod text;
pub mod wait;

#[cfg(test)]
mod stubs_tests;
#[cfg(test)]
pub mod testing;

pub use call::{Call, Method, Return};
pub use interp::{Interp, InterpGuard, InterpHandle};
pub use obj::{Dict, List, Obj};
pub use oo::{Native, Object, ObjectHandle};

use crate::error::Error;

/// Why a command fails.
#[derive(Debug)]
pub enum Failure {
    /// An error of ours, still to be made the interpreter's.
    Error(Error),
    /// The interpreter holds the error already (Tcl raised it).
    Raised,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(error)
    }
}
