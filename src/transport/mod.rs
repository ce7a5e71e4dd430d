//! The connection to NATS, and the only code that names async_nats. Knows nothing of Tcl.
//!
//! | file | what it is |
//! |---|---|
//! | `link` | the handle: open, close, and the way to everything below |
//! | `link_core` | what handles and runtime have in common |
//! | `engine`, `leash` | what runs behind a link: one client of async_nats after the other; how it is ended |
//! | `operations` | publish, subscribe, request, barrier, from any thread |
//! | `outgoing`, `writer` | the queue in front of the engine, and the task that empties it |
//! | `source` | a subscription's way from the engine into a sink |
//! | `requests` | the request table: requests over one inbox, their timeouts, barriers, refusals |
//! | `pings` | which PONG answers which PING, for barriers |
//! | `patience` | requests that are made again while nobody is there |
//! | `reconnect`, `pool`, `failure` | which server, when, and what went wrong |
//! | `settings`, `server`, `login`, `tls` | options, a server's URL, credentials, certificates |
//! | `info`, `trace` | what a server says about itself; what the engine says in its trace |
//! | `inflow` | how much a server may send without an end |
//! | `readable` | what the engine can read |
//! | `message`, `packed`, `block`, `event`, `inbox` | what goes through it |

mod block;
mod engine;
mod event;
mod failure;
mod inbox;
mod inflow;
mod info;
mod leash;
mod link;
mod link_core;
mod login;
mod message;
mod operations;
mod outgoing;
mod packed;
mod patience;
mod pings;
mod pool;
mod readable;
mod reconnect;
mod requests;
mod server;
mod settings;
mod source;
mod tls;
mod trace;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use async_nats::Subject;
pub use block::Block;
pub use event::{ConnState, Event, EventSink};
pub use inbox::{DEFAULT_PREFIX, new_inbox, new_token};
pub use info::ServerInfo;
pub use link::{Link, Task, WeakLink};
pub use link_core::Traffic;
pub use login::{
    Credentials, Login, LoginCallback, LoginQuestion, LoginSettings, parse_credentials,
};
pub use message::{Headers, Message, Outgoing};
pub use operations::How;
pub use outgoing::Room;
pub use packed::PackedMessage;
pub use patience::Patience;
pub use readable::is_readable;
pub use requests::{RequestError, RequestId, RequestResult, Resend};
pub use server::ServerEntry;
pub use settings::{DelayCallback, Settings};
pub use source::{Sink, SubId};
pub use tls::{Material, Review, TlsOptions, TlsQuestion, TlsSettings};
