//! Asynchronous requests, and the way of their replies to the callbacks.

use super::arrival::{Arrival, RequestOutcome};
use super::backlog::{Backlog, Counts};
use crate::bridge::{LanePlace, Rest};
use crate::message::MessageFormat;
use crate::tcl::{Interp, Obj};
use crate::transport::{Link, PackedMessage, RequestId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

/// A request with a callback.
pub struct AsyncRequest {
    pub callback: Vec<Obj>,
    pub answers: Answers,
    pub sent: Cell<Option<RequestId>>,
    /// Its connection was closed: it cannot be cancelled any more, and its end is on the way.
    pub over: Cell<bool>,
    pub lane: LanePlace<Arrival>,
}

/// How what becomes of a request is told.
pub enum Answers {
    Messages {
        dictmsg: bool,
        /// For replies in the form of dicts.
        sub_id: Obj,
        /// For several replies.
        several: Option<SeveralReplies>,
    },
    /// As others read it.
    Read(Box<dyn OutcomeReader>),
}

/// Reads the only outcome of a request. It is dropped with the request.
pub trait OutcomeReader {
    /// The outcome has its turn. The callback may have to wait for its coroutine all the same; then
    /// this is called again.
    fn come(&self, outcome: &RequestOutcome);

    /// The words behind those of the callback; `None` if it is not called.
    fn words(&self) -> Option<Vec<Obj>>;
}

impl AsyncRequest {
    fn several(&self) -> Option<&SeveralReplies> {
        match &self.answers {
            Answers::Messages { several, .. } => several.as_ref(),
            Answers::Read(_) => None,
        }
    }
}

/// What a request for several replies has more.
pub struct SeveralReplies {
    /// How many replies are still to come, `None` = no limit, or the end is told.
    pub left: Cell<Option<u64>>,
    /// That the end is told, whatever it is.
    pub gathers: bool,
    /// Replies that wait for the program.
    pub backlog: Arc<Backlog>,
}

/// The asynchronous requests of a connection, by their numbers.
#[derive(Default)]
pub struct AsyncRequests {
    last: Cell<i64>,
    pending: RefCell<HashMap<i64, AsyncRequest>>,
    /// Replies that were dropped for requests that are over.
    dropped: Cell<u64>,
}

impl AsyncRequests {
    pub fn next_id(&self) -> i64 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    pub fn add(&self, id: i64, request: AsyncRequest) {
        self.pending.borrow_mut().insert(id, request);
    }

    /// The request is on its way, and may have ended already.
    pub fn sent(&self, id: i64, sent: RequestId) {
        if let Some(request) = self.pending.borrow().get(&id) {
            request.sent.set(Some(sent));
        }
    }

    pub fn remove(&self, id: i64) {
        let gone = self.pending.borrow_mut().remove(&id);
        if let Some(several) = gone.as_ref().and_then(AsyncRequest::several) {
            self.add_dropped(several.backlog.counts().dropped);
        }
        drop(gone);
    }

    /// Ends a request without a word; false if there is none, or its end is on the way.
    pub fn cancel(&self, id: i64, link: Option<&Link>) -> bool {
        let pending = self.pending.borrow();
        let Some(request) = pending.get(&id).filter(|request| !request.over.get()) else {
            return false;
        };
        let sent = request.sent.get();
        drop(pending);
        if let (Some(sent), Some(link)) = (sent, link) {
            link.cancel(sent);
        }
        self.remove(id);
        true
    }

    /// All requests end with the connection; what has arrived for them is still delivered.
    pub fn closed(&self) {
        for request in self.pending.borrow().values() {
            request.over.set(true);
        }
    }

    pub fn add_dropped(&self, count: u64) {
        self.dropped.set(self.dropped.get() + count);
    }

    /// The replies that wait, and those that were ever dropped.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts { dropped: self.dropped.get(), ..Counts::default() };
        for several in self.pending.borrow().values().filter_map(AsyncRequest::several) {
            let counts = several.backlog.counts();
            sum.pending += counts.pending;
            sum.pending_bytes += counts.pending_bytes;
            sum.dropped += counts.dropped;
        }
        sum
    }

    /// Calls the callback back, if the request is still wanted.
    pub fn deliver(
        &self,
        interp: Interp<'_>,
        format: &MessageFormat,
        id: i64,
        outcome: RequestOutcome,
        rest: &Rest<'_, Arrival>,
    ) {
        let pending = self.pending.borrow();
        let Some(request) = pending.get(&id) else { return };
        if let Answers::Read(reader) = &request.answers {
            reader.come(&outcome);
        }
        let arrival = Arrival::Reply(id, outcome);
        let admitted = rest.admit(interp, &request.lane, &request.callback, arrival);
        let Some(Arrival::Reply(_, outcome)) = admitted else { return };
        let call = request.call(format, &outcome);
        // The callback may cancel requests and make new ones, so nothing is borrowed during it.
        drop(pending);
        match call {
            Call::None => {}
            Call::Silent => self.remove(id),
            Call::Words(mut words) => {
                interp.call_back(&mut words);
                if let Some(request) = self.pending.borrow().get(&id) {
                    rest.delivered(&request.lane);
                }
            }
            Call::Last(mut words) => {
                self.remove(id);
                interp.call_back(&mut words);
            }
        }
    }
}

/// What an outcome makes a callback do.
enum Call {
    None,
    /// The request is over without a call.
    Silent,
    Words(Vec<Obj>),
    /// The request is over with this call.
    Last(Vec<Obj>),
}

impl AsyncRequest {
    fn call(&self, format: &MessageFormat, outcome: &RequestOutcome) -> Call {
        let (dictmsg, sub_id, several) = match &self.answers {
            Answers::Messages { dictmsg, sub_id, several } => (*dictmsg, sub_id, several),
            Answers::Read(reader) => {
                return match reader.words() {
                    Some(words) => Call::Last([self.callback.clone(), words].concat()),
                    None => Call::Silent,
                };
            }
        };
        let dict = |message: &PackedMessage| {
            let subject = Obj::from_encoded(message.subject());
            format.dict(message, &subject, sub_id)
        };
        let (timed_out, reply, last) = match (outcome, several) {
            (RequestOutcome::Message(message), None) if !dictmsg => {
                (0, format.payload(message), true)
            }
            (RequestOutcome::Message(message), _) => (0, dict(message), true),
            (RequestOutcome::Queued, several) => {
                let Some(several) = several else { return Call::None };
                let Some(message) = several.backlog.take().0 else { return Call::None };
                let left = several.left.get().map(|left| left.saturating_sub(1));
                several.left.set(left);
                (0, dict(&message), left == Some(0))
            }
            (RequestOutcome::NoResponders(report), None) if dictmsg => (1, dict(report), true),
            (RequestOutcome::NoResponders(_), None) => (1, Obj::empty(), true),
            (RequestOutcome::NoResponders(report), Some(several)) => {
                (1, dict(report), several.gathers || several.left.get() == Some(1))
            }
            (RequestOutcome::Complete, _) => (0, Obj::empty(), true),
            // A deliberate close ends a single request silently, and several with a last word.
            (RequestOutcome::Closed, None) => return Call::Silent,
            (RequestOutcome::Closed, Some(_))
            | (RequestOutcome::Timeout | RequestOutcome::Denied | RequestOutcome::Lost, _) => {
                (1, Obj::empty(), true)
            }
        };
        let mut words = Vec::with_capacity(self.callback.len() + 2);
        words.extend_from_slice(&self.callback);
        words.extend([Obj::int(timed_out), reply]);
        if last { Call::Last(words) } else { Call::Words(words) }
    }
}
