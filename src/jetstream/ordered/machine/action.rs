//! What goes out of the machine, and what it is made with.

use std::time::{Duration, Instant};

use crate::error::{Error, Kind};
use crate::jetstream::ordered::State;
use crate::jetstream::ordered::create::CreateRequest;

/// What the driver has to do, in this order.
#[derive(Debug, PartialEq)]
pub enum Action {
    Subscribe {
        incarnation: u64,
        inbox: String,
    },
    Unsubscribe,
    Create {
        incarnation: u64,
        request: CreateRequest,
        timeout: Option<Duration>,
    },
    /// Ask for what the reply to `Create` would have said.
    AskCreated {
        incarnation: u64,
        op: String,
        timeout: Duration,
    },
    AskConsumer {
        token: u64,
        op: String,
    },
    AskStream {
        token: u64,
        op: String,
        timeout: Duration,
    },
    AskMessage {
        token: u64,
        op: String,
        body: Vec<u8>,
    },
    /// Ask which subjects of the stream match the filter. From now on the user remembers what he is
    /// told; see [`super::rollcall`].
    CallRoll {
        token: u64,
        op: String,
        filter: String,
    },
    /// Hand the subjects at hand to the user.
    RollCalled,
    /// An empty message: the answer to a flow control request.
    Publish {
        subject: String,
    },
    /// Hand the message at hand to the user.
    Deliver,
    /// The same with the message that was asked for.
    DeliverStored,
    EndOfData,
    /// The create reply at hand is the one that counts.
    Created,
    /// The very first creation failed; nothing follows.
    Failed(Error),
    LastError(Kind, String),
    State(State),
    /// Call `tick` at this time, or earlier.
    SetTimer(Instant),
}

/// The connection as the machine has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Each connection that was established has a number of its own.
    Connected(u64),
    Disconnected,
    Closed,
}

/// What the machine needs from its surroundings.
pub struct Surroundings {
    pub api_prefix: String,
    /// Of every API request; `None` is no limit.
    pub timeout: Option<Duration>,
    pub connection: Connection,
    pub new_inbox: Box<dyn FnMut() -> String + Send>,
    /// Of the jitter.
    pub seed: u64,
}
