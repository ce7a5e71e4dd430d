//! Replies as they come in, on the runtime thread.

use super::arrival::RequestOutcome;
use super::backlog::{Backlog, NO_RUNS};
use crate::error::Error;
use crate::transport::{Message, PackedMessage, RequestError, RequestResult};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Keeps several replies, on the runtime thread.
pub struct Collector {
    pub backlog: Arc<Backlog>,
    /// Tells that a limit was reached.
    pub slow: Box<dyn Fn() + Send>,
    /// Replies still to come; 0 = no limit.
    pub left: u64,
}

impl Collector {
    /// Keeps a reply if there is room; whether its turn has to be announced.
    pub fn keep(&mut self, message: Message) -> bool {
        self.left = self.left.saturating_sub(1);
        // Each reply has a marker: it goes by the number of the request.
        let size = message.size();
        let arrived = self.backlog.arrive(size, NO_RUNS, || PackedMessage::new(message));
        if arrived.slow {
            (self.slow)();
        }
        arrived.needs_marker
    }

    /// For a waiting command: the end comes out, once.
    pub fn collect(
        &mut self,
        result: RequestResult,
        subject: &str,
    ) -> ControlFlow<crate::error::Result<()>> {
        let last = self.left == 1;
        match checked(result) {
            Ok(message) => {
                self.keep(message);
                if last { ControlFlow::Break(Ok(())) } else { ControlFlow::Continue(()) }
            }
            Err(RequestError::Timeout) if !self.backlog.is_empty() => ControlFlow::Break(Ok(())),
            Err(error) => ControlFlow::Break(Err(failure(error, subject, true))),
        }
    }

    /// For a callback: tells each outcome.
    pub fn announce(
        &mut self,
        result: RequestResult,
        tell: &impl Fn(RequestOutcome),
    ) -> ControlFlow<()> {
        let last = self.left == 1;
        match checked(result) {
            Ok(message) => {
                if self.keep(message) {
                    tell(RequestOutcome::Queued);
                }
            }
            Err(error) => {
                let nobody = matches!(error, RequestError::NoResponders(_));
                tell(Err(error).into());
                if !nobody {
                    return ControlFlow::Continue(());
                }
            }
        }
        if !last {
            return ControlFlow::Continue(());
        }
        if self.backlog.counts().dropped > 0 {
            // Not all of them will be counted.
            tell(RequestOutcome::Timeout);
        }
        ControlFlow::Break(())
    }
}

/// A reply with a header `Status` of 503 says that nobody is there, however it got it.
pub fn checked(result: RequestResult) -> RequestResult {
    let message = result?;
    let status = message.header("Status").and_then(|text| text.trim().parse::<f64>().ok());
    match status {
        Some(503.0) => Err(RequestError::NoResponders(Box::new(message))),
        _ => Ok(message),
    }
}

/// The error of a waiting request.
pub fn failure(error: RequestError, subject: &str, several: bool) -> Error {
    let nobody = matches!(error, RequestError::NoResponders(_));
    let mut error = error.into_error(format!("Request to {subject} timed out"));
    if nobody && several {
        error.message = format!("{} to {subject}", error.message).into();
    }
    error
}
