//! An endpoint: its subscription, and how a request gets to the callback.

use super::common::{Common, Place, error_headers, one_line};
use super::counters::Counters;
use super::desk::{self, Time};
use super::object::Service;
use crate::connection::{Connection, Handler, Subscriber};
use crate::tcl::{Interp, Obj, Result};
use crate::transport::{Outgoing, PackedMessage};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::rc::{Rc, Weak};

pub struct Endpoint {
    pub common: Rc<Common>,
    service: Weak<Service>,
    pub name: String,
    name_word: Obj,
    pub subject: String,
    pub queue: Option<String>,
    metadata: Map<String, Value>,
    callback: Vec<Obj>,
    pub counters: Counters,
    /// The number of its subscription, while there is one.
    pub subscription: Cell<Option<i64>>,
}

/// What the program wants.
pub struct Wanted {
    pub name: String,
    pub subject: String,
    pub queue: Option<String>,
    pub metadata: Map<String, Value>,
    pub callback: Vec<Obj>,
}

impl Endpoint {
    pub fn new(service: &Rc<Service>, wanted: Wanted) -> Rc<Endpoint> {
        let Wanted { name, subject, queue, metadata, callback } = wanted;
        Rc::new(Endpoint {
            common: service.common.clone(),
            service: Rc::downgrade(service),
            name_word: Obj::new(&name),
            name,
            subject,
            queue,
            metadata,
            callback,
            counters: Counters::default(),
            subscription: Cell::new(None),
        })
    }

    /// # Errors
    /// `ErrConnectionClosed`.
    pub fn subscribe(self: &Rc<Self>, interp: Interp<'_>, connection: &Connection) -> Result<()> {
        let this = self.clone();
        let handler: Handler =
            Box::new(move |interp, subscriber, message| this.request(interp, subscriber, message));
        let (subject, queue) = (self.subject.clone(), self.queue.clone());
        let callback = self.callback.clone();
        let id = connection.subscribe_handled(interp, subject, queue, callback, handler)?;
        self.subscription.set(Some(id));
        Ok(())
    }

    fn request(
        self: &Rc<Self>,
        interp: Interp<'_>,
        subscriber: &Subscriber,
        message: &PackedMessage,
    ) {
        let Ok(connection) = self.common.connection() else { return };
        let reply = String::from_utf8_lossy(message.reply().unwrap_or_default()).into_owned();
        if self.common.ended.get() {
            if let (Ok(link), false) = (connection.link(), reply.is_empty()) {
                self.common.refuse(&link, &reply);
            }
            return;
        }
        let number = desk::take(self, reply);
        let subject = subscriber.subject_of(message);
        let number_word = Obj::int(number);
        let format = connection.format();
        let request =
            format.request(message, &subject, &subscriber.id_word, &self.name_word, &number_word);
        drop(connection);
        subscriber.callback.call_or(interp, [request], |interp, text, options| {
            self.failed(interp, number, &text, &options)
        });
        if let Some(time) = desk::returned(number) {
            self.counters.request(time);
        }
        self.finished();
    }

    /// The callback has thrown: whoever asked is told, and so is the program.
    fn failed(&self, interp: Interp<'_>, number: i64, text: &Obj, options: &Obj) -> bool {
        const CODE: &str = "500";
        let description = one_line(&text.text());
        if let Some((_, reply)) = desk::find(number) {
            if !reply.is_empty() {
                let mut out = Outgoing::new(reply, "");
                out.headers = error_headers(CODE, &description);
                // Without a connection nobody can be told.
                let _ = self.common.connection().and_then(|connection| connection.send(out));
            }
            self.answered(number);
        }
        self.counters.error(CODE, &description);
        let place = Place { endpoint: &self.name, subject: &self.subject };
        self.common.tell(interp, &place, text, options)
    }

    /// A request of this endpoint was answered.
    pub fn answered(&self, number: i64) {
        match desk::answered(number) {
            Some(Time::First(time)) => self.counters.request(time),
            Some(Time::More(time)) => self.counters.more_time(time),
            None => {}
        }
        self.finished();
    }

    /// One less is in hand, perhaps.
    fn finished(&self) {
        if let Some(service) = self.service.upgrade() {
            service.look_for_end();
        }
    }

    pub fn is_of(&self, common: &Rc<Common>) -> bool {
        Rc::ptr_eq(&self.common, common)
    }

    pub fn info(&self) -> Value {
        json!({
            "name": self.name,
            "subject": self.subject,
            "queue_group": self.queue.as_deref().unwrap_or_default(),
            "metadata": self.metadata,
        })
    }

    pub fn stats(&self) -> Map<String, Value> {
        let counts = self.counters.counts();
        let mut stats = Map::new();
        stats.insert("name".into(), self.name.clone().into());
        stats.insert("subject".into(), self.subject.clone().into());
        stats.insert("queue_group".into(), self.queue.clone().unwrap_or_default().into());
        stats.insert("num_requests".into(), counts.requests.into());
        stats.insert("num_errors".into(), counts.errors.into());
        stats.insert("last_error".into(), counts.last_error.into());
        stats.insert("processing_time".into(), counts.time.into());
        stats.insert("average_processing_time".into(), counts.average.into());
        stats
    }
}
