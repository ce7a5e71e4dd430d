//! Batches: `nats::publish_batch`.
//!
//! | file | what it is |
//! |---|---|
//! | `object` | the object and its methods |
//! | `atomic` | batches of which all is stored or nothing |
//! | `fast` | batches of any size, stored as they come |
//!
//! `object` and `atomic` know Tcl; `fast` does not.

pub mod atomic;
mod fast;
mod object;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    object::register(interp)
}
