//! Requests: one inbox subscription for all of them, a token per request.
//!
//! Replies come to `<inbox>.<token>`. Fences, the round trips that tell how far the server has
//! come, use `<inbox>.p<token>` and are messages to ourselves: publishing to the own inbox with
//! that very inbox as the reply comes back in any case, as the message itself or, if the server
//! was told not to echo, as its report that nobody listens. A request to an unused subject would
//! not do: any subscriber to `>` would swallow it. If the user may not publish there, the error of
//! the server that names the subject is just as good an answer.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::message::{Message, Outgoing};
use crate::error::{Error, Kind};
use crate::lock::lock;

/// Names a pending request of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(u64);

/// Why a request has no reply.
#[derive(Debug)]
pub enum RequestError {
    Timeout,
    /// Nobody serves the subject; the server's report.
    NoResponders(Box<Message>),
    /// The link was closed.
    Closed,
    /// The connection was lost for good.
    Lost,
    /// Nothing was sent.
    Refused(Error),
}

impl RequestError {
    /// The error of a command that has waited for the reply; `late` is what it says when time has
    /// run out.
    pub fn into_error(self, late: impl Into<Cow<'static, str>>) -> Error {
        match self {
            RequestError::Timeout => Error::new(Kind::Timeout, late),
            RequestError::NoResponders(_) => {
                Error::new(Kind::NoResponders, "No responders available for request")
            }
            RequestError::Closed => Error::connection_closed(),
            RequestError::Lost => Error::new(Kind::Timeout, "Connection lost"),
            RequestError::Refused(error) => error,
        }
    }
}

/// What a request answers with.
pub type RequestResult = std::result::Result<Message, RequestError>;

/// Who gets the answer. Called on the runtime thread.
pub(super) enum Handler {
    Once(Box<dyn FnOnce(RequestResult) + Send>),
    Many(Box<dyn FnMut(RequestResult) -> ControlFlow<()> + Send>),
    Barrier(Box<dyn FnOnce(std::result::Result<(), RequestError>) + Send>),
    /// The same, but a new connection does not count: it is sent again over that.
    Flush(Box<dyn FnOnce(std::result::Result<(), RequestError>) + Send>),
}

impl Handler {
    /// Ends the request with an error.
    fn fail(self, error: RequestError) {
        match self {
            Handler::Once(done) => done(Err(error)),
            Handler::Many(mut on_reply) => {
                let _ = on_reply(Err(error));
            }
            Handler::Barrier(done) | Handler::Flush(done) => done(Err(error)),
        }
    }
}

/// What to ask over a new connection if the old one took the answer with it.
pub type Again = Box<dyn Fn() -> Outgoing + Send>;

/// How all requests end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    Lost,
}

impl End {
    fn error(self) -> RequestError {
        match self {
            End::Closed => RequestError::Closed,
            End::Lost => RequestError::Lost,
        }
    }
}

pub(super) struct RequestTable {
    /// The inbox with its final dot.
    prefix: String,
    state: Mutex<State>,
    /// Tells the timer that the earliest deadline has changed.
    earlier: Notify,
}

#[derive(Default)]
struct State {
    last: u64,
    pending: HashMap<u64, Pending>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// When the timer will look next. Only an earlier deadline has to wake it.
    armed: Option<Instant>,
    barriers: usize,
    over: Option<End>,
}

struct Pending {
    deadline: Option<Instant>,
    again: Option<Again>,
    /// Taken out while it runs, so that it may use the link, also to cancel itself.
    handler: Option<Handler>,
}

impl State {
    fn remove(&mut self, token: u64) -> Option<Pending> {
        let pending = self.pending.remove(&token)?;
        if let Some(deadline) = pending.deadline {
            self.deadlines.remove(&(deadline, token));
        }
        if matches!(pending.handler, Some(Handler::Barrier(_))) {
            self.barriers -= 1;
        }
        Some(pending)
    }
}

impl RequestTable {
    pub fn new(inbox: &str) -> RequestTable {
        RequestTable {
            prefix: format!("{inbox}."),
            state: Mutex::new(State::default()),
            earlier: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The subject of the one subscription.
    pub fn subject(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// What the subjects of barriers begin with.
    pub fn fence_prefix(&self) -> String {
        format!("{}p", self.prefix)
    }

    /// Adds a request and tells its reply subject. Gives the handler back if all is over.
    pub fn add(
        &self,
        timeout: Option<Duration>,
        again: Option<Again>,
        handler: Handler,
    ) -> std::result::Result<(RequestId, String), (Handler, RequestError)> {
        // A time too far away for the clock is none at all.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let barrier = matches!(handler, Handler::Barrier(_));
        let mark = if barrier || matches!(handler, Handler::Flush(_)) { "p" } else { "" };
        let mut state = self.state();
        if let Some(end) = state.over {
            return Err((handler, end.error()));
        }
        state.last += 1;
        let token = state.last;
        state.pending.insert(token, Pending { deadline, again, handler: Some(handler) });
        state.barriers += usize::from(barrier);
        let mut wake = false;
        if let Some(deadline) = deadline {
            state.deadlines.insert((deadline, token));
            wake = state.armed.is_none_or(|armed| deadline < armed);
            if wake {
                state.armed = Some(deadline);
            }
        }
        drop(state);
        if wake {
            self.earlier.notify_one();
        }
        Ok((RequestId(token), format!("{}{mark}{token}", self.prefix)))
    }

    /// What to ask again, with the reply subjects.
    pub fn questions(&self) -> Vec<(Outgoing, String)> {
        let state = self.state();
        let again = state.pending.iter().filter_map(|(token, pending)| {
            if let Some(Handler::Flush(_)) = pending.handler {
                let inbox = format!("{}p{token}", self.prefix);
                return Some((Outgoing::new(inbox.clone(), ""), inbox));
            }
            let question = pending.again.as_ref()?;
            Some((question(), format!("{}{token}", self.prefix)))
        });
        again.collect()
    }

    /// Ends a request without a word; tells whether it was pending.
    pub fn cancel(&self, id: RequestId) -> bool {
        let pending = self.state().remove(id.0);
        pending.is_some()
    }

    /// A message has come to the inbox.
    pub fn reply(&self, message: Message) {
        let Some(rest) = message.subject().strip_prefix(&self.prefix) else { return };
        if let Some(token) = rest.strip_prefix('p') {
            if let Ok(token) = token.parse() {
                self.pass_fence(token);
            }
            return;
        }
        let Ok(token) = rest.parse::<u64>() else { return };
        let mut state = self.state();
        let many = match state.pending.get_mut(&token) {
            Some(Pending { handler, .. }) if matches!(handler, Some(Handler::Many(_))) => {
                handler.take()
            }
            _ => None,
        };
        if let Some(Handler::Many(mut on_reply)) = many {
            drop(state);
            let flow = on_reply(checked(message));
            let mut state = self.state();
            if flow.is_break() {
                state.remove(token);
            } else if let Some(pending) = state.pending.get_mut(&token) {
                pending.handler = Some(Handler::Many(on_reply));
                return;
            }
            // Dropped last and unlocked: what it owns may use the link.
            drop(state);
            return;
        }
        let pending = state.remove(token);
        drop(state);
        if let Some(Pending { handler: Some(Handler::Once(done)), .. }) = pending {
            done(checked(message));
        }
    }

    fn pass_fence(&self, token: u64) {
        let pending = self.state().remove(token);
        if let Some(Handler::Barrier(done) | Handler::Flush(done)) = pending.and_then(|p| p.handler)
        {
            done(Ok(()));
        }
    }

    /// A new connection is up: whatever a barrier was for has happened with it.
    pub fn pass_all_fences(&self) {
        let mut state = self.state();
        if state.barriers == 0 {
            return;
        }
        let barrier = |p: &Pending| matches!(p.handler, Some(Handler::Barrier(_)));
        let tokens: Vec<u64> =
            state.pending.iter().filter(|(_, p)| barrier(p)).map(|(token, _)| *token).collect();
        let passed: Vec<Pending> = tokens.into_iter().filter_map(|t| state.remove(t)).collect();
        drop(state);
        for pending in passed {
            if let Some(Handler::Barrier(done)) = pending.handler {
                done(Ok(()));
            }
        }
    }

    /// Whether this error of the server answers a barrier; if so, the barrier is over.
    pub fn refused(&self, text: &str) -> bool {
        let prefix = self.fence_prefix();
        let Some(at) = text.find(&prefix) else { return false };
        let rest = &text[at + prefix.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if let Ok(token) = rest[..digits].parse() {
            self.pass_fence(token);
        }
        true
    }

    /// Ends all requests, and every later one at once.
    pub fn end(&self, end: End) {
        let mut state = self.state();
        state.over = Some(end);
        let mut all: Vec<(u64, Pending)> = state.pending.drain().collect();
        state.deadlines.clear();
        state.barriers = 0;
        drop(state);
        all.sort_unstable_by_key(|(token, _)| *token);
        for (_, pending) in all {
            if let Some(handler) = pending.handler {
                handler.fail(end.error());
            }
        }
    }

    /// The one timer of all requests; never ends.
    pub async fn run_timer(&self) {
        loop {
            match self.expire(Instant::now()) {
                None => self.earlier.notified().await,
                Some(next) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(next.into()) => {}
                        () = self.earlier.notified() => {}
                    }
                }
            }
        }
    }

    /// Ends what is due at `now` and tells when to look again.
    fn expire(&self, now: Instant) -> Option<Instant> {
        loop {
            let mut state = self.state();
            let first = state.deadlines.first().copied();
            state.armed = first.map(|(deadline, _)| deadline);
            let (deadline, token) = first?;
            if deadline > now {
                return Some(deadline);
            }
            let pending = state.remove(token);
            drop(state);
            if let Some(handler) = pending.and_then(|p| p.handler) {
                handler.fail(RequestError::Timeout);
            }
        }
    }

    /// Pending requests and deadlines, to see that nothing leaks.
    #[cfg(test)]
    pub fn sizes(&self) -> (usize, usize) {
        let state = self.state();
        (state.pending.len(), state.deadlines.len())
    }
}

/// Tells a reply from the server's report that nobody is there.
fn checked(message: Message) -> RequestResult {
    if message.status() == Some(503) {
        return Err(RequestError::NoResponders(Box::new(message)));
    }
    Ok(message)
}

/// Passes the messages of the inbox subscription on.
pub(super) struct MuxSink(pub Arc<RequestTable>);

impl super::source::Sink for MuxSink {
    fn message(&mut self, message: Message) {
        self.0.reply(message);
    }

    fn ended(&mut self) {}
}
