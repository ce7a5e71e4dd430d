//! The object store on top of `jetstream` (ADR-20): objects of any size, in chunks.
//!
//! | file | what it is |
//! |---|---|
//! | `buckets`, `config` | methods of `nats::jet_stream` that manage object stores; the table of their options |
//! | `bucket`, `names` | the object store as its stream describes it; names and subjects |
//! | `object` | `nats::object_store`, and its methods `info` and `list` |
//! | `store`, `write` | descriptions on the wire: reading; writing, and removing chunks |
//! | `removed` | chunks that were removed, and come back with a server that was killed |
//! | `update`, `rename` | changes of a description on the wire; its name |
//! | `links` | links on the wire, and where they lead to |
//! | `changes` | the methods `delete`, `update_meta`, `add_link`, `add_bucket_link` |
//! | `consumer`, `observer` | what lists and watches consume; descriptions as they come |
//! | `list`, `watch` | a list of all; the method `watch`, and `nats::object_watcher` |
//! | `status` | the methods `status` and `seal` |
//! | `put`, `get`, `transfer` | the data of objects: in, out, and what both have in common |
//! | `info`, `info_dict` | the description of an object; the same in Tcl |
//!
//! Files with methods and `info_dict` know Tcl; everything else does not.

mod bucket;
mod buckets;
mod changes;
mod config;
mod consumer;
mod get;
mod info;
mod info_dict;
mod links;
mod list;
mod names;
mod object;
mod observer;
mod put;
mod removed;
mod rename;
mod status;
mod store;
mod transfer;
mod update;
mod watch;
mod write;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    buckets::register(interp)?;
    object::register(interp)?;
    changes::register(interp)?;
    status::register(interp)?;
    watch::register(interp)?;
    transfer::register(interp)?;
    put::register(interp)?;
    get::register(interp)
}
