//! Changes that lose no other change: `incr`, `append`, `getset`, and what the Tcl method `modify`
//! consists of.
//!
//! | file | what it is |
//! |---|---|
//! | `cas` | the loop: read, compute, write under the revision that was read |
//! | `compute` | what becomes of a value |
//! | `decoded` | the same loop in the thread of Tcl, where values have a codec |
//! | `commands` | `incr`, `append`, `getset` |
//! | `modify` | the steps of `modify`, between which the program's command runs |
//!
//! `cas` and `compute` know no Tcl: the loop runs on the runtime thread, however busy the program is.

mod cas;
mod commands;
mod compute;
mod decoded;
mod modify;

use crate::tcl::{Interp, Result, oo};

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, commands::METHODS)?;
    oo::define(interp, "::nats::key_value", None, None, modify::METHODS)?;
    interp.eval("oo::define ::nats::key_value unexport ModifyOptions ModifyRead ModifyPut")
}
