//! The ordered consumer: every message of a stream once and in order, whatever happens between.
//!
//! | file | what it is |
//! |---|---|
//! | `machine` | decides and does nothing: no I/O, no clock |
//! | `driver`, `perform` | do and decide nothing: inputs for the machine; what becomes of its actions |
//! | `consumer` | the handle, and the task that runs all this |
//! | `watched` | the streams that are watched, for what this program does to them |
//! | `create` | the request that makes the consumer |
//! | `object`, `feed` | `nats::ordered_consumer`, and the way of its messages to the program |
//! | `watching` | what watchers of keys and of objects have of it |
//! | `command` | `$js ordered_consumer` |
//!
//! Ordered consumers, watches, keys and histories are all served by this one.

mod command;
pub mod consumer;
pub mod create;
mod driver;
mod feed;
mod machine;
pub mod object;
mod perform;
pub mod watched;
pub mod watching;

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod server_tests;

use self::create::{ConsumerConfig, DeliverPolicy};
use crate::tcl::{Interp, Result};

/// How to go on when the consumer has to be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Right behind the last message delivered, always.
    BySequence,
    /// For the Key-Value store: while a first snapshot of latest values is not complete, take the
    /// snapshot again and drop what has been delivered; behind the last message from then on. By
    /// sequence only, revisions would appear that a snapshot never shows.
    SnapshotThenSequence,
}

/// What to consume.
#[derive(Clone, Debug)]
pub struct OrderedConfig {
    pub config: ConsumerConfig,
    pub policy: DeliverPolicy,
    pub resume: Resume,
    /// The `created` time of the stream when it is known: tells a stream that was deleted and made
    /// again from one that was only away.
    pub stream_created: Option<String>,
    /// The server that counts and delivers may be behind the one that stores: replicas and mirrors.
    pub behind: bool,
    /// Whether the user is told when what was there at the start has been delivered.
    pub seeks_end: bool,
    /// Where there is nothing, the end of the initial data comes before what is written then, however
    /// soon that is.
    pub end_before_news: bool,
    /// Whether the user wants to know which subjects there are when some may have vanished without
    /// a message that says so.
    pub roll_call: bool,
    /// The user keeps of what has come only what he wants, so the server need not wait for him.
    pub never_waits: bool,
}

/// How far what has been delivered can be trusted to be all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerState {
    /// The data that was there at the start is being delivered.
    Initial,
    /// All of it has been delivered, changes follow as they happen.
    Live,
    /// No connection, or it is not yet known whether the consumer survived the loss of one.
    Stale,
    /// The consumer is being made again.
    Resuming,
    /// The stream has been deleted and made again: everything of the new one follows.
    Recreated,
    /// For good.
    Stopped,
}

pub fn register(interp: Interp<'_>) -> Result<()> {
    object::register(interp)?;
    command::register(interp)
}
