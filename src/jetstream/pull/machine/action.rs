//! What goes out of the machine, and what it is made with.

use std::time::{Duration, Instant};

use super::super::Report;
use crate::error::Error;
use crate::transport::ConnState;

/// What the driver has to do, in this order.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Listen to all subjects below this one.
    Subscribe {
        incarnation: u64,
        inbox: String,
    },
    /// Have the server end the subscription and all requests that came with it. What it has sent
    /// until then still comes, and after that `retired`.
    Retire {
        token: u64,
    },
    /// Ask for messages; statuses about this request come to `<inbox>.<id>`.
    Pull {
        id: u64,
        body: String,
    },
    AskConsumer {
        token: u64,
    },
    /// Ask for the first message from this sequence on that matches the filter.
    AskMessage {
        token: u64,
        seq: u64,
        filter: String,
    },
    /// Look for a message that nobody can read: there is another connection, and it may be the
    /// reason. What is found goes to `found`.
    Look,
    /// The program gets so many of those that were found; the others come again.
    Found {
        count: usize,
    },
    /// What the consumer says of acknowledgements: how long it waits for them, if it wants any.
    AckWait(Option<Duration>),
    /// The first request is sent: whoever made the consumer has it.
    Created,
    /// Nothing begins; nothing follows.
    Failed(Error),
    Report(Report),
    /// Nothing more comes; to be said when all that has come is taken.
    Ended(Report),
    /// Call `tick` at this time, or earlier.
    SetTimer(Instant),
}

/// What the machine needs from its surroundings.
pub struct Surroundings {
    /// Of every API request; `None` is no limit.
    pub timeout: Option<Duration>,
    pub connection: ConnState,
    pub new_inbox: Box<dyn FnMut() -> String + Send>,
    /// Of the jitter.
    pub seed: u64,
}
