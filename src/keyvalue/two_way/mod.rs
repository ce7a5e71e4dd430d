//! A bucket as a Tcl array, both ways: `$kv bind` and `nats::kv_binding`. (`binding` in the folder above is
//! how a handle is bound to its bucket.)
//!
//! | file | what it is |
//! |---|---|
//! | `key`, `table` | decide and do nothing: one key, and all of them; no I/O, no clock, no Tcl |
//! | `model_tests` | these against a model of a bucket |
//! | `feed` | what comes from the bucket, on the runtime thread |
//! | `object`, `changes` | what happens between array and bucket, on the Tcl thread; what the program does |
//! | `elements` | the array with its traces |
//! | `writing` | changes on their way to the bucket |
//! | `reports`, `flush` | what the program is told; who waits for acknowledgements |
//! | `form` | keys and values as they are shown, and as they are stored |
//! | `bind`, `commands` | the method `bind`; those of a binding |
//! | `twice` | that an array is not bound to a bucket twice |

mod bind;
mod changes;
mod commands;
mod elements;
mod feed;
mod flush;
mod form;
mod key;
#[cfg(test)]
mod model_tests;
mod object;
mod reports;
mod table;
mod twice;
mod writing;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    bind::register(interp)?;
    commands::register(interp)
}
