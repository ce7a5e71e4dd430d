//! What goes out of the machine, and what it is made with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind};
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::create::CreateRequest;
use crate::transport::ConnState;

/// What the driver has to do, in this order.
#[derive(Debug, PartialEq)]
pub enum Action {
    Subscribe {
        incarnation: u64,
        inbox: String,
    },
    Unsubscribe,
    /// Have a consumer deleted that is not needed any more; nobody waits for it.
    Discard {
        consumer: String,
    },
    Create {
        incarnation: u64,
        request: CreateRequest,
        timeout: Option<Duration>,
    },
    /// Ask for what the reply to `Create` would have said.
    AskCreated {
        incarnation: u64,
        consumer: String,
        timeout: Duration,
    },
    AskConsumer {
        token: u64,
        consumer: String,
    },
    AskStream {
        token: u64,
        timeout: Duration,
    },
    /// Ask for the first message from this sequence on that matches any of the filters.
    AskMessage {
        token: u64,
        seq: u64,
        filters: Vec<String>,
    },
    /// Ask which subjects of the stream match any of the filters. If the answer is reported to the
    /// user, he remembers from now on what he is told; see [`super::rollcall`].
    CallRoll {
        token: u64,
        filters: Vec<String>,
        report: bool,
    },
    /// Hand the subjects at hand to the user.
    RollCalled,
    /// An empty message: the answer to a flow control request. Whether it gets through is told by
    /// `answer_refused`, if it can be known.
    Publish {
        incarnation: u64,
        subject: String,
    },
    /// Tell what the user has consumed.
    Count,
    /// Hand the message at hand to the user.
    Deliver,
    /// The message at hand was delivered earlier. Not said of what is repeated again and again.
    Repeated,
    /// Hand the message that was asked for to the user.
    DeliverStored,
    EndOfData,
    /// The create reply at hand is the one that counts.
    Created,
    /// The very first creation failed; nothing follows.
    Failed(Error),
    LastError(Kind, String),
    State(ConsumerState),
    /// Call `tick` at this time, or earlier.
    SetTimer(Instant),
}

pub type KeepsPlace = Box<dyn Fn() -> bool + Send>;

/// What the machine needs from its surroundings.
pub struct Surroundings {
    pub api_prefix: Arc<str>,
    /// Of every API request; `None` is no limit.
    pub timeout: Option<Duration>,
    pub connection: ConnState,
    pub new_inbox: Box<dyn FnMut() -> String + Send>,
    /// Whether consumers have just been deleted that may still count against the limits.
    pub just_discarded: Box<dyn Fn() -> bool + Send>,
    /// Whether the server that we are connected to delivers all that it has not sent yet; see `leap`.
    pub keeps_place: KeepsPlace,
    /// Of the jitter.
    pub seed: u64,
}
