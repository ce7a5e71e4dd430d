//! The connection to NATS, and the only code that names async_nats. Knows nothing of Tcl.
//!
//! | file | what it is |
//! |---|---|
//! | `link` | the handle: open, close, and the way to everything below |
//! | `calls` | publish, subscribe, request, fence: what a handle queues |
//! | `outbox`, `pump` | the queue in front of the engine, and the task that empties it |
//! | `tap` | a subscription's way from the engine into a sink |
//! | `mux` | requests over one inbox, their timeouts, fences |
//! | `pilot`, `pool`, `failure`, `silence` | which server, when, and what went wrong |
//! | `server`, `settings`, `tls`, `info` | a server's URL, options, certificates, INFO |
//! | `message`, `packed`, `event`, `inbox` | what goes through it |
//! | `shared` | the state that handles and runtime share |

mod calls;
mod event;
mod failure;
mod inbox;
mod info;
mod link;
mod message;
mod mux;
mod outbox;
mod packed;
mod pilot;
mod pool;
mod pump;
mod server;
mod settings;
mod shared;
mod silence;
mod tap;
mod tls;

#[cfg(test)]
pub(crate) mod tests;

pub use event::{ConnState, Event, Observer};
pub use inbox::new_inbox;
pub use info::ServerInfo;
pub use link::{Link, SubId};
pub use message::{Headers, Message, Outgoing};
pub use mux::{Reply as Answer, RequestError, RequestId};
pub use packed::Packed;
pub use server::ServerEntry;
pub use settings::{DelayCallback, Settings, TlsSettings};
pub use shared::Traffic;
pub use tap::Sink;
