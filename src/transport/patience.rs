//! Requests that are asked again while nobody is there to answer.
//!
//! "No responders" is what a stream says that has no leader for a moment, and one that does not exist.
//! Which of the two it is, a question tells that is asked beside it. As long as its answer is no
//! verdict, the request is made again and again (ADR-22), until its time is over. The same question
//! is asked when there is no answer at all: servers before 2.11 are silent where later ones report
//! that nobody is there.
//!
//! Other requests are made again a number of times, without a question.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::Subject;

use super::link_core::LinkCore;
use super::message::{Message, Outgoing};
use super::operations::How;
use super::requests::{ReplyHandler, RequestId, RequestTable};
use crate::error::Error;

/// How long a request waits before it is made again.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// How long the answer to the question may take; it may be asked again meanwhile.
const ANSWERED: Duration = Duration::from_secs(2);

/// What is done about a request that nobody answers.
pub enum Patience {
    /// It is made again as long as that may be of use.
    Asking {
        /// What tells whether anybody will answer.
        question: Subject,
        judge: Judge,
        /// Whether it is asked, too, when nothing comes for a while.
        doubts_silence: bool,
    },
    /// It is made again so many times, unless its time is over before.
    Times { left: u64, pause: Duration },
}

impl Patience {
    pub(super) fn doubts_silence(&self) -> bool {
        matches!(self, Patience::Asking { doubts_silence: true, .. })
    }

    /// How long to wait before the request is made again, of which a report says that nobody is
    /// there.
    pub(super) fn pause(&mut self, remaining: Option<Duration>) -> Option<Duration> {
        match self {
            Patience::Asking { .. } => Some(PAUSE),
            Patience::Times { left, pause } => {
                *left = left.checked_sub(1)?;
                Some(*pause).filter(|pause| remaining.is_none_or(|remaining| *pause < remaining))
            }
        }
    }
}

/// Reads the answer to the question: the error that the request ends with, if nobody will ever
/// answer it.
pub type Judge = Arc<dyn Fn(&[u8]) -> Option<Error> + Send + Sync>;

/// What is kept of a request to make it again.
pub(super) struct Patient {
    pub out: Outgoing,
    pub patience: Patience,
    /// Nobody was there; otherwise nothing has come yet.
    pub nobody: bool,
}

/// What is to be done about a request whose pause is over.
pub(super) enum Step {
    Repeat(Outgoing),
    Doubt,
}

impl LinkCore {
    /// The pause of a request is over.
    pub fn go_on(self: &Arc<Self>, id: RequestId) {
        match self.requests.step(id) {
            // Fails only at the end of everything.
            Some(Step::Repeat(out)) => drop(self.send_with_reply(id, out)),
            Some(Step::Doubt) => self.doubt(id),
            None => {}
        }
    }

    /// Asks whether it is of use to wait.
    fn doubt(self: &Arc<Self>, id: RequestId) {
        let Some((question, judge)) = self.requests.question(id) else { return };
        let core = Arc::downgrade(self);
        let done = move |reply: super::RequestResult| {
            let verdict = reply.ok().and_then(|answer| judge(answer.payload()));
            if let (Some(error), Some(core)) = (verdict, core.upgrade()) {
                core.requests.end_one(id, error);
            }
        };
        // Whether it may be asked is no business of the program.
        let how = How { timeout: Some(ANSWERED), quiet: true, ..How::default() };
        let _ = self.request(Outgoing::new(question, ""), how, ReplyHandler::Once(Box::new(done)));
    }
}

/// Passes the messages of the inbox subscription on.
pub(super) struct InboxSink {
    pub requests: Arc<RequestTable>,
    pub core: Weak<LinkCore>,
}

impl super::source::Sink for InboxSink {
    fn message(&mut self, message: Message) {
        if let Some(id) = self.requests.reply(message)
            && let Some(core) = self.core.upgrade()
        {
            core.doubt(id);
        }
    }

    fn ended(&mut self) {}
}
