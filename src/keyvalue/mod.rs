//! The Key-Value store on top of `jetstream`.
//!
//! | file | what it is |
//! |---|---|
//! | `buckets`, `config` | methods of `nats::jet_stream` that manage buckets; the table of their options |
//! | `object`, `store`, `bucket`, `names` | `nats::key_value`; its reads and writes on the wire; the bucket; what names may be |
//! | `foreign` | keys that other clients have made and this package would not |
//! | `entry`, `entry_dict`, `headers` | one revision of one key; the same in Tcl; the headers of a program |
//! | `watch`, `watcher` | the method `watch`; `nats::kv_watcher` |
//! | `gather`, `activity` | the methods `keys` and `history`; the silence that they tolerate |
//! | `consumer`, `watch_observer` | what watches and gatherings consume; a watch's part on the runtime thread |
//! | `last` | which entry of the initial data is the last |
//! | `known` | the keys that a watch has reported, to find those that vanish |
//!
//! Files with methods, `watcher` and `entry_dict` know Tcl; everything else does not.

mod activity;
pub mod bucket;
mod buckets;
pub mod config;
mod consumer;
pub mod entry;
mod entry_dict;
mod foreign;
mod gather;
mod headers;
mod known;
mod last;
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
