//! `request`, `request_msg` and `cancel_request`.

use super::Connection;
use super::arrival::{Arrival, RequestOutcome};
use super::backlog::Backlog;
use super::collector::{Collector, checked, failure};
use super::gather::{Ends, Gatherer};
use super::limits::{LIMIT_OPTIONS, Limits, SlowConsumer};
use super::log::Level;
use super::outgoing::MessageArgs;
use super::replies::{Answers, AsyncRequest, OutcomeReader, SeveralReplies};
use crate::bridge::{self, LanePlace};
use crate::error::Error;
use crate::options::{self, Options, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, List, Method, Obj, Result, Return};
use crate::transport::{How, Link, Outgoing, PackedMessage, RequestId, RequestResult};
use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

const OPTIONS: &[options::Spec] = &[
    ("timeout", Type::Timeout),
    ("callback", Type::Str),
    ("dictmsg", Type::Bool),
    ("header", Type::Dict),
    ("max_msgs", Type::PosInt),
    ("stall", Type::Timeout),
    ("sentinel", Type::Bool),
    ("check_subj", Type::Bool),
    LIMIT_OPTIONS[0],
    LIMIT_OPTIONS[1],
];

const MESSAGE_OPTIONS: &[options::Spec] =
    &[("timeout", Type::Timeout), ("callback", Type::Str), ("dictmsg", Type::Bool)];

fn request(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let (subject, data) = (call.arg(0)?, call.arg(1)?);
    let words = call.args().get(2..).unwrap_or_default();
    let given = options::parse(call.interp, OPTIONS, words)?;
    let mut args = MessageArgs::new(subject, data);
    args.header = given.get("header").cloned();
    let max_replies = given.int("max_msgs").map(|n| n.max(0) as u64);
    let ends = Ends::of(&given);
    let unchecked = given.get("check_subj").is_some() && !given.flag("check_subj");
    // As nats-tcl has it, that counts for one reply only.
    args.check_subject = !unchecked || (max_replies.is_some() && ends.is_none());
    let several = max_replies.or(ends.and(Some(0))).map(|limit| Several { limit, ends });
    this.make_request(call.interp, args, &given, several)
}

fn request_msg(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let dict = call.arg(0)?;
    let words = call.args().get(1..).unwrap_or_default();
    let given = options::parse(call.interp, MESSAGE_OPTIONS, words)?;
    let fields = this.delivery.format.fields(call.interp, dict)?;
    if !fields.reply.is_empty() {
        let text = format!("request_msg: the reply {} will be ignored", fields.reply.text());
        this.logger.log(Level::Warn, &text);
    }
    let mut args = MessageArgs::new(&fields.subject, &fields.data);
    args.header = Some(fields.header);
    this.make_request(call.interp, args, &given, None)
}

fn cancel_request(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let word = call.arg(0)?;
    let link = this.link().ok();
    let known =
        options::integer(word).is_some_and(|id| this.delivery.requests.cancel(id, link.as_ref()));
    if !known {
        return Err(Error::invalid(format!("Invalid request ID {}", word.text())).into());
    }
    this.logger.log(Level::Debug, &format!("Cancelled request {}", word.text()));
    Ok(Return::Empty)
}

/// How a request is to be made.
struct RequestOptions {
    /// For the texts of errors.
    subject: String,
    timeout: Option<Duration>,
    callback: Vec<Obj>,
    dictmsg: bool,
    several: Option<Several>,
    limits: Limits,
}

/// What a request for several replies asks for.
#[derive(Clone, Copy)]
struct Several {
    /// How many; 0 = no limit.
    limit: u64,
    ends: Option<Ends>,
}

impl Several {
    fn how(&self, timeout: Option<Duration>) -> How {
        How { timeout, stall: self.ends.and_then(|ends| ends.stall), ..How::default() }
    }
}

impl Connection {
    fn make_request(
        &self,
        interp: Interp<'_>,
        args: MessageArgs<'_>,
        given: &Options,
        several: Option<Several>,
    ) -> Result<Return> {
        self.check_open()?;
        let subject = args.subject.string();
        let out = self.outgoing(interp, args)?;
        let timeout = given.time_limit("timeout", self.request_timeout());
        if let Some(ends) = several.and_then(|several| several.ends) {
            ends.check(given, timeout)?;
        }
        let callback = match given.non_empty("callback") {
            Some(callback) => callback.elements(interp)?,
            None => Vec::new(),
        };
        let dictmsg =
            given.get("dictmsg").map_or_else(|| self.dictmsg(), |_| given.flag("dictmsg"));
        let limits = Limits::of(given);
        let options = RequestOptions { subject, timeout, callback, dictmsg, several, limits };
        let link = self.link()?;
        let id = self.delivery.requests.next_id();
        match (options.callback.is_empty(), several) {
            (false, _) => self.request_async(&link, out, id, options),
            (true, None) => self.request_one(interp, &link, out, options),
            (true, Some(several)) => self.request_several(interp, &link, out, options, several),
        }
    }

    fn request_async(
        &self,
        link: &Link,
        out: Outgoing,
        id: i64,
        options: RequestOptions,
    ) -> Result<Return> {
        let RequestOptions { subject, timeout, callback, dictmsg, several, limits } = options;
        let subscribers = &self.delivery.subscribers;
        let Some(several) = several else {
            let sub_id = Obj::int(subscribers.inbox_id());
            let answers = Answers::Messages { dictmsg, sub_id, several: None };
            let tell = self.announcing(id, callback, answers);
            let sent = link.request(out, timeout, move |result| tell(checked(result).into()));
            return self.announced(id, sent);
        };
        let sub_id = subscribers.next_id();
        let mut collector = self.collector(sub_id, &subject, limits, several.limit);
        let replies = SeveralReplies {
            left: Cell::new(Some(several.limit).filter(|n| *n > 0 && several.ends.is_none())),
            gathers: several.ends.is_some(),
            backlog: collector.backlog.clone(),
        };
        let (sub_id, how) = (Obj::int(sub_id), several.how(timeout));
        let answers = Answers::Messages { dictmsg, sub_id, several: Some(replies) };
        let tell = self.announcing(id, callback, answers);
        let sent = match several.ends {
            None => link.request_many_as(out, how, move |reply| collector.announce(reply, &tell)),
            Some(ends) => {
                let mut gatherer = Gatherer::new(collector, ends);
                link.request_many_as(out, how, move |reply| gatherer.announce(reply, &tell))
            }
        };
        self.announced(id, sent)
    }

    /// Sends a request whose outcome is read by somebody else and goes to a callback; the number by
    /// which `cancel_request` knows it.
    pub fn request_read(
        &self,
        link: &Link,
        out: Outgoing,
        how: How,
        callback: Vec<Obj>,
        reader: Box<dyn OutcomeReader>,
    ) -> Result<Return> {
        let id = self.delivery.requests.next_id();
        let tell = self.announcing(id, callback, Answers::Read(reader));
        let sent = link.request_as(out, how, move |result| tell(result.into()));
        self.announced(id, sent)
    }

    /// Expects outcomes of a request that is to be sent, and makes what tells them.
    fn announcing(
        &self,
        id: i64,
        callback: Vec<Obj>,
        answers: Answers,
    ) -> impl Fn(RequestOutcome) + Send + use<> {
        let request = AsyncRequest {
            callback,
            answers,
            sent: Cell::new(None),
            over: Cell::new(false),
            lane: LanePlace::new(),
        };
        self.delivery.requests.add(id, request);
        let arrivals = self.arrivals.clone();
        move |outcome| arrivals.send(Arrival::Reply(id, outcome))
    }

    /// The request was sent, or could not be.
    fn announced(&self, id: i64, sent: crate::error::Result<RequestId>) -> Result<Return> {
        match sent {
            Ok(sent) => {
                self.delivery.requests.sent(id, sent);
                Ok(Obj::int(id).into())
            }
            Err(error) => {
                self.delivery.requests.remove(id);
                Err(error.into())
            }
        }
    }

    /// Sends a request and waits for its reply, in the form that the connection has for it.
    pub fn ask(
        &self,
        interp: Interp<'_>,
        out: Outgoing,
        timeout: Option<Duration>,
    ) -> Result<Return> {
        let options = RequestOptions {
            subject: out.subject.to_string(),
            timeout,
            callback: Vec::new(),
            dictmsg: self.dictmsg(),
            several: None,
            limits: Limits::default(),
        };
        self.request_one(interp, &self.link()?, out, options)
    }

    fn request_one(
        &self,
        interp: Interp<'_>,
        link: &Link,
        out: Outgoing,
        options: RequestOptions,
    ) -> Result<Return> {
        let RequestOptions { subject, timeout, dictmsg, .. } = options;
        let (promise, pending) = bridge::promise(interp);
        let complete = self.in_order(timeout, move |reply| promise.complete(reply));
        let sub_id = Obj::int(self.delivery.subscribers.inbox_id());
        let sent = link.request(out, timeout, move |result| {
            complete(match checked(result) {
                Ok(message) => Ok(PackedMessage::new(message)),
                Err(error) => Err(failure(error, &subject, false)),
            });
        })?;
        let (this, cancel) = (self.this()?, link.canceller(sent));
        pending.or_cancel(cancel).wait(interp, move |_, reply| {
            let (message, format) = (reply?, &this.delivery.format);
            Ok(match dictmsg {
                false => format.payload(&message),
                true => format.dict(&message, &Obj::from_encoded(message.subject()), &sub_id),
            }
            .into())
        })
    }

    fn request_several(
        &self,
        interp: Interp<'_>,
        link: &Link,
        out: Outgoing,
        options: RequestOptions,
        several: Several,
    ) -> Result<Return> {
        let RequestOptions { subject, timeout, limits, .. } = options;
        let (promise, pending) = bridge::promise(interp);
        let mut complete = Some(self.in_order(timeout, move |end| promise.complete(end)));
        let sub_id = self.delivery.subscribers.next_id();
        let mut collector = self.collector(sub_id, &subject, limits, several.limit);
        let replies = collector.backlog.clone();
        let mut collect: Box<dyn FnMut(RequestResult) -> _ + Send> = match several.ends {
            None => Box::new(move |result| collector.collect(result, &subject)),
            Some(ends) => {
                let mut gatherer = Gatherer::new(collector, ends);
                Box::new(move |result| gatherer.collect(result, &subject))
            }
        };
        let sent = link.request_many_as(out, several.how(timeout), move |result| {
            let ControlFlow::Break(end) = collect(result) else {
                return ControlFlow::Continue(());
            };
            if let Some(complete) = complete.take() {
                complete(end);
            }
            ControlFlow::Break(())
        })?;
        let (this, cancel) = (self.this()?, link.canceller(sent));
        pending.or_cancel(cancel).wait(interp, move |_, end| {
            this.delivery.requests.add_dropped(replies.counts().dropped);
            end?;
            let (mut list, sub_id) = (List::new(), Obj::int(sub_id));
            for message in replies.take_all() {
                let subject = Obj::from_encoded(message.subject());
                list.push(&this.delivery.format.dict(&message, &subject, &sub_id));
            }
            Ok(list.into())
        })
    }

    fn collector(&self, sub_id: i64, subject: &str, limits: Limits, max_replies: u64) -> Collector {
        let slow = SlowConsumer {
            request: true,
            sub_id,
            subject: subject.to_owned(),
            overflow: Limits::default().overflow,
        };
        let backlog = Arc::new(Backlog::new(sub_id, limits));
        Collector { backlog, slow: self.slow_reporter(slow), left: max_replies }
    }
}

pub const METHODS: &[Method] = &[
    Method { name: "cancel_request", usage: "reqID", min: 1, max: 1, body: cancel_request },
    Method { name: "request", usage: "subject message ?arg ...?", min: 2, max: ANY, body: request },
    Method { name: "request_msg", usage: "msg ?arg ...?", min: 1, max: ANY, body: request_msg },
];
