//! The Key-Value store on top of `jetstream`.
//!
//! `buckets`, `object`, `watcher` and `gather` are the Tcl side; everything else knows nothing of Tcl.

pub mod bucket;
mod buckets;
pub mod config;
pub mod entry;
mod gather;
mod known;
mod names;
mod object;
mod store;
mod watcher;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    buckets::register(interp)?;
    object::register(interp)?;
    watcher::register(interp)
}
