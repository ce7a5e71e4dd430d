//! Messages as Tcl dicts, and the headers of outgoing ones.

use crate::error::{Error, Kind};
use crate::tcl::{Failure, Interp, Obj, Result};
use crate::transport::{Headers, PackedMessage};

/// The words of a message dict, made once for each connection.
pub struct Words {
    header: Obj,
    data: Obj,
    subject: Obj,
    reply: Obj,
    sub_id: Obj,
    pub empty: Obj,
}

impl Words {
    pub fn new() -> Words {
        Words {
            header: Obj::new("header"),
            data: Obj::new("data"),
            subject: Obj::new("subject"),
            reply: Obj::new("reply"),
            sub_id: Obj::new("sub_id"),
            empty: Obj::empty(),
        }
    }

    /// The payload as a program gets it.
    pub fn payload(&self, message: &PackedMessage, utf8: bool) -> Obj {
        match message.payload() {
            [] => self.empty.clone(),
            payload if utf8 => Obj::from_encoded(payload),
            payload => Obj::from_bytes(payload),
        }
    }

    pub fn reply(&self, message: &PackedMessage) -> Obj {
        match message.reply() {
            None | Some([]) => self.empty.clone(),
            Some(reply) => Obj::from_encoded(reply),
        }
    }

    /// The fields of a message dict; a missing one is Tcl's own error.
    pub fn fields(&self, interp: Interp<'_>, dict: &Obj) -> Result<Fields> {
        let field = |name: &Obj| match dict.dict_get_by(interp, name)? {
            Some(value) => Ok(value),
            None => {
                let words = [Obj::new("::dict"), Obj::new("get"), dict.clone(), name.clone()];
                let missing = interp.call(&words);
                // It cannot be there now.
                missing.and(Err(Failure::Error(Error::new(Kind::Internal, "a key came back"))))
            }
        };
        Ok(Fields {
            subject: field(&self.subject)?,
            data: field(&self.data)?,
            header: field(&self.header)?,
            reply: field(&self.reply)?,
        })
    }

    /// The whole message: `header data subject reply sub_id`.
    pub fn dict(&self, message: &PackedMessage, subject: &Obj, sub_id: &Obj, utf8: bool) -> Obj {
        let header = match message.has_header() {
            true => header_dict(message),
            false => self.empty.clone(),
        };
        let (payload, reply) = (self.payload(message, utf8), self.reply(message));
        Obj::list_of([
            &self.header,
            &header,
            &self.data,
            &payload,
            &self.subject,
            subject,
            &self.reply,
            &reply,
            &self.sub_id,
            sub_id,
        ])
    }
}

/// What a message dict must have to be sent.
pub struct Fields {
    pub subject: Obj,
    pub data: Obj,
    pub header: Obj,
    pub reply: Obj,
}

/// Header name → list of values, the status line first.
fn header_dict(message: &PackedMessage) -> Obj {
    let mut words: Vec<Obj> = Vec::new();
    let mut named: [(&str, Vec<Obj>); 2] = [("Status", Vec::new()), ("Description", Vec::new())];
    if let Some(status) = message.status() {
        named[0].1.push(Obj::int(status.into()));
    }
    if let Some(text) = message.description().map(str::trim).filter(|text| !text.is_empty()) {
        // Runs of blanks are one.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        named[1].1.push(Obj::new(&text));
    }
    let mut rest: Vec<Obj> = Vec::new();
    for (name, values) in message.headers() {
        let values = values.map(|value| Obj::new(value.trim()));
        match named.iter_mut().find(|(known, _)| *known == name) {
            Some((_, list)) => list.extend(values),
            None => {
                let values: Vec<Obj> = values.collect();
                rest.push(Obj::new(name.trim()));
                rest.push(Obj::list(&values));
            }
        }
    }
    for (name, values) in named {
        if !values.is_empty() {
            words.push(Obj::new(name));
            words.push(Obj::list(&values));
        }
    }
    words.append(&mut rest);
    Obj::list(&words)
}

/// The headers of an outgoing message, from a dict of lists.
pub fn headers(interp: Interp<'_>, dict: &Obj) -> Result<Headers> {
    let mut headers = Headers::new();
    if dict.is_empty() {
        return Ok(headers);
    }
    for (name, values) in dict.pairs(interp)? {
        let name = name.text();
        for value in values.elements(interp)? {
            headers.push(&*name, value.text());
        }
    }
    Ok(headers)
}
