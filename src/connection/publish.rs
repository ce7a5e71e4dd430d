//! `publish` and `publish_msg`: what goes out, and the checks before it does.

use super::{Connection, message};
use crate::error::{Error, Kind};
use crate::options::{self, Type};
use crate::subject;
use crate::tcl::{Call, Interp, Obj, Reply, Result};
use crate::transport::{Headers, Outgoing};
use bytes::Bytes;
use std::borrow::Cow;

/// One message as a command got it.
pub struct Draft<'a> {
    pub subject: Cow<'a, str>,
    pub data: &'a Obj,
    pub reply: Option<Cow<'a, str>>,
    pub header: Option<Obj>,
    pub check_subject: bool,
}

impl<'a> Draft<'a> {
    pub fn new(subject: &'a Obj, data: &'a Obj) -> Draft<'a> {
        Draft { subject: subject.text(), data, reply: None, header: None, check_subject: true }
    }
}

impl Connection {
    /// Checks a message and makes it ready to be sent.
    pub(super) fn outgoing(&self, interp: Interp<'_>, draft: Draft<'_>) -> Result<Outgoing> {
        let payload = match self.delivery.utf8() {
            true => draft.data.encoded_payload(),
            false => draft.data.payload(),
        };
        self.check_payload(payload.len())?;
        let headers = match draft.header.filter(|header| !header.is_empty()) {
            None => Headers::new(),
            Some(header) => {
                self.check_headers()?;
                message::headers(interp, &header)?
            }
        };
        if draft.check_subject && self.checks_subjects() {
            subject::check_publish(&draft.subject)?;
        }
        if let Some(reply) = &draft.reply
            && self.checks_subjects()
        {
            subject::check_reply(reply)?;
        }
        let payload = match payload {
            Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Ok(Outgoing {
            subject: draft.subject.into_owned(),
            reply: draft.reply.map(Cow::into_owned),
            headers,
            payload,
        })
    }

    fn check_headers(&self) -> crate::error::Result<()> {
        match self.info.borrow().as_ref() {
            Some(info) if !info.headers => {
                let text = "Headers are not supported by this server";
                Err(Error::new(Kind::HeadersNotSupported, text))
            }
            _ => Ok(()),
        }
    }
}

pub fn publish(call: &Call<'_>) -> Result<Reply> {
    let this = call.data::<Connection>()?;
    let mut draft = Draft::new(call.arg(0)?, call.arg(1)?);
    match call.args().get(2..).unwrap_or_default() {
        [] => {}
        // The calling form of the first releases: the reply subject by itself.
        [reply] => draft.reply = Some(reply.text()).filter(|reply| !reply.is_empty()),
        words => {
            const OPTIONS: &[options::Spec] =
                &[("reply", Type::Str), ("header", Type::Dict), ("check_subj", Type::Bool)];
            let given = options::parse(call.interp, OPTIONS, words)?;
            draft.reply = given.non_empty("reply").map(|reply| Cow::Owned(reply.string()));
            draft.header = given.get("header").cloned();
            draft.check_subject = given.get("check_subj").is_none() || given.flag("check_subj");
        }
    }
    send(&this, call.interp, draft)
}

pub fn publish_msg(call: &Call<'_>) -> Result<Reply> {
    let this = call.data::<Connection>()?;
    let dict = call.arg(0)?;
    let field = |name| message::field(call.interp, dict, name);
    let (subject, data, header, reply) =
        (field("subject")?, field("data")?, field("header")?, field("reply")?);
    let mut draft = Draft::new(&subject, &data);
    draft.header = Some(header);
    draft.reply = Some(reply.text()).filter(|reply| !reply.is_empty());
    send(&this, call.interp, draft)
}

fn send(this: &Connection, interp: Interp<'_>, draft: Draft<'_>) -> Result<Reply> {
    this.check_open()?;
    let out = this.outgoing(interp, draft)?;
    this.with_link(|link| link.publish(out))??;
    Ok(Reply::Empty)
}
