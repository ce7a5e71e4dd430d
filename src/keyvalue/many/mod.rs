//! Many keys in one call: `mget`, `mput`, `mdelete`, `purge_deletes`.
//!
//! | file | what it is |
//! |---|---|
//! | `get`, `put`, `remove` | the methods |
//! | `read` | the last values of many keys: one snapshot where the server has that |
//! | `write` | many writes, each by itself |
//! | `atomic` | many writes, all or none |
//! | `listing` | what a bucket has now, gathered by a consumer of a moment |
//! | `plan` | which consumers and reads find what patterns stand for |
//! | `pipeline` | many requests under way at once |
//! | `failure` | the error of a command of which a part was done |
//!
//! Only the methods and `failure` know Tcl. All work is done on the runtime thread; the program waits once.

mod atomic;
mod failure;
mod get;
mod listing;
mod pipeline;
mod plan;
pub mod put;
mod read;
mod remove;
mod write;

use crate::tcl::{Interp, Result, oo};

pub fn register(interp: Interp<'_>) -> Result<()> {
    for methods in [get::METHODS, put::METHODS, remove::METHODS] {
        oo::define(interp, "::nats::key_value", None, None, methods)?;
    }
    Ok(())
}
