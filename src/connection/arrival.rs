//! What arrives for the callbacks of a connection, in one channel, so that its order is kept.

use super::backlog::Backlog;
use crate::bridge::Sender;
use crate::transport::{Message, PackedMessage, RequestError, RequestResult, Sink};
use std::sync::Arc;

/// What the channel carries.
pub enum Arrival {
    /// Some messages in the backlog of this subscription have their turn, one behind the other.
    Messages(Arc<Backlog>),
    /// A subscription has got its last message.
    Ended(i64),
    /// Something became of the asynchronous request of this number.
    Reply(i64, RequestOutcome),
    /// To be run when everything before it has been delivered.
    Call(Box<dyn FnOnce() + Send>),
}

/// What became of a request.
pub enum RequestOutcome {
    Message(PackedMessage),
    /// One of several replies has come into the backlog.
    Queued,
    /// No further reply will come: a request for many has got what it asked for.
    Complete,
    /// Nobody serves the subject; the server's report.
    NoResponders(PackedMessage),
    Timeout,
    /// The server does not allow it.
    Denied,
    /// The connection was closed by the program.
    Closed,
    /// The connection was lost for good.
    Lost,
}

impl From<RequestResult> for RequestOutcome {
    fn from(result: RequestResult) -> RequestOutcome {
        match result {
            Ok(message) => RequestOutcome::Message(PackedMessage::new(message)),
            Err(RequestError::NoResponders(report)) => {
                RequestOutcome::NoResponders(PackedMessage::new(*report))
            }
            // Nobody will answer what was not sent.
            Err(RequestError::Timeout | RequestError::Stalled | RequestError::Refused(_)) => {
                RequestOutcome::Timeout
            }
            Err(RequestError::Denied(_)) => RequestOutcome::Denied,
            Err(RequestError::Lost) => RequestOutcome::Lost,
            Err(RequestError::Closed) => RequestOutcome::Closed,
        }
    }
}

/// Where the runtime thread puts the messages of a subscription.
pub struct SubscriptionSink {
    pub backlog: Arc<Backlog>,
    pub arrivals: Sender<Arrival>,
    /// Tells that a limit was reached.
    pub slow: Box<dyn Fn() + Send>,
    /// The subjects that are wanted, if not all that come.
    pub wanted: Option<Wanted>,
}

/// Whether what comes under a subject is wanted.
pub type Wanted = Box<dyn Fn(&str) -> bool + Send>;

impl Sink for SubscriptionSink {
    fn message(&mut self, message: Message) {
        if self.wanted.as_ref().is_some_and(|wanted| !wanted(message.subject())) {
            return;
        }
        let size = message.size();
        let sent = self.arrivals.sent();
        let arrived = self.backlog.arrive(size, sent, || PackedMessage::new(message));
        if arrived.needs_marker {
            let sent = self.arrivals.send_counted(Arrival::Messages(self.backlog.clone()));
            self.backlog.marker_sent(sent);
        }
        if arrived.slow {
            (self.slow)();
        }
    }

    fn ended(&mut self) {
        self.arrivals.send(Arrival::Ended(self.backlog.id));
    }
}
