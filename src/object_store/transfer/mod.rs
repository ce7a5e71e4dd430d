//! What putting and getting have in common.
//!
//! | file | what it is |
//! |---|---|
//! | `trouble` | why a transfer fails: an error of NATS, of the system or of a channel |
//! | `digest` | the digest that is stored with an object |
//! | `progress` | how far it is, told to the program |
//! | `channel` | a Tcl channel while it is read or written by a transfer |
//! | `paths` | which files are Tcl's and which are the system's |
//!
//! `channel`, `paths` and a part of `progress` and `trouble` belong to the Tcl thread.

pub mod channel;
pub mod digest;
pub mod paths;
pub mod progress;
pub mod trouble;

use super::store::is_temporary;
use crate::error::{self, Error};
use crate::jetstream::context::JetStream;
use crate::options::Options;
use crate::tcl::{Interp, Result};
use std::time::{Duration, Instant};

/// How long nothing may come from the server before a transfer is given up, unless something else is said.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts to ask the same.
const PAUSE: Duration = Duration::from_millis(100);

/// The same as the options have it.
pub fn patience(js: &JetStream, given: &Options) -> Option<Duration> {
    let usual = js.timeout().map_or(Duration::ZERO, |timeout| timeout.max(PATIENCE));
    given.time_limit("timeout", usual)
}

/// Asks again what may have been lost with its connection, as long as there is time.
pub async fn persistently<T, F: Future<Output = error::Result<T>>>(
    patience: Option<Duration>,
    ask: impl Fn() -> F,
) -> error::Result<T> {
    let begin = Instant::now();
    loop {
        match ask().await {
            Err(error)
                if is_temporary(&error)
                    && error != Error::connection_lost()
                    && patience.is_none_or(|patience| begin.elapsed() < patience) =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

pub fn register(interp: Interp<'_>) -> Result<()> {
    channel::register(interp)
}
