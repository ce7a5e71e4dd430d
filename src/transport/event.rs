//! What a link tells its owner.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::info::ServerInfo;
use super::server::ServerEntry;
use crate::error::Error;

/// Something happened to the connection. Whoever hears of it may be late, so each event has in it
/// what was so at its time.
#[derive(Clone, Debug)]
pub enum Event {
    /// An attempt at this server begins.
    Attempt(ServerEntry),
    /// What the server of an attempt that is about to fail has said about itself.
    AttemptInfo(Arc<ServerInfo>),
    /// The attempt at this server has failed, as its counters say already.
    AttemptFailed {
        server: ServerEntry,
        error: Error,
    },
    Connected {
        server: ServerEntry,
        info: Arc<ServerInfo>,
    },
    /// The connection to this server is lost; attempts follow.
    Lost {
        server: ServerEntry,
        error: Error,
    },
    /// An error that ends nothing.
    AsyncError(Error),
    /// There are no servers left to try; this is the last event. The link still takes messages, as
    /// its owner has not heard of the end, and drops them when `hold` is let go of:
    /// [`Link::unsent`](super::Link::unsent) tells how many. Requests and subscriptions end then,
    /// too, so that the owner can tell of the end before they do.
    GaveUp {
        reason: &'static str,
        hold: Hold,
    },
    /// The server has told more about itself: what it said, and what is known of it now.
    Updated {
        said: Map<String, Value>,
        info: Arc<ServerInfo>,
    },
    /// This server is about to shut down; it has told so before.
    LameDuck(ServerEntry),
    /// The next attempt begins after this time.
    Waiting(Duration),
    /// A server was discovered; its address.
    PoolAdded(String),
    /// A server has failed too often; its address.
    PoolRemoved(String),
    /// A server told an address that cannot be read.
    BadServerUrl(String),
}

/// Keeps a link that has given up from taking its requests and subscriptions with it.
#[derive(Clone, Debug)]
pub struct Hold(#[expect(dead_code, reason = "what counts is its end")] Arc<oneshot::Sender<()>>);

impl Hold {
    pub(super) fn new() -> (Hold, oneshot::Receiver<()>) {
        let (hold, released) = oneshot::channel();
        (Hold(Arc::new(hold)), released)
    }
}

/// Receives the events of a link, on the runtime thread and in order.
pub trait EventSink: Send + Sync {
    /// Must not block: the whole connection waits.
    fn event(&self, event: Event);
}

/// The state of a link for those that work on its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnState {
    /// Connecting or reconnecting.
    Disconnected,
    /// The number counts the connections of the link, from 1.
    Connected(u64),
    Closed,
}
