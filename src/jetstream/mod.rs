//! JetStream: the object `nats::jet_stream` and its methods, API requests, the ordered consumer.
//!
//! `context` is the object; `account`, `stream` and their like are its methods and know Tcl, and so
//! does `ordered::object`. Everything else does not.

mod account;
pub mod api;
pub mod consumer;
pub mod context;
pub mod metadata;
pub mod ordered;
pub mod publish;
pub mod stored;
pub mod stream;
mod unreadable;

#[cfg(test)]
mod table_tests;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    context::register(interp)?;
    account::register(interp)?;
    stream::register(interp)?;
    ordered::object::register(interp)
}
