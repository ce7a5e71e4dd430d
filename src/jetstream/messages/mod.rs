//! The methods of `nats::jet_stream` that read stored messages.
//!
//! | file | what it is |
//! |---|---|
//! | `get` | `stream_msg_get`, `stream_direct_get`: one message |
//! | `many` | `stream_get_batch`, `stream_get_last`: many of them |
//! | `batch`, `last` | how these are gathered from one page after the other |
//! | `page` | one request that has many replies |
//! | `direct` | replies to direct gets: the message itself, or a status |

mod batch;
pub mod direct;
mod get;
pub mod last;
pub mod many;
mod page;

use super::context::JetStream;
use super::stored::StoredMessage;
use crate::message::Stored;
use crate::tcl::{Interp, Obj, Result, oo};

/// The dict of a stored message.
fn dict(js: &JetStream, message: &StoredMessage, sub_id: &Obj) -> Obj {
    let stored = Stored {
        headers: &message.headers,
        payload: &message.data,
        subject: &message.subject,
        seq: message.seq,
        time: &message.time,
    };
    js.connection.format().stored(stored, sub_id)
}

pub fn register(interp: Interp<'_>) -> Result<()> {
    for methods in [get::METHODS, many::METHODS] {
        oo::define(interp, "::nats::jet_stream", None, None, methods)?;
    }
    Ok(())
}
