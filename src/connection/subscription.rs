//! `subscribe` and `unsubscribe`.

use super::backlog::{Backlog, Limits, Overflow};
use super::delivery::{Inlet, Subscriber};
use super::{Connection, Notice};
use crate::error::{Error, Kind};
use crate::options::{self, Options, Type};
use crate::subject;
use crate::tcl::{Call, Obj, Reply, Result};
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
    ("pending_msgs", Type::PosInt),
    ("pending_bytes", Type::PosInt),
    ("overflow", Type::Enum(Overflow::WORDS)),
];

pub fn subscribe(call: &Call<'_>) -> Result<Reply> {
    let this = call.data::<Connection>()?;
    this.check_open()?;
    if this.draining.get() {
        let text = "The connection is draining";
        return Err(Error::new(Kind::ConnectionDraining, text).into());
    }
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
    let link = this.link()?;
    this.delivery.add(subscriber.clone());
    let inlet = Inlet {
        backlog: subscriber.backlog.clone(),
        feed: this.items.clone(),
        slow: this.slow_reporter(),
    };
    let (queue, limit) = (subscriber.queue.as_deref(), subscriber.limit.get());
    match link.subscribe(&subscriber.subject, queue, limit, Box::new(inlet)) {
        Ok(id) => subscriber.link_id.set(Some(id)),
        Err(error) => {
            this.delivery.remove(subscriber.id);
            return Err(error.into());
        }
    }
    Ok(Obj::int(subscriber.id).into())
}

impl Connection {
    fn new_subscriber(
        &self,
        subject: String,
        queue: Option<String>,
        callback: Vec<Obj>,
        given: &Options,
    ) -> Rc<Subscriber> {
        let id = self.next_sub_id();
        let count = |name: &str, default: usize| match given.int(name) {
            Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
            None => default,
        };
        let usual = Limits::default();
        let limits = Limits {
            messages: count("pending_msgs", usual.messages),
            bytes: count("pending_bytes", usual.bytes),
            overflow: given
                .string("overflow")
                .and_then(|word| Overflow::of(&word))
                .unwrap_or(usual.overflow),
        };
        let batch = given.flag("batch");
        let limit = given.int("max_msgs").and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        Rc::new(Subscriber {
            id,
            subject_word: RefCell::new(Obj::new(&subject)),
            subject,
            queue,
            backlog: Arc::new(Backlog::new(id, limits, batch)),
            link_id: Cell::new(None),
            callback,
            dictmsg: given.get("dictmsg").map_or_else(|| self.dictmsg(), |_| given.flag("dictmsg")),
            batch,
            direct: given.get("post").is_some() && !given.flag("post"),
            limit: Cell::new(limit),
            delivered: Cell::new(0),
            active: Cell::new(true),
            ended: Cell::new(false),
            id_word: Obj::int(id),
            words: Cell::default(),
        })
    }

    /// Tells this thread that a subscription is at its limit.
    fn slow_reporter(&self) -> Box<dyn Fn(i64) + Send> {
        let notices = self.open.borrow().as_ref().map(|open| open.notices.clone());
        Box::new(move |id| {
            if let Some(notices) = &notices {
                notices.send(Notice::Slow(id));
            }
        })
    }

    /// A subscription has reached its limit and lost a message.
    pub(super) fn slow(&self, id: i64) {
        let Some(subscriber) = self.delivery.active(id) else { return };
        let text = format!(
            "Slow consumer: subscription {id} on {} is at its limit, {}",
            subscriber.subject,
            subscriber.backlog.what_happens()
        );
        if subscriber.backlog.ends_at_limit() {
            self.end_subscription(&subscriber);
        }
        let error = Error::new(Kind::SlowConsumer, text);
        let fields = [("sub_id", id.to_string()), ("subject", subscriber.subject.clone())];
        let fields = fields.each_ref().map(|(key, value)| (*key, value.as_str()));
        self.events.tell("slow_consumer", &fields, Some(&error));
        self.set_last_error(Some(error));
    }

    /// Ends a subscription now; what has arrived is still delivered.
    pub(super) fn end_subscription(&self, subscriber: &Subscriber) {
        subscriber.active.set(false);
        if let (Some(link_id), Ok(link)) = (subscriber.link_id.get(), self.link()) {
            link.unsubscribe(link_id, None);
        }
    }
}

pub fn unsubscribe(call: &Call<'_>) -> Result<Reply> {
    let this = call.data::<Connection>()?;
    this.check_open()?;
    const OPTIONS: &[options::Spec] = &[("max_msgs", Type::PosInt)];
    let word = call.arg(0)?;
    let given = options::parse(call.interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    let known = options::integer(word).and_then(|id| this.delivery.active(id));
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
    Ok(Reply::Empty)
}
