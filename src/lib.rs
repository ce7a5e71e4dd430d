//! Native package `nats` for Tcl. See `doc/architecture.md` for the map.
#![deny(unsafe_code)]

mod bridge;
mod connection;
mod error;
mod jetstream;
mod json;
mod keyvalue;
mod lock;
mod message;
mod options;
mod rfc3339;
mod runtime;
mod schema;
mod subject;
mod tcl;
mod transport;

use std::time::Duration;
use tcl::{Interp, Result};

/// The Tcl half. Each file stands for itself; classes come first.
const SCRIPTS: [&str; 4] = [
    include_str!("../tcl/nats.tcl"),
    include_str!("../tcl/messages.tcl"),
    include_str!("../tcl/helpers.tcl"),
    include_str!("../tcl/tcllib.tcl"),
];

/// Everything that `load` does: classes, commands, the package. No thread, no connection.
fn init(interp: Interp<'_>) -> Result<()> {
    for script in SCRIPTS {
        interp.eval(script)?;
    }
    connection::register(interp)?;
    jetstream::register(interp)?;
    keyvalue::register(interp)?;
    tcl::mailbox::at_process_exit(leave);
    tcl::load::provide(interp, "nats", env!("CARGO_PKG_VERSION"))
}

/// How long the process may take to send what is queued when it exits.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

fn leave() {
    runtime::close_all(EXIT_LIMIT);
}
