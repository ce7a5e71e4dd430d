//! The Key-Value store on top of `jetstream`.
//!
//! | file | what it is |
//! |---|---|
//! | `buckets`, `config` | methods of `nats::jet_stream` that manage buckets; the table of their options |
//! | `update`, `changes` | the methods that change buckets; what becomes of their configuration |
//! | `statuses`, `status` | the methods `status` and `kv_statuses`; what they tell |
//! | `binding` | how a handle is bound: the options of `bind_kv_bucket` |
//! | `object`, `writes` | `nats::key_value`: what it is, and its reads; its writes |
//! | `store`, `bucket`, `names` | reads and writes on the wire; the bucket; what names may be |
//! | `abilities`, `lifetime`, `touch` | what the stream allows; the TTL of an entry; the method `touch` |
//! | `trusted` | reads from the leader, and that see what the handle has written |
//! | `lease` | leases, locks, leaders |
//! | `foreign` | keys that other clients have made and this package would not |
//! | `entry`, `entry_dict`, `headers` | one revision of one key; the same in Tcl; the headers of a program |
//! | `codec`, `key_codec` | the codecs of a handle: what it shows, and what is stored instead |
//! | `patterns` | arguments that are lists of patterns |
//! | `watch`, `watcher`, `watch_target` | the method `watch`; `nats::kv_watcher`; its callback and its array |
//! | `watch_observer`, `latest` | a watch's part on the runtime thread; what a slow program has not taken |
//! | `lists`, `gather`, `lister` | the methods `keys` and `history`; as one list; `nats::kv_lister`, as many |
//! | `gather_observer` | their part on the runtime thread |
//! | `consumer` | what watches and gatherings consume |
//! | `two_way` | a bucket as a Tcl array, both ways |
//! | `last` | which entry of the initial data is the last |
//! | `many` | many keys in one call: `mget`, `mput`, `mdelete`, `purge_deletes` |
//! | `change` | changes that lose no other change: `modify`, `incr`, `append`, `getset` |
//!
//! Files with methods, `many/failure`, `codec`, `watcher` and `entry_dict` know Tcl; everything else does not.

mod abilities;
mod binding;
pub mod bucket;
mod buckets;
mod change;
mod changes;
mod codec;
pub mod config;
mod consumer;
pub mod entry;
mod entry_dict;
mod foreign;
mod gather;
mod gather_observer;
mod headers;
mod key_codec;
mod last;
mod latest;
mod lease;
mod lifetime;
mod lister;
mod lists;
mod many;
mod names;
mod object;
mod patterns;
mod status;
mod statuses;
mod store;
mod touch;
mod trusted;
mod two_way;
mod update;
mod watch;
mod watch_observer;
mod watch_target;
mod watcher;
mod writes;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    buckets::register(interp)?;
    update::register(interp)?;
    statuses::register(interp)?;
    object::register(interp)?;
    writes::register(interp)?;
    touch::register(interp)?;
    lease::register(interp)?;
    lists::register(interp)?;
    lister::register(interp)?;
    watch::register(interp)?;
    watcher::register(interp)?;
    many::register(interp)?;
    change::register(interp)?;
    two_way::register(interp)
}
