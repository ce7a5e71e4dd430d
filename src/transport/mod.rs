//! The connection to NATS, and the only code that names async_nats. Knows nothing of Tcl.
//!
//! | file | what it is |
//! |---|---|
//! | `link`, `life` | the handle: open, close, and the way to everything below; what runs behind it |
//! | `calls` | publish, subscribe, request, fence: what a handle queues |
//! | `outbox`, `pump` | the queue in front of the engine, and the task that empties it |
//! | `tap` | a subscription's way from the engine into a sink |
//! | `mux` | requests over one inbox, their timeouts, fences |
//! | `pilot`, `pool`, `failure` | which server, when, and what went wrong |
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
mod mux;
mod outbox;
mod packed;
mod pilot;
mod pool;
mod pump;
mod server;
mod settings;
mod shared;
mod tap;
mod tls;
mod trace;

#[cfg(test)]
pub(crate) mod tests;

pub use async_nats::Subject;
pub use block::Block;
pub use event::{ConnState, Event, Observer};
pub use inbox::{DEFAULT_PREFIX, new_inbox};
pub use info::ServerInfo;
pub use link::Link;
pub use login::{
    Credentials, Login, LoginCallback, LoginQuestion, LoginSettings, parse_credentials,
};
pub use message::{Headers, Message, Outgoing};
pub use mux::{Reply as Answer, RequestError, RequestId};
pub use packed::Packed;
pub use server::ServerEntry;
pub use settings::{DelayCallback, Material, Settings, TlsOptions, TlsSettings};
pub use shared::Traffic;
pub use tap::{Sink, SubId};
pub use tls::{Review, TlsQuestion};
