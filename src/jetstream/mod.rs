//! JetStream: the object `nats::jet_stream` and its methods, API requests, the ordered consumer.
//!
//! | file | what it is |
//! |---|---|
//! | `context` | the object `nats::jet_stream`, and how its methods ask the API |
//! | `account`, `stream`, `consumer` | its methods, and the tables of what streams and consumers consist of |
//! | `api` | the API itself: operations and their subjects, replies, pages, `-trace` |
//! | `ordered` | the ordered consumer, which watches, `keys` and `history` are served by, too |
//! | `push` | `nats::push_consumer` |
//! | `delivery`, `credit` | messages of consumers on their way to callbacks; flow control |
//! | `tracing` | `-trace`: from the API to the log |
//! | `names` | which names streams and consumers may have |
//! | `messages` | the methods that read stored messages, one or many |
//! | `counters` | subjects whose messages are added up |
//! | `advisories` | what servers tell of streams and consumers |
//! | `publish` | publishing: one message, many, and what a stream answers |
//! | `batch` | batches of messages, atomic or of any size |
//! | `stored`, `metadata` | what a stream says of a stored and of a delivered message |
//! | `acknowledge` | what a program says of a delivered message, and `nats::metadata` |
//! | `fetch` | messages by pull requests |
//! | `pull` | continuous pull |
//! | `roll` | which subjects a stream has |
//! | `unreadable`, `unreadable_pending` | messages that the engine cannot read; of consumers that are acknowledged |
//!
//! `context`, files with methods, `delivery`, `feed` and `object` know Tcl; everything else does not.

mod account;
mod acknowledge;
mod advisories;
pub mod api;
pub mod batch;
pub mod consumer;
pub mod context;
mod counters;
mod credit;
mod delivery;
mod fetch;
pub mod messages;
pub mod metadata;
mod names;
pub mod ordered;
pub mod publish;
mod pull;
mod push;
pub mod roll;
pub mod stored;
pub mod stream;
mod tracing;
mod unreadable;
mod unreadable_pending;

#[cfg(test)]
mod table_tests;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    context::register(interp)?;
    account::register(interp)?;
    publish::register(interp)?;
    batch::register(interp)?;
    stream::register(interp)?;
    consumer::register(interp)?;
    messages::register(interp)?;
    counters::register(interp)?;
    advisories::register(interp)?;
    acknowledge::register(interp)?;
    fetch::register(interp)?;
    pull::object::register(interp)?;
    ordered::register(interp)?;
    push::register(interp)
}
