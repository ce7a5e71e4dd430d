//! Native package `nats` for Tcl. See `doc/architecture.md` for the map.
#![deny(unsafe_code)]

mod bridge;
mod bucket;
mod build_info;
mod connection;
mod error;
mod error_code;
mod jetstream;
mod json;
mod keyvalue;
mod lock;
mod mask;
mod message;
mod object_store;
mod options;
#[cfg(test)]
mod random;
mod rfc3339;
mod runtime;
mod schema;
mod service;
mod subject;
mod tcl;
mod threads;
mod transport;

use std::time::Duration;
use tcl::load::Package;
use tcl::{Interp, Result};

/// The Tcl half. Each file stands for itself; classes come first.
const SCRIPTS: [&str; 8] = [
    include_str!("../tcl/nats.tcl"),
    include_str!("../tcl/messages.tcl"),
    include_str!("../tcl/helpers.tcl"),
    include_str!("../tcl/format.tcl"),
    include_str!("../tcl/tcllib.tcl"),
    include_str!("../tcl/modify.tcl"),
    include_str!("../tcl/context.tcl"),
    include_str!("../tcl/service.tcl"),
];

static PACKAGE: Package =
    Package { name: "nats", version: env!("CARGO_PKG_VERSION"), init, error: error_code::of_fault };

// There is no `Nats_SafeInit`: a safe interpreter must not reach the network, and so Tcl itself
// refuses to load the package there.
tcl::load::entry_point!(Nats_Init, &PACKAGE);

/// Everything that `load` does: classes and commands. No thread, no connection.
fn init(interp: Interp<'_>) -> Result<()> {
    for script in SCRIPTS {
        interp.eval(script)?;
    }
    build_info::register(interp)?;
    connection::register(interp)?;
    jetstream::register(interp)?;
    keyvalue::register(interp)?;
    object_store::register(interp)?;
    service::register(interp)?;
    tcl::mailbox::at_process_exit(leave);
    Ok(())
}

/// How long the process may take to send what is queued when it exits.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

fn leave() {
    runtime::close_all(EXIT_LIMIT);
}
