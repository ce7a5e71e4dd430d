//! Continuous pull: a consumer's messages, asked for in advance, whatever happens between.
//!
//! | file | what it is |
//! |---|---|
//! | `machine` | decides and does nothing: no I/O, no clock |
//! | `driver`, `perform` | do and decide nothing: inputs for the machine; what becomes of its actions |
//! | `unreadable` | messages that nobody can read, found after losses |
//! | `consumer` | the handle, and the task that runs all this |
//! | `buffer` | messages that have come and that the program has not taken |
//! | `wanted` | the words of `$js pull` |
//! | `object`, `deliver`, `next` | `nats::pull_consumer`: its methods, its callbacks, and `next` |
//!
//! Every message is in one of three places: owed by the server, in the buffer, or with the program.
//! What is in the first two, and what is in a callback, is *outstanding*, and never more than was
//! allowed.

mod buffer;
mod consumer;
mod deliver;
mod driver;
mod machine;
mod next;
pub mod object;
mod perform;
mod unreadable;
mod wanted;

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod model_tests;

use crate::error::Error;
use std::time::Duration;

/// What to consume, and how much of it at a time.
#[derive(Clone, Debug)]
pub struct PullConfig {
    pub stream: String,
    pub consumer: String,
    pub max_messages: u64,
    pub max_bytes: Option<u64>,
    /// Below this the server is asked for more; half of `max_messages` if it is not said.
    pub threshold: Option<u64>,
    pub expires: Duration,
    pub heartbeat: Duration,
    pub stop_after: Option<u64>,
    pub group: Option<Group>,
    /// A consumer that is not there is waited for.
    pub waits: bool,
}

/// The part of a pull request that is about a priority group.
#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
    pub min_pending: Option<i64>,
    pub min_ack_pending: Option<i64>,
    pub priority: Option<i64>,
}

/// What the program is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub state: State,
    /// The status of the server that is the reason.
    pub status: Option<u16>,
    pub description: String,
    pub error: Option<Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The first request is on its way.
    Started,
    /// The server has answered since then.
    Live,
    /// There is no connection, no consumer, or no sign of life.
    Stale,
    /// It is asked again after that.
    Resumed,
    /// Something went wrong, and it goes on. Not a state that lasts.
    Warning,
    /// Nothing is asked for, and nothing handed out, until the program says so.
    Paused,
    /// Nothing is asked for any more; what is there is handed out.
    Draining,
    /// For good.
    Stopped,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            State::Started => "started",
            State::Live => "live",
            State::Stale => "stale",
            State::Resumed => "resumed",
            State::Warning => "warning",
            State::Paused => "paused",
            State::Draining => "draining",
            State::Stopped => "stopped",
        }
    }
}

impl Report {
    pub fn new(state: State, description: impl Into<String>) -> Report {
        Report { state, status: None, description: description.into(), error: None }
    }
}
