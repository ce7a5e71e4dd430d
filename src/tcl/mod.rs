//! The layer that knows Tcl, and nothing of the package that is made with it. The only code of the crate with `unsafe`.
//!
//! | file | what it owns |
//! |---|---|
//! | `stubs` | Tcl's C functions for 8.6 and 9 |
//! | `obj` | values |
//! | `text` | string conversions |
//! | `interp` | the interpreter token: results, variables, evaluation |
//! | `call` | entries from Tcl: commands and methods |
//! | `channel` | whether a channel is still the same one |
//! | `load` | how Tcl's `load` gets into the package |
//! | `boundary` | panics end there |
//! | `failure` | why a command fails |
//! | `oo` | classes, objects and the Rust data in them |
//! | `trace` | traces on arrays |
//! | `prefix` | commands of the program that are called back |
//! | `wait` | waiting in coroutines and in the event loop |
//! | `coroutine` | what is delivered to coroutines that wait |
//! | `mailbox` | what other threads post to a Tcl thread |
//! | `leaving` | the end of the process, as other threads see it |
#![allow(unsafe_code)]

mod boundary;
pub mod call;
mod channel;
pub mod coroutine;
mod failure;
pub mod interp;
pub mod leaving;
pub mod load;
pub mod mailbox;
pub mod obj;
pub mod oo;
mod prefix;
mod stubs;
pub mod text;
pub mod trace;
pub mod wait;

#[cfg(test)]
mod stubs_tests;
#[cfg(test)]
pub mod testing;

pub use call::{Call, Method, Return};
pub use channel::KnownChannel;
pub use failure::{Error, Failure, Fault, Result};
pub use interp::{Interp, InterpGuard, InterpHandle};
pub use obj::{Dict, List, Obj};
pub use oo::{Native, Object, ObjectHandle};
pub use prefix::Prefix;

// The layouts in `stubs` and `obj` are those of 64-bit machines.
const _: () = assert!(size_of::<usize>() == 8, "64-bit machines only");
