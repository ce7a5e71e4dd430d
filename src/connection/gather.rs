//! Requests for many: replies until no further one comes for a while, until one says that it was the
//! last, or until there are enough. On the runtime thread.

use super::arrival::RequestOutcome;
use super::collector::{Collector, checked, failure};
use crate::error::Error;
use crate::options::Options;
use crate::tcl::Result;
use crate::transport::{Message, RequestError, RequestResult};
use std::ops::ControlFlow;
use std::time::Duration;

/// What ends a request for many, apart from the number of replies and the timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// How long it waits for a further reply.
    pub stall: Option<Duration>,
    /// Whether an empty reply is the end.
    pub sentinel: bool,
}

impl Ends {
    /// `None` if nothing of that kind is wanted.
    pub fn of(given: &Options) -> Option<Ends> {
        let stall = given.duration("stall").filter(|stall| !stall.is_zero());
        let sentinel = given.flag("sentinel");
        (sentinel || stall.is_some()).then_some(Ends { stall, sentinel })
    }

    /// # Errors
    /// `ErrInvalidArg` for what cannot be had together with them.
    pub fn check(&self, given: &Options, timeout: Option<Duration>) -> Result<()> {
        if given.get("dictmsg").is_some() && !given.flag("dictmsg") {
            let text = "-dictmsg false cannot be combined with -stall and -sentinel: \
                 several replies are dicts";
            return Err(Error::invalid(text).into());
        }
        match (self.stall, timeout) {
            (Some(stall), Some(timeout)) if stall >= timeout => {
                let (stall, timeout) = (stall.as_millis(), timeout.as_millis());
                let text = format!("-stall {stall} must be less than the timeout, {timeout} ms");
                Err(Error::invalid(text).into())
            }
            _ => Ok(()),
        }
    }
}

/// Keeps replies until one of the ends.
pub struct Gatherer {
    collector: Collector,
    sentinel: bool,
    /// A reply has come.
    begun: bool,
}

enum Step {
    /// A reply was kept; whether its turn has to be announced.
    Kept(bool),
    /// The last one was kept, if one more was to come at all.
    Complete(bool),
    Failed(RequestError),
}

impl Gatherer {
    pub fn new(collector: Collector, ends: Ends) -> Gatherer {
        Gatherer { collector, sentinel: ends.sentinel, begun: false }
    }

    fn step(&mut self, result: RequestResult) -> Step {
        let message = match self.first(result) {
            Ok(message) => message,
            Err(RequestError::Stalled) => return Step::Complete(false),
            Err(error) => return Step::Failed(error),
        };
        if self.sentinel && says_nothing(&message) {
            return Step::Complete(false);
        }
        self.begun = true;
        let last = self.collector.left == 1;
        let announce = self.collector.keep(message);
        if last { Step::Complete(announce) } else { Step::Kept(announce) }
    }

    /// That nobody is there can only be said instead of replies. Later it is what one of several has
    /// answered.
    fn first(&self, result: RequestResult) -> RequestResult {
        match result {
            Err(RequestError::NoResponders(report)) if self.begun => Ok(*report),
            result if self.begun => result,
            result => checked(result),
        }
    }

    /// For a waiting command: the end comes out, once.
    pub fn collect(
        &mut self,
        result: RequestResult,
        subject: &str,
    ) -> ControlFlow<crate::error::Result<()>> {
        match self.step(result) {
            Step::Kept(_) => ControlFlow::Continue(()),
            Step::Complete(_) => ControlFlow::Break(Ok(())),
            Step::Failed(RequestError::Timeout) if self.begun => ControlFlow::Break(Ok(())),
            Step::Failed(error) => ControlFlow::Break(Err(failure(error, subject, true))),
        }
    }

    /// For a callback: tells each reply, and then, in one way or the other, that it was the last.
    pub fn announce(
        &mut self,
        result: RequestResult,
        tell: &impl Fn(RequestOutcome),
    ) -> ControlFlow<()> {
        let (announce, end) = match self.step(result) {
            Step::Kept(announce) => (announce, None),
            Step::Complete(announce) if self.collector.backlog.counts().dropped > 0 => {
                (announce, Some(RequestOutcome::Timeout))
            }
            Step::Complete(announce) => (announce, Some(RequestOutcome::Complete)),
            Step::Failed(error) => (false, Some(Err(error).into())),
        };
        if announce {
            tell(RequestOutcome::Queued);
        }
        let Some(end) = end else { return ControlFlow::Continue(()) };
        tell(end);
        ControlFlow::Break(())
    }
}

/// An empty message without a header.
fn says_nothing(message: &Message) -> bool {
    message.payload().is_empty() && message.status().is_none() && message.headers().next().is_none()
}
