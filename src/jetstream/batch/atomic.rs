//! Atomic batches (ADR-50): nothing is stored before the commit, and then all of it.
//!
//! The first message is waited for: it tells whether the stream takes batches. What is wrong with a
//! later one is heard by the next call.

use crate::error::{Error, Kind, Result as Outcome};
use crate::jetstream::context::JetStream;
use crate::jetstream::publish::ack;
use crate::json;
use crate::lock::lock;
use crate::tcl::{Interp, Obj, Result, Return};
use crate::transport::{Headers, How, Outgoing, RequestResult, Subject, new_inbox};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

pub struct Atomic {
    id: String,
    count: Cell<u64>,
    subject: RefCell<Option<Subject>>,
    over: Cell<bool>,
    /// What the stream has against it.
    refused: Arc<Mutex<Option<Error>>>,
}

/// What a stream says of a message that is none of its last ones: nothing, if it is content.
pub fn taken(subject: &str, reply: RequestResult) -> Outcome<()> {
    ack::with_body(subject, reply, |body| {
        if body.is_empty() {
            return Ok(());
        }
        ack::read(body)?;
        let text = "The message was stored by itself: the server knows nothing of batches";
        Err(Error::new(Kind::NotSupported, text))
    })
}

/// The acknowledgement of a whole batch, if it is that.
fn whole(ack: Value, id: &str, count: u64) -> Outcome<Value> {
    let (batch, stored) = (ack.get("batch").and_then(Value::as_str), ack.get("count"));
    let stored = stored.and_then(Value::as_u64);
    if batch == Some(id) && stored == Some(count) {
        return Ok(ack);
    }
    let stored = stored.unwrap_or(0);
    let text =
        format!("{stored} of {count} messages were stored, of the batch {}", batch.unwrap_or(""));
    Err(Error { api: Some((stored, count)), ..Error::new(Kind::BatchIncomplete, text) })
}

/// What the server says to the commit of a batch that it does not have, or not all of it.
pub const INCOMPLETE: (u64, u64) = (400, 10176);

/// Says why a batch is unknown to the server.
fn explained(error: Error) -> Error {
    match error.api {
        Some(INCOMPLETE) => {
            let text = format!(
                "{}: a message was lost, or nothing was added for longer than the server waits (10 s)",
                error.message
            );
            error.with_message(text)
        }
        _ => error,
    }
}

/// A name that no other batch has: the random part of an inbox.
pub fn new_id() -> String {
    new_inbox("").trim_start_matches('.').to_owned()
}

/// Makes a message the one of this number in a batch.
pub fn mark(headers: &mut Headers, id: &str, seq: u64) {
    headers.set("Nats-Batch-Id", id);
    headers.set("Nats-Batch-Sequence", seq.to_string());
}

/// Has a batch stored with this message, the last of it, or with those before it.
pub fn commit(headers: &mut Headers, stored: bool) {
    headers.set("Nats-Batch-Commit", if stored { "1" } else { "eob" });
}

/// Reads the reply to a commit: the acknowledgement of so many messages.
///
/// # Errors
/// What the stream has against the batch, of which nothing is stored then; `ErrBatchIncomplete`.
pub fn committed(asked: &str, reply: RequestResult, id: &str, count: u64) -> Outcome<Value> {
    let ack = ack::with_body(asked, reply, |body| {
        let ack = serde_json::from_slice(body).map_err(|_| ack::invalid())?;
        whole(ack::whole(ack)?, id, count)
    });
    ack.map_err(explained)
}

impl Atomic {
    pub fn new() -> Atomic {
        Atomic {
            id: new_id(),
            count: Cell::new(0),
            subject: RefCell::default(),
            over: Cell::new(false),
            refused: Arc::default(),
        }
    }

    pub fn count(&self) -> u64 {
        self.count.get()
    }

    pub fn check_open(&self) -> Outcome<()> {
        match &*lock(&self.refused) {
            Some(error) => Err(error.clone()),
            None if self.over.get() => Err(Error::invalid("The batch is over")),
            None => Ok(()),
        }
    }

    pub fn close(&self) {
        self.over.set(true);
    }

    /// Adds a message; what comes out is how many there are.
    pub fn add(
        self: &Rc<Self>,
        js: &Rc<JetStream>,
        interp: Interp<'_>,
        mut out: Outgoing,
    ) -> Result<Return> {
        let link = js.connection.link()?;
        let seq = self.count.get() + 1;
        mark(&mut out.headers, &self.id, seq);
        let subject = out.subject.clone();
        let how = How { timeout: js.timeout(), ..How::default() };
        let refused = self.refused.clone();
        let asked = subject.clone();
        let hear = move |reply: RequestResult| {
            let outcome = taken(&asked, reply).map_err(explained);
            // What was not heard the commit will tell, whose messages have to follow each other.
            let refusal =
                outcome.as_ref().err().filter(|error| seq == 1 || error.kind != Kind::Timeout);
            if let Some(error) = refusal {
                lock(&refused).get_or_insert_with(|| error.clone());
            }
            outcome
        };
        if seq > 1 {
            link.request_as(out, how, move |reply| drop(hear(reply)))?;
            self.added(seq, subject);
            return Ok(Obj::uint(seq).into());
        }
        js.request(
            interp,
            &link,
            |promise| {
                let sent = link.request_as(out, how, move |reply| promise.complete(hear(reply)))?;
                self.added(seq, subject);
                Ok(sent)
            },
            move |_, outcome| {
                outcome?;
                Ok(Obj::uint(seq).into())
            },
        )
    }

    fn added(&self, seq: u64, subject: Subject) {
        self.count.set(seq);
        *self.subject.borrow_mut() = Some(subject);
    }

    /// Has all of it stored, with a last message or without.
    pub fn commit(
        &self,
        js: &Rc<JetStream>,
        interp: Interp<'_>,
        last: Option<Outgoing>,
    ) -> Result<Return> {
        let link = js.connection.link()?;
        let (seq, stored) = (self.count.get() + 1, last.is_some());
        let subject = self.subject.borrow().clone();
        let out = last.or_else(|| Some(Outgoing::new(subject?, "")));
        let mut out = out.ok_or_else(|| Error::invalid("There is nothing to commit"))?;
        mark(&mut out.headers, &self.id, seq);
        commit(&mut out.headers, stored);
        let count = if stored { seq } else { seq - 1 };
        let (id, asked) = (self.id.clone(), out.subject.clone());
        let refused = self.refused.clone();
        let how = How { timeout: js.timeout(), ..How::default() };
        js.request(
            interp,
            &link,
            |promise| {
                let sent = link.request_as(out, how, move |reply| {
                    let ack = committed(&asked, reply, &id, count);
                    // What was refused meanwhile is why the server does not know the batch any more.
                    let why = |error| lock(&refused).clone().unwrap_or(error);
                    promise.complete(ack.map_err(why));
                })?;
                self.count.set(count);
                self.close();
                Ok(sent)
            },
            |_, ack| Ok(json::to_obj(&ack?).into()),
        )
    }
}
