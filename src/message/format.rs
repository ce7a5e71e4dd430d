//! Payloads and message dicts.

use super::header;
use crate::error::{Error, Kind};
use crate::tcl::{Interp, Obj, Result};
use crate::transport::PackedMessage;
use std::cell::Cell;

/// How a connection shows messages to the program. The key names of their dicts are made once.
pub struct MessageFormat {
    header: Obj,
    data: Obj,
    subject: Obj,
    reply: Obj,
    sub_id: Obj,
    seq: Obj,
    time: Obj,
    endpoint: Obj,
    request: Obj,
    empty: Obj,
    utf8: Cell<bool>,
}

impl MessageFormat {
    pub fn new() -> MessageFormat {
        MessageFormat {
            header: Obj::new("header"),
            data: Obj::new("data"),
            subject: Obj::new("subject"),
            reply: Obj::new("reply"),
            sub_id: Obj::new("sub_id"),
            seq: Obj::new("seq"),
            time: Obj::new("time"),
            endpoint: Obj::new("endpoint"),
            request: Obj::new("request"),
            empty: Obj::empty(),
            utf8: Cell::new(false),
        }
    }

    /// Whether payloads are text (`-utf8_convert`), else bytes.
    pub fn utf8(&self) -> bool {
        self.utf8.get()
    }

    pub fn set_utf8(&self, on: bool) {
        self.utf8.set(on);
    }

    pub fn payload(&self, message: &PackedMessage) -> Obj {
        self.bytes(message.payload())
    }

    /// Any payload.
    fn bytes(&self, payload: &[u8]) -> Obj {
        match payload {
            [] => self.empty.clone(),
            payload if self.utf8.get() => Obj::from_encoded(payload),
            payload => Obj::from_bytes(payload),
        }
    }

    /// The reply subject, empty if there is none.
    pub fn reply(&self, message: &PackedMessage) -> Obj {
        match message.reply() {
            None | Some([]) => self.empty.clone(),
            Some(reply) => Obj::from_encoded(reply),
        }
    }

    /// The whole message: `header data subject reply sub_id`.
    pub fn dict(&self, message: &PackedMessage, subject: &Obj, sub_id: &Obj) -> Obj {
        let header = match message.has_header() {
            true => header::to_dict(message),
            false => self.empty.clone(),
        };
        self.words(&header, &self.payload(message), subject, &self.reply(message), sub_id)
    }

    /// A request of a service: a message, with the name of its endpoint and its number.
    pub fn request(
        &self,
        message: &PackedMessage,
        subject: &Obj,
        sub_id: &Obj,
        endpoint: &Obj,
        number: &Obj,
    ) -> Obj {
        let header = match message.has_header() {
            true => header::to_dict(message),
            false => self.empty.clone(),
        };
        Obj::list_of([
            &self.header,
            &header,
            &self.data,
            &self.payload(message),
            &self.subject,
            subject,
            &self.reply,
            &self.reply(message),
            &self.sub_id,
            sub_id,
            &self.endpoint,
            endpoint,
            &self.request,
            number,
        ])
    }

    /// The same of a message that was read in another way.
    pub fn read_dict(
        &self,
        headers: &[(String, String)],
        payload: &[u8],
        subject: &Obj,
        reply: &Obj,
        sub_id: &Obj,
    ) -> Obj {
        self.words(&header::of_fields(headers), &self.bytes(payload), subject, reply, sub_id)
    }

    fn words(&self, header: &Obj, data: &Obj, subject: &Obj, reply: &Obj, sub_id: &Obj) -> Obj {
        Obj::list_of([
            &self.header,
            header,
            &self.data,
            data,
            &self.subject,
            subject,
            &self.reply,
            reply,
            &self.sub_id,
            sub_id,
        ])
    }

    /// A message that a stream has stored: `header data subject reply sub_id seq time`.
    pub fn stored(&self, message: Stored<'_>, sub_id: &Obj) -> Obj {
        let Stored { headers, payload, subject, seq, time } = message;
        let header = match headers {
            [] => self.empty.clone(),
            fields => header::of_fields(fields),
        };
        let (payload, subject) = (self.bytes(payload), Obj::new(subject));
        let (seq, time) = (Obj::uint(seq), Obj::new(time));
        Obj::list_of([
            &self.header,
            &header,
            &self.data,
            &payload,
            &self.subject,
            &subject,
            &self.reply,
            &self.empty,
            &self.sub_id,
            sub_id,
            &self.seq,
            &seq,
            &self.time,
            &time,
        ])
    }

    /// The reply subject in a message dict.
    pub fn reply_of(&self, interp: Interp<'_>, dict: &Obj) -> Result<Obj> {
        let keys = [&self.header, &self.data, &self.subject, &self.reply, &self.sub_id];
        match dict.beside(keys, 3) {
            Some(reply) => Ok(reply),
            None => field(interp, dict, &self.reply),
        }
    }

    /// What a message dict says.
    pub fn fields(&self, interp: Interp<'_>, dict: &Obj) -> Result<Fields> {
        let field = |name: &Obj| field(interp, dict, name);
        Ok(Fields {
            subject: field(&self.subject)?,
            data: field(&self.data)?,
            header: field(&self.header)?,
            reply: field(&self.reply)?,
        })
    }
}

/// A message as a stream has it.
pub struct Stored<'a> {
    /// In their order; a name may come several times.
    pub headers: &'a [(String, String)],
    pub payload: &'a [u8],
    pub subject: &'a str,
    pub seq: u64,
    pub time: &'a str,
}

/// A value of a message dict; that the key is missing is Tcl's own error.
pub fn field(interp: Interp<'_>, dict: &Obj, name: &Obj) -> Result<Obj> {
    match dict.dict_get_by(interp, name)? {
        Some(value) => Ok(value),
        None => {
            let mut words = [Obj::new("::dict"), Obj::new("get"), dict.clone(), name.clone()];
            let missing = interp.call(&mut words);
            // It cannot be there now.
            missing.and(Err(Error::new(Kind::Internal, "a key came back").into()))
        }
    }
}

/// What a message dict must have to be sent.
pub struct Fields {
    pub subject: Obj,
    pub data: Obj,
    pub header: Obj,
    pub reply: Obj,
}
