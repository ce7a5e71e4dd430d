//! The Key-Value store on top of `jetstream`.
//!
//! `object` is a bucket in Tcl; `buckets`, `watch`, `watcher` and `gather` are commands and know Tcl,
//! `entry_dict` makes Tcl values. Everything else knows nothing of Tcl.

pub mod bucket;
mod buckets;
pub mod config;
mod consumer;
pub mod entry;
mod entry_dict;
mod gather;
mod known;
mod names;
mod object;
mod store;
mod watch;
mod watch_observer;
mod watcher;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    buckets::register(interp)?;
    object::register(interp)?;
    gather::register(interp)?;
    watch::register(interp)?;
    watcher::register(interp)
}
