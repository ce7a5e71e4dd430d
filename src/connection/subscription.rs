//! `subscribe`, `unsubscribe` and `inbox`.

use super::Connection;
use super::arrival::{SubscriptionSink, Wanted};
use super::backlog::Backlog;
use super::limits::{LIMIT_OPTIONS, Limits, Overflow, SlowConsumer};
use super::subscriber::{Handler, Shape, Subscriber};
use crate::bridge::LanePlace;
use crate::error::{Error, Kind};
use crate::options::{self, Options, Type};
use crate::subject;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Prefix, Result, Return};
use crate::transport::{PackedMessage, new_inbox};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

const OPTIONS: &[options::Spec] = &[
    ("callback", Type::ValidStr),
    ("queue", Type::ValidStr),
    ("dictmsg", Type::Bool),
    ("max_msgs", Type::PosInt),
    ("post", Type::Bool),
    ("batch", Type::Bool),
    LIMIT_OPTIONS[0],
    LIMIT_OPTIONS[1],
    ("overflow", Type::Enum(Overflow::WORDS)),
];

fn subscribe(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    this.check_subscribable()?;
    let subject = call.arg(0)?.string();
    let given = options::parse(call.interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    if this.checks_subjects() {
        subject::check_subscribe(&subject)?;
    }
    let queue = given.string("queue");
    if let Some(queue) = queue.as_deref().filter(|_| this.checks_subjects()) {
        subject::check_queue(queue)?;
    }
    let callback = match given.get("callback") {
        Some(callback) => callback.elements(call.interp)?,
        None => Vec::new(),
    };
    let subscriber = this.new_subscriber(subject, queue, callback, &given);
    Ok(Obj::int(this.subscribe_as(Rc::new(subscriber), None)?).into())
}

impl Connection {
    /// Subscribes for a callback that gets what `shape` makes of the messages whose subject is wanted;
    /// those of which it makes nothing are none. The subscription is one as others.
    pub fn subscribe_shaped(
        &self,
        interp: Interp<'_>,
        subject: String,
        callback: Vec<Obj>,
        wanted: Wanted,
        shape: Shape,
    ) -> Result<i64> {
        self.check_subscribable()?;
        let given = options::parse(interp, OPTIONS, &[])?;
        let subscriber = self.new_subscriber(subject, None, callback, &given);
        let handler: Handler = Box::new(move |interp, subscriber, message| {
            if let Some(shown) = shape(message) {
                subscriber.callback.call(interp, [shown]);
            }
        });
        let handler = Some(handler);
        self.subscribe_as(Rc::new(Subscriber { handler, ..subscriber }), Some(wanted))
    }

    /// Subscribes for a handler, which gets the messages in the place of the callback. The subscription is
    /// one as others.
    pub fn subscribe_handled(
        &self,
        interp: Interp<'_>,
        subject: String,
        queue: Option<String>,
        callback: Vec<Obj>,
        handler: Handler,
    ) -> Result<i64> {
        let given = options::parse(interp, OPTIONS, &[])?;
        let subscriber = self.new_subscriber(subject, queue, callback, &given);
        self.subscribe_as(Rc::new(Subscriber { handler: Some(handler), ..subscriber }), None)
    }

    /// # Errors
    /// `ErrConnectionClosed`, `ErrConnectionDraining`.
    pub fn check_subscribable(&self) -> Result<()> {
        self.check_open()?;
        if self.drains.of_connection() {
            let text = "The connection is draining";
            return Err(Error::new(Kind::ConnectionDraining, text).into());
        }
        Ok(())
    }

    fn subscribe_as(&self, subscriber: Rc<Subscriber>, wanted: Option<Wanted>) -> Result<i64> {
        let link = self.link()?;
        self.delivery.subscribers.add(subscriber.clone());
        let sink = SubscriptionSink {
            backlog: subscriber.backlog.clone(),
            arrivals: self.arrivals.clone(),
            slow: self.slow_reporter(SlowConsumer {
                request: false,
                sub_id: subscriber.id,
                subject: subscriber.subject.clone(),
                overflow: subscriber.backlog.overflow(),
            }),
            wanted,
        };
        let (queue, limit) = (subscriber.queue.as_deref(), subscriber.limit.get());
        match link.subscribe(&subscriber.subject, queue, limit, Box::new(sink)) {
            Ok(id) => subscriber.link_id.set(Some(id)),
            Err(error) => {
                self.delivery.subscribers.remove(subscriber.id);
                return Err(error.into());
            }
        }
        Ok(subscriber.id)
    }

    /// Whether a subscription of this number has not ended.
    pub fn has_subscription(&self, id: i64) -> bool {
        self.delivery.subscribers.active(id).is_some()
    }

    /// Takes out what waits for the handler of a subscription: it will not get it.
    pub fn take_waiting(&self, id: i64) -> Vec<PackedMessage> {
        let Some(subscriber) = self.delivery.subscribers.active(id) else { return Vec::new() };
        subscriber.backlog.take_all().into_iter().collect()
    }

    /// Ends the subscription of this number, if there is one.
    pub fn end_subscription_of(&self, id: i64) {
        if let Some(subscriber) = self.delivery.subscribers.active(id) {
            self.end_subscription(&subscriber);
        }
    }

    fn new_subscriber(
        &self,
        subject: String,
        queue: Option<String>,
        callback: Vec<Obj>,
        given: &Options,
    ) -> Subscriber {
        let id = self.delivery.subscribers.next_id();
        let batch = given.flag("batch");
        let limit = given.int("max_msgs").and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        Subscriber {
            id,
            subject_word: RefCell::new(Obj::new(&subject)),
            subject,
            queue,
            backlog: Arc::new(Backlog::new(id, Limits::of(given))),
            link_id: Cell::new(None),
            callback: Prefix::new(callback),
            dictmsg: given.get("dictmsg").map_or_else(|| self.dictmsg(), |_| given.flag("dictmsg")),
            batch,
            direct: given.get("post").is_some() && !given.flag("post"),
            limit: Cell::new(limit),
            delivered: Cell::new(0),
            active: Cell::new(true),
            ended: Cell::new(false),
            id_word: Obj::int(id),
            lane: LanePlace::new(),
            handler: None,
        }
    }

    /// Ends a subscription now; what has arrived is still delivered.
    pub(super) fn end_subscription(&self, subscriber: &Subscriber) {
        subscriber.active.set(false);
        if let (Some(link_id), Ok(link)) = (subscriber.link_id.get(), self.link()) {
            link.unsubscribe(link_id, None);
        }
    }
}

fn unsubscribe(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    this.check_open()?;
    const OPTIONS: &[options::Spec] = &[("max_msgs", Type::PosInt)];
    let word = call.arg(0)?;
    let given = options::parse(call.interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    let known = options::integer(word).and_then(|id| this.delivery.subscribers.active(id));
    let Some(subscriber) = known else {
        let text = format!("Invalid subscription ID {}", word.text());
        return Err(Error::new(Kind::BadSubscription, text).into());
    };
    let max = given.int("max_msgs").and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
    match max {
        Some(max) if max > subscriber.delivered.get() => {
            subscriber.limit.set(Some(max));
            if let Some(link_id) = subscriber.link_id.get() {
                this.link()?.unsubscribe(link_id, Some(max));
            }
        }
        _ => this.end_subscription(&subscriber),
    }
    Ok(Return::Empty)
}

fn inbox(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    Ok(Obj::new(&new_inbox(&this.config.borrow().inbox_prefix)).into())
}

pub const METHODS: &[Method] = &[
    Method { name: "inbox", usage: "", min: 0, max: 0, body: inbox },
    Method { name: "subscribe", usage: "subject ?arg ...?", min: 1, max: ANY, body: subscribe },
    Method { name: "unsubscribe", usage: "subID ?arg ...?", min: 1, max: ANY, body: unsubscribe },
];
