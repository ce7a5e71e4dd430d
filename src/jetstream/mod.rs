//! JetStream: API requests and their JSON, the ordered consumer, and the object `nats::jet_stream`.
//!
//! `object` and `consumer` are the Tcl side; everything else knows nothing of Tcl.

pub mod ack;
pub mod api;
pub mod config;
pub mod consumer;
pub mod object;
pub mod ordered;
pub mod reply;
pub mod stored;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    object::register(interp)?;
    consumer::register(interp)
}
