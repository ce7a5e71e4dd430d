//! The object store on top of `jetstream` (ADR-20): objects of any size, in chunks.
//!
//! | file | what it is |
//! |---|---|
//! | `buckets`, `config` | methods of `nats::jet_stream` that manage object stores; the table of their options |
//! | `bucket`, `names` | the object store as its stream describes it; names and subjects |
//! | `object` | `nats::object_store`, and its method `info` |
//! | `store`, `write` | descriptions on the wire: reading; writing, and removing chunks |
//! | `links` | links on the wire, and where they lead to |
//! | `changes` | the methods `delete`, `add_link`, `add_bucket_link` |
//! | `info`, `info_dict` | the description of an object; the same in Tcl |
//!
//! Files with methods and `info_dict` know Tcl; everything else does not.

mod bucket;
mod buckets;
mod changes;
mod config;
mod info;
mod info_dict;
mod links;
mod names;
mod object;
mod store;
mod write;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    buckets::register(interp)?;
    object::register(interp)?;
    changes::register(interp)
}
