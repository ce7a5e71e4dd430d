//! The connection to NATS, and the only code that names async_nats. Knows nothing of Tcl.
//!
//! | file | what it is |
//! |---|---|
//! | `link`, `life` | the handle: open, close, and the way to everything below; what runs behind it |
//! | `calls` | publish, subscribe, request, barrier: what a handle queues |
//! | `outgoing`, `writer` | the queue in front of the engine, and the task that empties it |
//! | `source` | a subscription's way from the engine into a sink |
//! | `requests` | requests over one inbox, their timeouts, barriers |
//! | `reconnect`, `pool`, `failure` | which server, when, and what went wrong |
//! | `server`, `settings`, `login`, `tls` | a server's URL, options, credentials, certificates |
//! | `info`, `trace` | what a server says about itself; what the engine says in its trace |
//! | `message`, `packed`, `block`, `event`, `inbox` | what goes through it |
//! | `shared` | the state that handles and runtime share |

mod block;
mod calls;
mod event;
mod failure;
mod inbox;
mod info;
mod life;
mod link;
mod login;
mod message;
mod outgoing;
mod packed;
mod pool;
mod reconnect;
mod requests;
mod server;
mod settings;
mod shared;
mod source;
mod tls;
mod trace;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use async_nats::Subject;
pub use block::Block;
pub use event::{ConnState, Event, EventSink};
pub use inbox::{DEFAULT_PREFIX, new_inbox};
pub use info::ServerInfo;
pub use link::Link;
pub use link::Task;
pub use login::{
    Credentials, Login, LoginCallback, LoginQuestion, LoginSettings, parse_credentials,
};
pub use message::{Headers, Message, Outgoing};
pub use packed::PackedMessage;
pub use requests::{RequestError, RequestId, RequestResult};
pub use server::ServerEntry;
pub use settings::{DelayCallback, Material, Settings, TlsOptions, TlsSettings};
pub use shared::Traffic;
pub use source::{Sink, SubId};
pub use tls::{Review, TlsQuestion};
