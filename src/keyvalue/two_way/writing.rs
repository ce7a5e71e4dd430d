//! The way of a bound array's changes to the bucket.

use super::feed::Event;
use super::form::{self, Value};
use super::key::Write;
use super::object::Binding;
use crate::error::{Error, Kind};
use crate::jetstream::api::{reply, request_error};
use crate::keyvalue::lifetime;
use crate::keyvalue::store::{self, Store};
use crate::tcl::{Failure, Interp, Obj, Result};
use crate::transport::{Headers, How, Outgoing};
use std::rc::Rc;
use std::time::Duration;

/// How long to wait when too much waits to be sent already.
const PAUSE: Duration = Duration::from_millis(20);

/// What the headers of a write have at most, and more.
const HEADERS: usize = 1024;

/// How long to wait with a write or a question that nobody has answered.
const REST: Duration = Duration::from_millis(250);

impl Binding {
    /// Lets what has changed be sent: in a later turn of the event loop, or when the delay is over.
    pub fn schedule(&self) {
        let Some(running) = self.running.get() else { return };
        if self.due.replace(true) {
            return;
        }
        match self.settings.delay {
            Duration::ZERO => running.sender.send(Event::Due),
            delay => self.later(delay),
        }
    }

    fn later(&self, delay: Duration) {
        let Some(running) = self.running.get() else { return };
        let sender = running.sender.clone();
        match self.kv.js.connection.link() {
            Ok(link) => drop(link.spawn(async move {
                tokio::time::sleep(delay).await;
                sender.send(Event::Due);
            })),
            // All is sent when there is a connection.
            Err(_) => self.due.set(false),
        }
    }

    /// Sends what can be sent now.
    pub fn pump(&self, interp: Interp<'_>) {
        if self.due.get() && !self.settings.delay.is_zero() {
            return;
        }
        self.send_all(interp);
    }

    pub fn send_all(&self, interp: Interp<'_>) {
        self.heard.take();
        loop {
            let next = self.table.borrow_mut().take_write();
            let Some((key, write)) = next else { return };
            let id = write.id;
            let Err(error) = self.send(interp, &key, write) else { continue };
            let mut table = self.table.borrow_mut();
            match error.kind {
                Kind::OutboundFull => {
                    table.put_back(id);
                    drop(table);
                    return self.pause();
                }
                Kind::ConnectionClosed => {
                    table.put_back(id);
                    return table.set_online(false);
                }
                _ => {
                    let mut out = Vec::new();
                    table.failed(id, error, &mut out);
                    drop(table);
                    self.apply(interp, out);
                }
            }
        }
    }

    fn pause(&self) {
        if !self.due.replace(true) {
            self.later(PAUSE);
        }
    }

    fn send(&self, interp: Interp<'_>, key: &str, write: Write<Value>) -> crate::error::Result<()> {
        let Some(running) = self.running.get() else { return Ok(()) };
        // Nothing else is closed by the way.
        self.kv.js.connection.link()?;
        let headers = self.headers(&write);
        let nothing = Value(Obj::empty());
        let value = write.value.as_ref().unwrap_or(&nothing);
        let prepared = interp.aside(|| {
            let prepared = self.kv.writing(key, headers, &value.0);
            prepared.map_err(|failure| described(interp, failure))
        });
        let (store, out) = prepared?;
        let (sender, id, epoch) = (running.sender.clone(), write.id, self.table.borrow().epoch());
        store.write(out, move |outcome| sender.send(Event::Written { id, epoch, outcome }))?;
        Ok(())
    }

    fn headers(&self, write: &Write<Value>) -> Headers {
        let mut headers = match &write.value {
            Some(_) => Headers::new(),
            None => store::deleting(),
        };
        headers = store::expecting(write.expected, headers);
        if let Some(lifetime) = self.settings.lifetime.filter(|_| write.value.is_some()) {
            lifetime.add_to(&mut headers);
            lifetime::roll_up(&mut headers);
        }
        self.writer.sign(&mut headers, write.id);
        headers
    }

    /// That the server will take a value of this size.
    pub fn check_size(&self, key: &str, value: &Value) -> Result<()> {
        let size = form::size_of(&self.kv, value)?;
        let payload =
            self.kv.js.connection.server_info().map_or(usize::MAX, |info| info.max_payload);
        let limit = self.max_message.get().unwrap_or(usize::MAX).min(payload);
        if size.saturating_add(HEADERS) <= limit {
            return Ok(());
        }
        let table = self.table.borrow();
        let expected = table.get(key).map_or(0, |state| state.revision());
        let write = Write { id: table.last_write() + 1, value: Some(value.clone()), expected };
        let field = |(name, value): (&str, &str)| name.len() + value.len() + 4;
        let headers: usize = self.headers(&write).iter().map(field).sum();
        let limit = limit.saturating_sub("NATS/1.0\r\n\r\n".len() + headers);
        match size <= limit {
            true => Ok(()),
            false => {
                self.ask_limit();
                let text = format!("Maximum size of a value of this key is {limit}");
                Err(Error::new(Kind::MaxPayload, text).into())
            }
        }
    }

    /// The bucket may have another limit by now: then the next one of this size is taken.
    fn ask_limit(&self) {
        let Some(running) = self.running.get() else { return };
        let Ok(store) = self.kv.store() else { return };
        let sender = running.sender.clone();
        drop(store.link.clone().spawn(async move {
            if let Ok(limit) = max_message(&store).await {
                sender.send(Event::Limit(limit));
            }
        }));
    }

    /// A write that nobody has answered: sent again, but not in a hurry. Without a link all is, when
    /// there is one.
    pub fn send_again(&self, id: u64) {
        let Some(running) = self.running.get() else { return };
        let Ok(link) = self.kv.js.connection.link() else { return };
        let sender = running.sender.clone();
        drop(link.spawn(async move {
            tokio::time::sleep(REST).await;
            sender.send(Event::Again(id));
        }));
    }

    // ---------------------------------------------------------------------------------- questions

    /// Reads a key where it is written, which the user may not be allowed to.
    pub fn ask(&self, key: &str, id: u64, pause: Duration) {
        let Some(running) = self.running.get() else { return };
        // Otherwise it is asked when there is a connection.
        let Ok(store) = self.kv.store() else { return };
        let (sender, epoch) = (running.sender.clone(), self.table.borrow().epoch());
        let (link, key) = (store.link.clone(), key.to_owned());
        drop(link.spawn(async move {
            tokio::time::sleep(pause).await;
            let outcome = store.reading_written(&key).await;
            sender.send(Event::Read { id, epoch, outcome });
        }));
    }

    /// Asks again what has no answer: this one, or all.
    pub fn ask_again(&self, only: Option<u64>) {
        let questions: Vec<(Rc<str>, u64)> = {
            let table = self.table.borrow();
            match table.is_online() {
                true => table.questions(),
                false => return,
            }
        };
        for (key, id) in questions {
            if only.is_none_or(|only| only == id) {
                self.ask(&key, id, if only.is_some() { REST } else { Duration::ZERO });
            }
        }
    }
}

/// What a message of the stream may have, if there is a limit.
pub async fn max_message(store: &Store) -> crate::error::Result<Option<usize>> {
    let question = &store.bucket.write_info;
    let how = How { timeout: store.timeout, quiet: true, ..How::default() };
    let reply = store.link.ask_as(Outgoing::new(question.clone(), ""), how).await;
    let reply = reply.map_err(|error| request_error(question, error))?;
    let info = reply::parse(reply.payload())?;
    let limit = info.get("config").and_then(|config| config.get("max_msg_size")?.as_i64());
    Ok(limit.and_then(|limit| usize::try_from(limit).ok()))
}

/// Why a message could not be made.
fn described(interp: Interp<'_>, failure: Failure) -> Error {
    let Failure::Error(error) = failure else {
        return Error::invalid(interp.result().string());
    };
    let kind = match error.code.last().map(AsRef::as_ref) {
        Some("ErrMaxPayload") => Kind::MaxPayload,
        Some("ErrReadOnly") => Kind::ReadOnly,
        Some("ErrHeadersNotSupported") => Kind::HeadersNotSupported,
        Some("ErrConnectionClosed") => Kind::ConnectionClosed,
        _ => Kind::InvalidArg,
    };
    Error::new(kind, error.message)
}
