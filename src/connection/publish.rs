//! `publish` and `publish_msg`: what goes out, and the checks before it does.

use super::{Connection, message};
use crate::error::{Error, Kind};
use crate::options::{self, Type};
use crate::subject;
use crate::tcl::{Call, Interp, Obj, Result, Return};
use crate::transport::{Headers, Outgoing, Subject};
use std::borrow::Cow;

/// One message as a command got it.
pub struct Draft<'a> {
    pub subject: &'a Obj,
    pub data: &'a Obj,
    pub reply: Option<Cow<'a, str>>,
    pub header: Option<Obj>,
    pub check_subject: bool,
}

impl<'a> Draft<'a> {
    pub fn new(subject: &'a Obj, data: &'a Obj) -> Draft<'a> {
        Draft { subject, data, reply: None, header: None, check_subject: true }
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
        let subject = self.subject(draft.subject, draft.check_subject)?;
        if let Some(reply) = &draft.reply
            && draft.check_subject
            && self.checks_subjects()
        {
            subject::check_reply(reply)?;
        }
        let payload = self.block.borrow_mut().copy(&payload);
        let reply = draft.reply.map(|reply| Subject::from(&*reply));
        Ok(Outgoing { subject, reply, headers, payload })
    }

    /// The subject of a message, checked. Programs publish to the same one again and again.
    fn subject(&self, subject: &Obj, check: bool) -> crate::error::Result<Subject> {
        if !check || !self.checks_subjects() {
            return Ok(Subject::from(&*subject.text()));
        }
        let mut last = self.last_subject.borrow_mut();
        let bytes = subject.tcl_bytes();
        if let Some(last) = last.as_ref().filter(|last| last.as_str().as_bytes() == bytes) {
            return Ok(last.clone());
        }
        let subject = &*subject.text();
        subject::check_publish(subject)?;
        let bytes = self.block.borrow_mut().copy(subject.as_bytes());
        let new = Subject::from_utf8(bytes).unwrap_or_else(|_| Subject::from(subject));
        Ok(last.insert(new).clone())
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

pub fn publish(call: &Call<'_>) -> Result<Return> {
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

pub fn publish_msg(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let fields = this.delivery.words.fields(call.interp, call.arg(0)?)?;
    let mut draft = Draft::new(&fields.subject, &fields.data);
    draft.header = Some(fields.header);
    draft.reply = Some(fields.reply.text()).filter(|reply| !reply.is_empty());
    send(&this, call.interp, draft)
}

fn send(this: &Connection, interp: Interp<'_>, draft: Draft<'_>) -> Result<Return> {
    this.check_open()?;
    let out = this.outgoing(interp, draft)?;
    this.with_link(|link| link.publish(out))??;
    Ok(Return::Empty)
}
