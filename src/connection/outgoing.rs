//! The one way of messages out: payload, size, headers, subject. What is wrong first is the error.

use super::Connection;
use crate::error::{Error, Kind};
use crate::message::header;
use crate::subject;
use crate::tcl::{Interp, Obj, Result};
use crate::transport::{Block, Headers, Outgoing, Subject};
use bytes::Bytes;
use std::borrow::Cow;
use std::cell::RefCell;

/// A message as a command got it.
pub struct MessageArgs<'a> {
    pub subject: &'a Obj,
    pub data: &'a Obj,
    pub reply: Option<Cow<'a, str>>,
    pub header: Option<Obj>,
    /// Headers that replace those of the message with the same name.
    pub set: Vec<(&'static str, String)>,
    pub check_subject: bool,
}

impl<'a> MessageArgs<'a> {
    pub fn new(subject: &'a Obj, data: &'a Obj) -> MessageArgs<'a> {
        let set = Vec::new();
        MessageArgs { subject, data, reply: None, header: None, set, check_subject: true }
    }
}

/// What is kept from one message to the next.
#[derive(Default)]
pub struct OutgoingMemory {
    /// Payloads are cut from it.
    block: RefCell<Block>,
    /// Programs publish to the same subject again and again.
    last_subject: RefCell<Option<Subject>>,
}

impl OutgoingMemory {
    fn subject(&self, subject: &str) -> Subject {
        let bytes = self.block.borrow_mut().copy(subject.as_bytes());
        Subject::from_utf8(bytes).unwrap_or_else(|_| Subject::from(subject))
    }
}

impl Connection {
    /// Checks a message of the program and makes it ready to be sent.
    pub fn outgoing(&self, interp: Interp<'_>, args: MessageArgs<'_>) -> Result<Outgoing> {
        let payload = self.payload(args.data)?;
        let mut headers = match args.header.filter(|header| !header.is_empty()) {
            None => Headers::new(),
            Some(header) => {
                self.check_headers()?;
                header::from_dict(interp, &header)?
            }
        };
        if !args.set.is_empty() {
            self.check_headers()?;
            for (name, value) in args.set {
                headers.set(name, value);
            }
        }
        let check = args.check_subject && self.checks_subjects();
        let subject = match check {
            true => self.checked_subject(args.subject)?,
            false => Subject::from(&*args.subject.text()),
        };
        if let Some(reply) = args.reply.as_ref().filter(|_| check) {
            subject::check_reply(reply)?;
        }
        let reply = args.reply.map(|reply| Subject::from(&*reply));
        Ok(Outgoing { subject, reply, headers, payload, refusable: true })
    }

    /// A write to a stream: the subject is ours, and so are the headers.
    pub fn outgoing_to(&self, subject: &str, headers: Headers, data: &Obj) -> Result<Outgoing> {
        let payload = self.payload(data)?;
        if !headers.is_empty() {
            self.check_headers()?;
        }
        subject::check_literal(subject)?;
        let subject = self.outgoing_memory.subject(subject);
        Ok(Outgoing { subject, reply: None, headers, payload, refusable: true })
    }

    /// What is said to the reply subject of a message of the program: an acknowledgement. It is not
    /// refused for lack of room: there are no more of them than messages came.
    pub fn outgoing_answer(
        &self,
        interp: Interp<'_>,
        message: &Obj,
        payload: Bytes,
    ) -> Result<Outgoing> {
        let reply = self.delivery.format.reply_of(interp, message)?;
        self.check_open()?;
        let reply = &*reply.text();
        subject::check_literal(reply)?;
        Ok(Outgoing::new(self.outgoing_memory.subject(reply), payload))
    }

    /// Queues a message.
    ///
    /// # Errors
    /// As [`Link::publish`](crate::transport::Link::publish).
    pub fn send(&self, out: Outgoing) -> crate::error::Result<()> {
        self.links.with(|link| link.publish(out))?
    }

    /// As it goes over the wire, if the server takes it, as far as its INFO is known.
    fn payload(&self, data: &Obj) -> crate::error::Result<Bytes> {
        let limit =
            self.variables.server_info().as_ref().map_or(usize::MAX, |info| info.max_payload);
        let block = &mut *self.outgoing_memory.block.borrow_mut();
        data.with_payload(self.delivery.format.utf8(), |bytes| {
            if bytes.len() > limit {
                return Err(Error::too_large(limit));
            }
            Ok(block.copy(bytes))
        })
    }

    fn checked_subject(&self, subject: &Obj) -> crate::error::Result<Subject> {
        let mut last = self.outgoing_memory.last_subject.borrow_mut();
        let bytes = subject.tcl_bytes();
        if let Some(last) = last.as_ref().filter(|last| last.as_str().as_bytes() == bytes) {
            return Ok(last.clone());
        }
        let subject = &*subject.text();
        subject::check_publish(subject)?;
        Ok(last.insert(self.outgoing_memory.subject(subject)).clone())
    }

    fn check_headers(&self) -> crate::error::Result<()> {
        match self.variables.server_info().as_ref() {
            Some(info) if !info.headers => {
                let text = "Headers are not supported by this server";
                Err(Error::new(Kind::HeadersNotSupported, text))
            }
            _ => Ok(()),
        }
    }
}
