//! Requests: one inbox subscription for all of them, a token per request.
//!
//! Replies come to `<inbox>.<token>`. Barriers, the round trips that tell how far the server has
//! come, have a token, too, but no reply: see [`super::pings`].
//!
//! A request that the server refuses ends when the server says so; `denied` tells which it means.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_nats::Subject;
use tokio::sync::Notify;

use super::failure::Denial;
use super::message::{Message, Outgoing};
use super::patience::{Judge, PAUSE, Patience, Patient, Step};
use crate::error::{Error, Kind};
use crate::lock::lock;

/// Names a pending request of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub(super) u64);

/// Why a request has no reply.
#[derive(Debug)]
pub enum RequestError {
    Timeout,
    /// Replies came, but for a while no further one.
    Stalled,
    /// Nobody serves the subject; the server's report.
    NoResponders(Box<Message>),
    /// The link was closed.
    Closed,
    /// The connection was lost for good.
    Lost,
    /// The server does not allow it.
    Denied(Error),
    /// Nothing was sent, or it turned out that nobody will ever answer.
    Refused(Error),
}

impl RequestError {
    /// The error of a command that has waited for the reply; `late` is what it says when time has
    /// run out.
    pub fn into_error(self, late: impl Into<Cow<'static, str>>) -> Error {
        match self {
            RequestError::Timeout | RequestError::Stalled => Error::new(Kind::Timeout, late),
            RequestError::NoResponders(_) => {
                Error::new(Kind::NoResponders, "No responders available for request")
            }
            RequestError::Closed => Error::connection_closed(),
            RequestError::Lost => Error::connection_lost(),
            RequestError::Denied(error) | RequestError::Refused(error) => error,
        }
    }
}

/// What becomes of a request.
pub type RequestResult = std::result::Result<Message, RequestError>;

/// Who gets what becomes of a request. Called on the runtime thread.
pub(super) enum ReplyHandler {
    Once(Box<dyn FnOnce(RequestResult) + Send>),
    Many(Box<dyn FnMut(RequestResult) -> ControlFlow<()> + Send>),
    Barrier(Box<dyn FnOnce(std::result::Result<(), RequestError>) + Send>),
    /// A barrier for which a new connection does not count: it is sent again over that.
    Flush(Box<dyn FnOnce(std::result::Result<(), RequestError>) + Send>),
}

impl ReplyHandler {
    /// Ends the request with an error.
    fn fail(self, error: RequestError) {
        match self {
            ReplyHandler::Once(done) => done(Err(error)),
            ReplyHandler::Many(mut on_reply) => {
                let _ = on_reply(Err(error));
            }
            ReplyHandler::Barrier(done) | ReplyHandler::Flush(done) => done(Err(error)),
        }
    }
}

/// Makes the request that is sent over a new connection if the old one took the reply with it.
pub type Resend = Box<dyn Fn() -> Outgoing + Send>;

/// What the table knows of a request; nothing but the timeout of a barrier.
pub(super) struct Question {
    pub subject: Subject,
    /// That of a request whose replies come to a subscription of its own.
    pub inbox: Option<Subject>,
    pub quiet: bool,
    pub timeout: Option<Duration>,
    /// How long it waits for a further reply.
    pub stall: Option<Duration>,
    pub again: Option<Resend>,
    pub patient: Option<Box<Patient>>,
}

impl Question {
    /// That of a barrier.
    pub fn nothing() -> Question {
        let subject = Subject::from_static("");
        let (again, patient) = (None, None);
        Question { subject, inbox: None, quiet: false, timeout: None, stall: None, again, patient }
    }
}

/// What is asked over a new connection.
pub(super) enum Again {
    Request(Outgoing),
    Flush,
}

/// A request that was refused.
pub(super) struct Denied {
    pub quiet: bool,
    handler: Option<ReplyHandler>,
}

impl Denied {
    /// Ends it; the table is not locked.
    pub fn end(self, error: Error) {
        if let Some(handler) = self.handler {
            handler.fail(RequestError::Denied(error));
        }
    }
}

/// How all requests end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkEnd {
    Closed,
    Lost,
}

impl LinkEnd {
    fn error(self) -> RequestError {
        match self {
            LinkEnd::Closed => RequestError::Closed,
            LinkEnd::Lost => RequestError::Lost,
        }
    }
}

pub(super) struct RequestTable {
    /// The inbox with its final dot.
    prefix: String,
    table: Mutex<Table>,
    /// Tells the timer that the earliest deadline has changed.
    earlier: Notify,
}

#[derive(Default)]
struct Table {
    last: u64,
    /// In the order in which they were made.
    pending: BTreeMap<u64, PendingRequest>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// When the timer will look next. Only an earlier deadline has to wake it.
    armed: Option<Instant>,
    barriers: usize,
    over: Option<LinkEnd>,
}

struct PendingRequest {
    /// What was asked, by which an error of the server is known to be about it. Empty in a barrier.
    subject: Subject,
    inbox: Option<Subject>,
    /// A refusal is nobody's news.
    quiet: bool,
    deadline: Option<Instant>,
    stall: Option<Stall>,
    /// When the timer is to look at it: the deadline, or before.
    due: Option<Instant>,
    again: Option<Resend>,
    patient: Option<Box<Patient>>,
    /// Taken out while it runs, so that it may use the link, also to cancel itself.
    handler: Option<ReplyHandler>,
}

/// The wait for a further reply.
#[derive(Clone, Copy)]
struct Stall {
    limit: Duration,
    /// When the last reply came.
    last: Option<Instant>,
}

impl Stall {
    fn end(&self) -> Option<Instant> {
        self.last?.checked_add(self.limit)
    }
}

impl PendingRequest {
    /// When it has waited for a further reply for too long.
    fn stalled_at(&self) -> Option<Instant> {
        self.stall.as_ref().and_then(Stall::end)
    }
}

impl Table {
    fn remove(&mut self, token: u64) -> Option<PendingRequest> {
        let pending = self.pending.remove(&token)?;
        if let Some(due) = pending.due {
            self.deadlines.remove(&(due, token));
        }
        if matches!(pending.handler, Some(ReplyHandler::Barrier(_))) {
            self.barriers -= 1;
        }
        Some(pending)
    }

    /// Has the timer look at a request; whether it has to be woken for that.
    fn look_at(&mut self, due: Instant, token: u64) -> bool {
        self.deadlines.insert((due, token));
        let wake = self.armed.is_none_or(|armed| due < armed);
        if wake {
            self.armed = Some(due);
        }
        wake
    }

    /// The same for one whose turn was another one before.
    fn look_again(&mut self, due: Option<Instant>, token: u64) -> bool {
        let Some(pending) = self.pending.get_mut(&token) else { return false };
        if let Some(before) = std::mem::replace(&mut pending.due, due) {
            self.deadlines.remove(&(before, token));
        }
        due.is_some_and(|due| self.look_at(due, token))
    }

    /// A reply has come to a request that waits for more; whether the timer has to be woken. Only the
    /// first one sets the timer: when that goes off, it sees how long ago the last one came.
    fn goes_on(&mut self, token: u64) -> bool {
        let Some(pending) = self.pending.get_mut(&token) else { return false };
        let Some(stall) = &mut pending.stall else { return false };
        let first = stall.last.replace(Instant::now()).is_none();
        let due = earlier(stall.end(), pending.deadline);
        first && self.look_again(due, token)
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// When a request that pauses for so long has its turn.
fn pause(now: Instant, pause: Duration, deadline: Option<Instant>) -> Option<Instant> {
    earlier(now.checked_add(pause), deadline)
}

impl RequestTable {
    pub fn new(inbox: &str) -> RequestTable {
        RequestTable {
            prefix: format!("{inbox}."),
            table: Mutex::new(Table::default()),
            earlier: Notify::new(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// The subject of the one subscription.
    pub fn subject(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// Where the reply to a request comes.
    pub fn reply_subject(&self, id: RequestId) -> Subject {
        format!("{}{}", self.prefix, id.0).into()
    }

    /// A subject of ours that no reply comes to.
    pub fn unused_subject(&self) -> String {
        format!("{}ping", self.prefix)
    }

    /// Adds a request, or a barrier. Gives the handler back if all is over.
    pub fn add(
        &self,
        question: Question,
        handler: ReplyHandler,
    ) -> std::result::Result<RequestId, (ReplyHandler, RequestError)> {
        let Question { subject, inbox, quiet, timeout, stall, again, patient } = question;
        let now = Instant::now();
        // A time too far away for the clock is none at all.
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        let doubts = patient.as_ref().is_some_and(|patient| patient.patience.doubts_silence());
        let due = if doubts { pause(now, PAUSE, deadline) } else { deadline };
        let barrier = matches!(handler, ReplyHandler::Barrier(_));
        let mut table = self.table();
        if let Some(end) = table.over {
            return Err((handler, end.error()));
        }
        table.last += 1;
        let token = table.last;
        let handler = Some(handler);
        let stall = stall.map(|limit| Stall { limit, last: None });
        let pending =
            PendingRequest { subject, inbox, quiet, deadline, stall, due, again, patient, handler };
        table.pending.insert(token, pending);
        table.barriers += usize::from(barrier);
        let wake = due.is_some_and(|due| table.look_at(due, token));
        drop(table);
        if wake {
            self.earlier.notify_one();
        }
        Ok(RequestId(token))
    }

    pub fn is_pending(&self, id: RequestId) -> bool {
        self.table().pending.contains_key(&id.0)
    }

    /// What has to be asked again over a new connection.
    pub fn to_resend(&self) -> Vec<(RequestId, Again)> {
        let mut table = self.table();
        let again = table.pending.iter_mut().filter_map(|(token, pending)| {
            let id = RequestId(*token);
            if let Some(ReplyHandler::Flush(_)) = pending.handler {
                return Some((id, Again::Flush));
            }
            let out = pending.again.as_ref()?();
            pending.subject = out.subject.clone();
            Some((id, Again::Request(out)))
        });
        again.collect()
    }

    /// Ends a request without a word; tells whether it was pending.
    pub fn cancel(&self, id: RequestId) -> bool {
        let pending = self.table().remove(id.0);
        pending.is_some()
    }

    /// A message has come to the inbox. If it says that nobody is there, what comes out is a request
    /// that will be made again.
    pub fn reply(&self, message: Message) -> Option<RequestId> {
        let token = self.token_of(message.subject())?;
        let mut table = self.table();
        if message.says_nobody()
            && let Some(pending) = table.pending.get_mut(&token)
            && let Some(patient) = &mut pending.patient
            && let now = Instant::now()
            && let remaining =
                pending.deadline.map(|deadline| deadline.saturating_duration_since(now))
            && let Some(length) = patient.patience.pause(remaining)
        {
            patient.nobody = true;
            let due = pause(now, length, pending.deadline);
            let wake = table.look_again(due, token);
            drop(table);
            if wake {
                self.earlier.notify_one();
            }
            return Some(RequestId(token));
        }
        let many = match table.pending.get_mut(&token) {
            Some(PendingRequest { handler, .. })
                if matches!(handler, Some(ReplyHandler::Many(_))) =>
            {
                handler.take()
            }
            _ => None,
        };
        if let Some(ReplyHandler::Many(mut on_reply)) = many {
            drop(table);
            let flow = on_reply(checked(message));
            let mut table = self.table();
            if flow.is_break() {
                table.remove(token);
            } else if let Some(pending) = table.pending.get_mut(&token) {
                pending.handler = Some(ReplyHandler::Many(on_reply));
                let wake = table.goes_on(token);
                drop(table);
                if wake {
                    self.earlier.notify_one();
                }
                return None;
            }
            // Dropped last and unlocked: what it owns may use the link.
            drop(table);
            return None;
        }
        let pending = table.remove(token);
        drop(table);
        if let Some(PendingRequest { handler: Some(ReplyHandler::Once(done)), .. }) = pending {
            done(checked(message));
        }
        None
    }

    /// What is to be done about a request that has paused.
    pub fn step(&self, id: RequestId) -> Option<Step> {
        let mut table = self.table();
        let patient = table.pending.get_mut(&id.0)?.patient.as_mut()?;
        Some(match std::mem::take(&mut patient.nobody) {
            true => Step::Repeat(patient.out.clone()),
            false => Step::Doubt,
        })
    }

    /// What tells whether a request will ever be answered, and who reads the answer.
    pub fn question(&self, id: RequestId) -> Option<(Subject, Judge)> {
        let table = self.table();
        match &table.pending.get(&id.0)?.patient.as_ref()?.patience {
            Patience::Asking { question, judge, .. } => Some((question.clone(), judge.clone())),
            Patience::Times { .. } => None,
        }
    }

    /// Ends one that nobody will answer.
    pub fn end_one(&self, id: RequestId, error: Error) {
        let pending = self.table().remove(id.0);
        if let Some(handler) = pending.and_then(|pending| pending.handler) {
            handler.fail(RequestError::Refused(error));
        }
    }

    fn token_of(&self, reply: &str) -> Option<u64> {
        reply.strip_prefix(&self.prefix)?.parse().ok()
    }

    pub fn pass_barrier(&self, id: RequestId) {
        let pending = self.table().remove(id.0);
        if let Some(ReplyHandler::Barrier(done) | ReplyHandler::Flush(done)) =
            pending.and_then(|p| p.handler)
        {
            done(Ok(()));
        }
    }

    /// A new connection is up: whatever a barrier was for has happened with it.
    pub fn pass_all_barriers(&self) {
        let mut table = self.table();
        if table.barriers == 0 {
            return;
        }
        let barrier = |p: &PendingRequest| matches!(p.handler, Some(ReplyHandler::Barrier(_)));
        let tokens: Vec<u64> =
            table.pending.iter().filter(|(_, p)| barrier(p)).map(|(token, _)| *token).collect();
        let passed: Vec<PendingRequest> =
            tokens.into_iter().filter_map(|t| table.remove(t)).collect();
        drop(table);
        for pending in passed {
            if let Some(ReplyHandler::Barrier(done)) = pending.handler {
                done(Ok(()));
            }
        }
    }

    /// The request that the server refuses; it is over when what comes out is told so.
    ///
    /// Who may publish something may do it until the permissions change, so of several requests for
    /// one subject those that are refused were made last.
    pub fn denied(&self, denial: &Denial) -> Option<Denied> {
        let mut table = self.table();
        let token = match denial {
            Denial::Publish(subject) => {
                let newest = |asked: &dyn Fn(&str) -> bool| {
                    let mut pending = table.pending.iter().rev();
                    pending.find(|(_, pending)| asked(&pending.subject)).map(|(token, _)| *token)
                };
                newest(&|asked| asked == subject)
                    .or_else(|| newest(&|asked| is_api_of_domain(asked, subject)))?
            }
            Denial::Reply(reply) => self.token_of(reply)?,
            Denial::Subscription(subject) => {
                let own = |pending: &PendingRequest| pending.inbox.as_deref() == Some(subject);
                *table.pending.iter().find(|(_, pending)| own(pending))?.0
            }
        };
        let PendingRequest { quiet, handler, .. } = table.remove(token)?;
        Some(Denied { quiet, handler })
    }

    /// No reply can come any more to the requests that wait for one.
    pub fn inbox_denied(&self, error: &Error) {
        let mut table = self.table();
        let barrier = |pending: &PendingRequest| {
            let handler = pending.handler.as_ref();
            handler.is_some_and(|h| matches!(h, ReplyHandler::Barrier(_) | ReplyHandler::Flush(_)))
        };
        let waiting = table.pending.iter().filter(|(_, pending)| !barrier(pending));
        let tokens: Vec<u64> = waiting.map(|(token, _)| *token).collect();
        let denied: Vec<_> = tokens.into_iter().filter_map(|t| table.remove(t)).collect();
        drop(table);
        for handler in denied.into_iter().filter_map(|pending| pending.handler) {
            handler.fail(RequestError::Denied(error.clone()));
        }
    }

    /// A message with this reply subject could not be sent. If it was a request, that is over.
    pub fn end_unsent(&self, reply: &str, error: Error) {
        let token = reply.strip_prefix(&self.prefix).and_then(|token| token.parse().ok());
        let pending = token.and_then(|token| self.table().remove(token));
        if let Some(handler) = pending.and_then(|pending| pending.handler) {
            handler.fail(RequestError::Refused(error));
        }
    }

    /// Ends all requests, and every later one at once.
    pub fn end(&self, end: LinkEnd) {
        let mut table = self.table();
        table.over = Some(end);
        let all = std::mem::take(&mut table.pending);
        table.deadlines.clear();
        table.barriers = 0;
        drop(table);
        for handler in all.into_values().filter_map(|pending| pending.handler) {
            handler.fail(end.error());
        }
    }

    /// The one timer of all requests; never ends. `go_on` is called when a pause is over.
    pub async fn run_timer(&self, go_on: impl Fn(RequestId)) {
        loop {
            match self.expire(Instant::now(), &go_on) {
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

    /// Ends what is over at `now`, lets go on what has paused, and tells when to look again.
    fn expire(&self, now: Instant, go_on: impl Fn(RequestId)) -> Option<Instant> {
        loop {
            let mut table = self.table();
            let first = table.deadlines.first().copied();
            table.armed = first.map(|(deadline, _)| deadline);
            let (due, token) = first?;
            if due > now {
                return Some(due);
            }
            let pending = table.pending.get(&token);
            let deadline = pending.and_then(|pending| pending.deadline);
            let stalled_at = pending.and_then(PendingRequest::stalled_at);
            let in_time = deadline.is_none_or(|deadline| deadline > now);
            if in_time && stalled_at.is_some_and(|at| at > now) {
                table.look_again(earlier(stalled_at, deadline), token);
                continue;
            }
            if in_time && stalled_at.is_none() {
                table.look_again(deadline, token);
                drop(table);
                go_on(RequestId(token));
                continue;
            }
            let pending = table.remove(token);
            drop(table);
            if let Some(handler) = pending.and_then(|p| p.handler) {
                handler.fail(if in_time { RequestError::Stalled } else { RequestError::Timeout });
            }
        }
    }

    /// Pending requests and deadlines, to see that nothing leaks.
    #[cfg(test)]
    pub fn sizes(&self) -> (usize, usize) {
        let table = self.table();
        (table.pending.len(), table.deadlines.len())
    }
}

/// Whether the first subject is the second one, of JetStream, as it is called in a domain. A server maps
/// one to the other before it looks at permissions, and names only what came out of that.
fn is_api_of_domain(asked: &str, subject: &str) -> bool {
    let of_domain = asked.strip_prefix("$JS.").and_then(|rest| rest.split_once('.'));
    of_domain.is_some_and(|(_, api)| subject.strip_prefix("$JS.") == Some(api))
}

/// Tells a reply from the server's report that nobody is there.
fn checked(message: Message) -> RequestResult {
    if message.status() == Some(503) {
        return Err(RequestError::NoResponders(Box::new(message)));
    }
    Ok(message)
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
