//! The operations of an object store on the wire. No Tcl here.

use super::bucket::{Bucket, not_found};
use super::info::ObjectInfo;
use super::names::{check_object, meta_of};
use super::rename::Renaming;
use crate::bucket::own_writes::OwnWrites;
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::{Api, Op, reply};
use crate::jetstream::messages::direct;
use crate::jetstream::stored::StoredMessage;
use crate::rfc3339;
use crate::transport::{How, Outgoing, Patience};
use serde_json::json;
use std::sync::Arc;

/// An object store and the way to it. One per operation; cloning is cheap.
#[derive(Clone)]
pub struct Store {
    pub api: Api,
    pub bucket: Arc<Bucket>,
    /// What was described through the same handle: its reads are not older.
    pub own_writes: Arc<OwnWrites>,
}

/// A description that is stored.
pub struct Described {
    pub info: ObjectInfo,
    /// Of its message: what a change can be made to depend on.
    pub seq: u64,
    /// What it says of another name of the object.
    pub renaming: Option<Renaming>,
}

/// What is stored for an object.
pub enum Place {
    /// Be it the description of a deleted one.
    Taken(Box<Described>),
    /// Nothing, or a mark that the server leaves behind what has expired: its sequence number, 0 for nothing.
    Empty(u64),
}

/// Whom a description is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Anybody who has it, who may not have the newest one yet, unless that was written through the same handle.
    Anybody,
    /// The leader of the stream, if the user may ask it: for what depends on the answer.
    Leader,
}

impl Store {
    /// How requests are made to the stream. While it has no leader they are made again and again, as long
    /// as it exists.
    pub fn how(&self, doubts_silence: bool) -> How {
        let name = self.bucket.name.clone();
        let patience = Patience::Asking {
            question: self.bucket.info.clone(),
            judge: Arc::new(move |info| {
                let error = reply::parse(info).err()?;
                (error.kind == Kind::StreamNotFound).then(|| not_found(&name))
            }),
            doubts_silence,
        };
        How { timeout: self.api.timeout, patience: Some(patience), ..How::default() }
    }

    /// The description of an object, be it a deleted one.
    ///
    /// # Errors
    /// `ErrObjectNotFound`; `ErrBadObjectMeta` if it cannot be read.
    pub async fn described(&self, name: &str, from: From) -> Result<Described> {
        match self.place(name, from).await? {
            Place::Taken(described) => Ok(*described),
            Place::Empty(_) => Err(object_not_found(&self.bucket.name, name)),
        }
    }

    /// What is stored for an object of this name.
    ///
    /// # Errors
    /// `ErrBadObjectMeta` for a description that cannot be read.
    pub async fn place(&self, name: &str, from: From) -> Result<Place> {
        check_object(name)?;
        let subject = meta_of(&self.bucket.name, name);
        let stored = match self.not_older(&subject, from).await {
            Ok(stored) => stored,
            Err(error) if error.kind == Kind::MsgNotFound => return Ok(Place::Empty(0)),
            Err(error) => return Err(self.bucket.missing(error)),
        };
        if stored.data.is_empty() {
            return Ok(Place::Empty(stored.seq));
        }
        let mtime = rfc3339::milliseconds(&stored.time).unwrap_or_default();
        let info = ObjectInfo::read(&self.bucket.name, name, &stored.data, mtime)?;
        let renaming = Renaming::read(&self.bucket.name, &stored);
        Ok(Place::Taken(Box::new(Described { info, seq: stored.seq, renaming })))
    }

    /// The description of an object that is there.
    ///
    /// # Errors
    /// `ErrObjectNotFound`, of one that was deleted, too.
    pub async fn present(&self, name: &str, from: From) -> Result<Described> {
        let described = self.described(name, from).await?;
        match described.info.deleted {
            true => Err(object_not_found(&self.bucket.name, name)),
            false => Ok(described),
        }
    }

    async fn not_older(&self, subject: &str, from: From) -> Result<StoredMessage> {
        let newest = |answer: &Result<StoredMessage>| match answer {
            Ok(stored) => stored.seq,
            Err(error) if error.kind == Kind::MsgNotFound => 0,
            Err(_) => u64::MAX,
        };
        let written = self.own_writes.latest(subject);
        let answer = self.last(subject, from).await;
        if newest(&answer) >= written {
            return answer;
        }
        let answer = self.last(subject, From::Leader).await;
        if newest(&answer) < written {
            // Expired, or the object store is another one.
            self.own_writes.forget(subject, written);
        }
        answer
    }

    /// The last message of a subject.
    ///
    /// # Errors
    /// `ErrMsgNotFound`.
    pub async fn last(&self, subject: &str, from: From) -> Result<StoredMessage> {
        let leader = from == From::Leader;
        if !self.bucket.allow_direct || leader {
            match self.last_as_json(subject, leader && self.bucket.allow_direct).await {
                Err(error) if leader && error.kind == Kind::Permissions => {}
                answer => return answer,
            }
        }
        let op = Op::DirectGetLast { stream: &self.bucket.stream, subject };
        let (asked, out) = self.api.outgoing(op, Vec::new())?;
        // A connection may have broken over an answer that the engine cannot read.
        let again = self.question(subject);
        let again: crate::transport::Resend = Box::new(move || again.clone());
        let how = How { again: Some(again), ..self.how(true) };
        direct::one(&asked, self.api.link.ask_as(out, how).await)
    }

    async fn last_as_json(&self, subject: &str, quiet: bool) -> Result<StoredMessage> {
        let out = self.question(subject);
        let asked = out.subject.clone();
        let how = How { quiet, ..self.how(false) };
        direct::one(&asked, self.api.link.ask_as(out, how).await)
    }

    fn question(&self, subject: &str) -> Outgoing {
        let op = Op::MessageGet(&self.bucket.stream);
        let body = json!({"last_by_subj": subject}).to_string();
        Outgoing::new(op.subject(&self.api.prefix), body)
    }
}

/// `{NATS ErrObjectNotFound}`
pub fn object_not_found(bucket: &str, name: &str) -> Error {
    Error::new(Kind::ObjectNotFound, format!("Object {name} not found in bucket {bucket}"))
}

/// `{NATS ErrObjectExists}`
pub fn object_exists(bucket: &str, name: &str) -> Error {
    Error::new(Kind::ObjectExists, format!("Object {name} exists in bucket {bucket}"))
}

/// Whether it is worth another attempt: nobody has answered, or the server has no time.
pub fn is_temporary(error: &Error) -> bool {
    /// "JetStream system temporarily unavailable"
    const NOT_AVAILABLE: u64 = 10008;
    /// "too many requests"
    const TOO_MANY: u64 = 10167;
    match error.api {
        Some((_, err_code)) => matches!(err_code, NOT_AVAILABLE | TOO_MANY),
        None => {
            matches!(error.kind, Kind::Timeout | Kind::NoResponders | Kind::JetStreamNotEnabled)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::api::request_error;
    use crate::transport::RequestError;

    #[test]
    fn what_is_worth_another_attempt() {
        for (code, err_code, temporary) in [
            (503, 10008, true),
            (429, 10167, true),
            (404, 10059, false),
            (503, 10039, false),
            (503, 10077, false),
            (400, 10109, false),
        ] {
            let error = json!({"error": {"code": code, "err_code": err_code}}).to_string();
            let error = reply::parse(error.as_bytes()).expect_err("an error");
            assert_eq!(is_temporary(&error), temporary, "{err_code}");
        }
        assert!(is_temporary(&request_error("x", RequestError::Timeout)));
        assert!(is_temporary(&Error::new(Kind::JetStreamNotEnabled, "nobody")));
        assert!(!is_temporary(&request_error("x", RequestError::Closed)));
        assert!(!is_temporary(&not_found("b")));
    }
}
