//! Leases, locks and leaders: keys that belong to somebody as long as he renews them.
//!
//! | file | what it is |
//! |---|---|
//! | `machine`, `outcome` | decide and do nothing: no I/O, no clock; inputs, and what follows from an end |
//! | `claim`, `hold` | their parts: until a key is ours, and from then on |
//! | `action` | what goes into the machine and out of it |
//! | `seen` | what a key has, and whose it is |
//! | `driver`, `perform` | do and decide nothing, on the runtime thread; the handle |
//! | `observer` | the driver's watch of its key |
//! | `options` | what the commands have in common |
//! | `owner` | what both objects have in common
//! | `object` | `$kv lease`, `$kv lock`, and `nats::kv_lease` |
//! | `election` | `$kv elect`, and `nats::kv_election` |
//!
//! A key is ours while the last thing written to it is, and that expires by itself. Whoever has it writes it again in
//! time, under the revision that he has written; whoever wants it writes it under that of a deletion. So the server
//! decides, one write after the other, and its revisions rise from one owner to the next.

mod action;
mod claim;
mod driver;
mod election;
mod hold;
mod machine;
mod object;
mod observer;
mod options;
mod outcome;
mod owner;
mod perform;
mod seen;

#[cfg(test)]
mod claim_tests;
#[cfg(test)]
mod hold_tests;
#[cfg(test)]
mod model_tests;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    object::register(interp)?;
    election::register(interp)
}
