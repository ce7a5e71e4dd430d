//! `request`, `request_msg` and `cancel_request`.

use super::Connection;
use super::backlog::{Arrived, Backlog, Counts, LIMIT_OPTIONS, Limits, NO_RUNS, Slow};
use super::delivery::{Delivery, Item};
use super::publish::Draft;
use crate::bridge;
use crate::error::{Error, Kind};
use crate::options::{self, Options, Type};
use crate::tcl::{Call, Interp, Obj, Result, Return};
use crate::transport::{
    Link, Message, Outgoing, PackedMessage, RequestError, RequestId, RequestResult,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// What became of a request.
pub enum Outcome {
    Message(PackedMessage),
    /// One of several replies waits in the backlog.
    Turn,
    /// Nobody serves the subject; the server's report.
    NoResponders(PackedMessage),
    Timeout,
    /// The connection was closed by the program.
    Closed,
    /// The connection was lost for good.
    Lost,
}

impl From<RequestResult> for Outcome {
    fn from(answer: RequestResult) -> Outcome {
        match answer {
            Ok(message) => Outcome::Message(PackedMessage::new(message)),
            Err(RequestError::NoResponders(report)) => {
                Outcome::NoResponders(PackedMessage::new(*report))
            }
            Err(RequestError::Timeout) => Outcome::Timeout,
            Err(RequestError::Lost) => Outcome::Lost,
            Err(RequestError::Closed | RequestError::Refused(_)) => Outcome::Closed,
        }
    }
}

/// A reply with a header `Status` of 503 says that nobody is there, however it got it.
fn heard(answer: RequestResult) -> RequestResult {
    let message = answer?;
    let status = message.header("Status").and_then(|text| text.trim().parse::<f64>().ok());
    match status {
        Some(503.0) => Err(RequestError::NoResponders(Box::new(message))),
        _ => Ok(message),
    }
}

/// An asynchronous request.
struct Pending {
    callback: Vec<Obj>,
    dictmsg: bool,
    /// For replies in the form of dicts.
    sub_id: Obj,
    many: Option<Many>,
    sent: Cell<Option<RequestId>>,
    /// Its connection was closed: it cannot be cancelled any more, and its end is on the way.
    over: Cell<bool>,
}

/// What a request for several replies needs.
struct Many {
    /// What is left of them, `None` = no limit.
    left: Cell<Option<u64>>,
    /// Replies that wait for the program.
    backlog: Arc<Backlog>,
}

/// The asynchronous requests of a connection, by their numbers.
#[derive(Default)]
pub struct Requests {
    last: Cell<i64>,
    pending: RefCell<HashMap<i64, Pending>>,
}

impl Requests {
    fn next_id(&self) -> i64 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    fn take(&self, id: i64) -> Option<Pending> {
        self.pending.borrow_mut().remove(&id)
    }

    /// The same for a request that may be cancelled.
    fn take_open(&self, id: i64) -> Option<Pending> {
        let mut pending = self.pending.borrow_mut();
        pending.get(&id).filter(|request| !request.over.get())?;
        pending.remove(&id)
    }

    /// All requests end with the connection; what has arrived for them is still delivered.
    pub fn closed(&self) {
        for request in self.pending.borrow().values() {
            request.over.set(true);
        }
    }

    /// What the replies are that wait, and how many were dropped, of all requests.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for many in self.pending.borrow().values().filter_map(|request| request.many.as_ref()) {
            let counts = many.backlog.counts();
            sum.pending += counts.pending;
            sum.pending_bytes += counts.pending_bytes;
            sum.dropped += counts.dropped;
        }
        sum
    }

    /// Calls the callback back, if the request is still wanted.
    pub fn reply(&self, interp: Interp<'_>, delivery: &Delivery, id: i64, outcome: Outcome) {
        // The callback may cancel requests and make new ones, so nothing is borrowed during it.
        let pending = self.pending.borrow();
        let Some(request) = pending.get(&id) else { return };
        let utf8 = delivery.utf8();
        let dict = |message: &PackedMessage| {
            let subject = Obj::from_encoded(message.subject());
            delivery.words.dict(message, &subject, &request.sub_id, utf8)
        };
        let empty = Obj::empty;
        let (timed_out, reply, last) = match (&outcome, &request.many) {
            (Outcome::Message(message), None) if !request.dictmsg => {
                (0, delivery.words.payload(message, utf8), true)
            }
            (Outcome::Message(message), _) => (0, dict(message), true),
            (Outcome::Turn, many) => {
                let taken = many.as_ref().and_then(|many| Some((many, many.backlog.take().0?)));
                let Some((many, message)) = taken else { return };
                let more = many.left.get().map(|left| left.saturating_sub(1));
                many.left.set(more);
                (0, dict(&message), more == Some(0))
            }
            (Outcome::NoResponders(report), None) if request.dictmsg => (1, dict(report), true),
            (Outcome::NoResponders(_), None) => (1, empty(), true),
            (Outcome::NoResponders(report), Some(many)) => {
                (1, dict(report), many.left.get() == Some(1))
            }
            // A deliberate close ends a single request silently, and several with a last word.
            (Outcome::Closed, None) => {
                drop(pending);
                drop(self.take(id));
                return;
            }
            (Outcome::Closed, Some(_)) | (Outcome::Timeout | Outcome::Lost, _) => {
                (1, empty(), true)
            }
        };
        let mut words = request.callback.clone();
        drop(pending);
        words.push(Obj::int(timed_out));
        words.push(reply);
        let gone = if last { self.take(id) } else { None };
        if let Some(many) = gone.as_ref().and_then(|request| request.many.as_ref()) {
            delivery.add_dropped(many.backlog.counts().dropped);
        }
        interp.call_back(&words);
        drop(gone);
    }
}

/// How a request is to be made.
struct Ask {
    /// For messages.
    subject: String,
    timeout: Option<Duration>,
    callback: Vec<Obj>,
    dictmsg: bool,
    /// For several replies; 0 = no limit.
    many: Option<u64>,
    limits: Limits,
}

const REQUEST: &[options::Spec] = &[
    ("timeout", Type::Timeout),
    ("callback", Type::Str),
    ("dictmsg", Type::Bool),
    ("header", Type::Dict),
    ("max_msgs", Type::PosInt),
    ("check_subj", Type::Bool),
    LIMIT_OPTIONS[0],
    LIMIT_OPTIONS[1],
];

pub fn request(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let (subject, data) = (call.arg(0)?, call.arg(1)?);
    let words = call.args().get(2..).unwrap_or_default();
    let given = options::parse(call.interp, REQUEST, words)?;
    let mut draft = Draft::new(subject, data);
    draft.header = given.get("header").cloned();
    let many = given.int("max_msgs").map(|n| n.max(0) as u64);
    let unchecked = given.get("check_subj").is_some() && !given.flag("check_subj");
    draft.check_subject = many.is_some() || !unchecked;
    this.make_request(call.interp, draft, &given, many)
}

pub fn request_msg(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    const OPTIONS: &[options::Spec] =
        &[("timeout", Type::Timeout), ("callback", Type::Str), ("dictmsg", Type::Bool)];
    let dict = call.arg(0)?;
    let given = options::parse(call.interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    let fields = this.delivery.words.fields(call.interp, dict)?;
    if !fields.reply.is_empty() {
        let text = format!("request_msg: the reply {} will be ignored", fields.reply.text());
        this.logger.log(super::log::Level::Warn, &text);
    }
    let mut draft = Draft::new(&fields.subject, &fields.data);
    draft.header = Some(fields.header);
    this.make_request(call.interp, draft, &given, None)
}

pub fn cancel_request(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let word = call.arg(0)?;
    let request = options::integer(word).and_then(|id| this.delivery.requests.take_open(id));
    let Some(request) = request else {
        return Err(Error::invalid(format!("Invalid request ID {}", word.text())).into());
    };
    if let (Some(sent), Ok(link)) = (request.sent.get(), this.link()) {
        link.cancel(sent);
    }
    if let Some(many) = &request.many {
        this.delivery.add_dropped(many.backlog.counts().dropped);
    }
    this.logger.log(super::log::Level::Debug, &format!("Cancelled request {}", word.text()));
    Ok(Return::Empty)
}

impl Connection {
    fn make_request(
        &self,
        interp: Interp<'_>,
        draft: Draft<'_>,
        given: &Options,
        many: Option<u64>,
    ) -> Result<Return> {
        self.check_open()?;
        let subject = draft.subject.string();
        let out = self.outgoing(interp, draft)?;
        let timeout = given.time_limit("timeout", self.request_timeout());
        let callback = match given.non_empty("callback") {
            Some(callback) => callback.elements(interp)?,
            None => Vec::new(),
        };
        let dictmsg =
            given.get("dictmsg").map_or_else(|| self.dictmsg(), |_| given.flag("dictmsg"));
        let ask = Ask { subject, timeout, callback, dictmsg, many, limits: Limits::of(given) };
        let link = self.link()?;
        let id = self.delivery.requests.next_id();
        match (ask.callback.is_empty(), many) {
            (false, _) => self.ask_async(&link, out, id, ask),
            (true, None) => self.ask_one(interp, &link, out, ask),
            (true, Some(limit)) => self.ask_many(interp, &link, out, ask, limit),
        }
    }

    fn ask_async(&self, link: &Link, out: Outgoing, id: i64, ask: Ask) -> Result<Return> {
        let feed = self.items.clone();
        let send = move |outcome: Outcome| feed.send(Item::Reply(id, outcome));
        let sub_id = self.reply_sub_id(ask.many.is_some());
        let many = ask.many.map(|limit| Many {
            left: Cell::new(Some(limit).filter(|limit| *limit > 0)),
            backlog: Arc::new(Backlog::new(sub_id, ask.limits)),
        });
        let backlog = many.as_ref().map(|many| many.backlog.clone());
        let pending = Pending {
            callback: ask.callback,
            dictmsg: ask.dictmsg,
            sub_id: Obj::int(sub_id),
            many,
            sent: Cell::new(None),
            over: Cell::new(false),
        };
        self.delivery.requests.pending.borrow_mut().insert(id, pending);
        let sent = match (ask.many, backlog) {
            (Some(limit), Some(backlog)) => {
                let slow = self.slow_reporter(slow(sub_id, &ask.subject));
                let mut left = limit;
                link.request_many(out, ask.timeout, move |answer| {
                    let last = left == 1;
                    match heard(answer) {
                        Ok(message) => {
                            left = left.saturating_sub(1);
                            if collect(&backlog, message, &slow).token {
                                send(Outcome::Turn);
                            }
                        }
                        answer => {
                            let nobody = matches!(answer, Err(RequestError::NoResponders(_)));
                            send(answer.into());
                            if !nobody {
                                return CONTINUE;
                            }
                        }
                    }
                    if !last {
                        return CONTINUE;
                    }
                    if backlog.counts().dropped > 0 {
                        // Not all of them will be counted.
                        send(Outcome::Timeout);
                    }
                    BREAK
                })
            }
            _ => link.request(out, ask.timeout, move |answer| send(heard(answer).into())),
        };
        match sent {
            Ok(sent) => {
                if let Some(pending) = self.delivery.requests.pending.borrow().get(&id) {
                    pending.sent.set(Some(sent));
                }
                Ok(Obj::int(id).into())
            }
            Err(error) => {
                drop(self.delivery.requests.take(id));
                Err(error.into())
            }
        }
    }

    fn ask_one(&self, interp: Interp<'_>, link: &Link, out: Outgoing, ask: Ask) -> Result<Return> {
        let (promise, answer) = bridge::promise(interp);
        let complete = self.in_order(move |outcome| promise.complete(outcome));
        let subject = ask.subject;
        let sub_id = Obj::int(self.reply_sub_id(false));
        let sent = link.request(out, ask.timeout, move |answer| {
            complete(match Outcome::from(heard(answer)) {
                Outcome::Message(message) => Ok(message),
                outcome => Err(failure(outcome, &subject, false)),
            });
        });
        sent?;
        let (this, dictmsg) = (self.this()?, ask.dictmsg);
        answer.wait(interp, move |_, outcome| {
            let message = outcome?;
            let utf8 = this.delivery.utf8();
            let words = &this.delivery.words;
            Ok(match dictmsg {
                false => words.payload(&message, utf8),
                true => {
                    let subject = Obj::from_encoded(message.subject());
                    words.dict(&message, &subject, &sub_id, utf8)
                }
            }
            .into())
        })
    }

    fn ask_many(
        &self,
        interp: Interp<'_>,
        link: &Link,
        out: Outgoing,
        ask: Ask,
        limit: u64,
    ) -> Result<Return> {
        let (promise, answer) = bridge::promise(interp);
        let mut complete = Some(self.in_order(move |outcome| promise.complete(outcome)));
        let subject = ask.subject;
        let sub_id = self.reply_sub_id(true);
        let backlog = Arc::new(Backlog::new(sub_id, ask.limits));
        let (slow, replies) = (self.slow_reporter(slow(sub_id, &subject)), backlog.clone());
        let mut left = limit;
        let sent = link.request_many(out, ask.timeout, move |answer| {
            let end = match heard(answer) {
                Ok(message) => {
                    collect(&backlog, message, &slow);
                    left = left.wrapping_sub(1);
                    if left != 0 {
                        return CONTINUE;
                    }
                    Ok(())
                }
                Err(RequestError::Timeout) if !backlog.is_empty() => Ok(()),
                answer => Err(failure(answer.into(), &subject, true)),
            };
            if let Some(complete) = complete.take() {
                complete(end);
            }
            BREAK
        });
        sent?;
        let this = self.this()?;
        answer.wait(interp, move |_, outcome| {
            this.delivery.add_dropped(replies.counts().dropped);
            outcome?;
            let utf8 = this.delivery.utf8();
            let (list, sub_id) = (Obj::list(&[]), Obj::int(sub_id));
            for message in replies.take_all() {
                let subject = Obj::from_encoded(message.subject());
                list.push(&this.delivery.words.dict(&message, &subject, &sub_id, utf8));
            }
            Ok(list.into())
        })
    }

    /// The answer of a waiting command, after what has arrived before it if somebody wants
    /// messages as directly as that.
    pub(super) fn in_order<T: Send + 'static>(
        &self,
        complete: impl FnOnce(T) + Send + 'static,
    ) -> impl FnOnce(T) + Send + 'static {
        let feed = self.delivery.has_direct().then(|| self.items.clone());
        move |value| match feed {
            Some(feed) => feed.send(Item::Call(Box::new(move || complete(value)))),
            None => complete(value),
        }
    }

    /// The number of the subscription that replies come by.
    fn reply_sub_id(&self, own: bool) -> i64 {
        if own {
            return self.next_sub_id();
        }
        let id = self.inbox_sub.get().unwrap_or_else(|| self.next_sub_id());
        self.inbox_sub.set(Some(id));
        id
    }
}

const BREAK: ControlFlow<()> = ControlFlow::Break(());
const CONTINUE: ControlFlow<()> = ControlFlow::Continue(());

/// Keeps one of several replies, if there is room.
fn collect(backlog: &Backlog, message: Message, slow: &(impl Fn() + ?Sized)) -> Arrived {
    // Each reply has a token: it goes by the number of the request.
    let arrived = backlog.arrive(message.size(), NO_RUNS, || PackedMessage::new(message));
    if arrived.slow {
        slow();
    }
    arrived
}

fn slow(sub_id: i64, subject: &str) -> Slow {
    let overflow = Limits::default().overflow;
    Slow { request: true, sub_id, subject: subject.to_owned(), overflow }
}

/// The error of a synchronous request.
fn failure(outcome: Outcome, subject: &str, many: bool) -> Error {
    match outcome {
        Outcome::Timeout => Error::new(Kind::Timeout, format!("Request to {subject} timed out")),
        Outcome::NoResponders(_) => {
            let text = "No responders available for request";
            match many {
                false => Error::new(Kind::NoResponders, text),
                true => Error::new(Kind::NoResponders, format!("{text} to {subject}")),
            }
        }
        Outcome::Lost => Error::new(Kind::Timeout, "Connection lost"),
        Outcome::Message(_) | Outcome::Turn | Outcome::Closed => Error::connection_closed(),
    }
}
