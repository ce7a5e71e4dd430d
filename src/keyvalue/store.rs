//! The operations of a bucket on the wire. No Tcl here: results are handed to callbacks on the
//! connection's runtime thread.

use super::abilities::Abilities;
use super::bucket::Bucket;
use super::entry::{Entry, key_not_found};
use super::lifetime;
use crate::bucket::names::not_found;
use crate::bucket::own_writes::OwnWrites;
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::{Op, reply, request_error};
use crate::jetstream::messages::direct;
use crate::jetstream::publish::ack;
use crate::transport::{
    Headers, How, Link, Outgoing, Patience, RequestError, RequestId, RequestResult, Resend,
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// A bucket and the way to it. One per operation; cloning is cheap.
#[derive(Clone)]
pub struct Store {
    pub link: Link,
    pub prefix: Arc<str>,
    pub timeout: Option<Duration>,
    pub bucket: Arc<Bucket>,
    pub abilities: Arc<Abilities>,
    /// What was written through the same handle, if its reads must not be older.
    pub own_writes: Option<Arc<OwnWrites>>,
}

const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";

/// Has the headers of a write say that it must meet this revision of its key.
pub fn expecting(revision: u64, mut headers: Headers) -> Headers {
    headers.set(EXPECTED, revision.to_string());
    headers
}

/// The headers of a deletion.
pub fn deleting() -> Headers {
    [("KV-Operation", "DEL")].into_iter().collect()
}

/// The headers of a purge.
pub fn purging() -> Headers {
    [("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")].into_iter().collect()
}

impl Store {
    // ------------------------------------------------------------------------------- writing

    /// Writes a revision; its number goes to `done`.
    pub fn write(
        &self,
        out: Outgoing,
        done: impl FnOnce(Result<u64>) + Send + 'static,
    ) -> Result<RequestId> {
        let (subject, own) = (out.subject.clone(), self.own_writes.clone());
        self.link.request_as(out, self.writing_how(), move |reply| {
            done(written(&subject, own.as_deref(), reply));
        })
    }

    /// [`Store::write`] as a future; the message is queued before this returns.
    pub(super) fn writing(
        &self,
        out: Outgoing,
    ) -> impl Future<Output = Result<u64>> + Send + use<> {
        let (subject, own) = (out.subject.clone(), self.own_writes.clone());
        let reply = self.link.ask_as(out, self.writing_how());
        async move { written(&subject, own.as_deref(), reply.await) }
    }

    /// A write that met nobody was not done, so it can be repeated.
    pub(super) fn writing_how(&self) -> How {
        let bucket = self.bucket.clone();
        let patience = Patience::Asking {
            question: self.bucket.write_info.clone(),
            judge: Arc::new(move |info| match reply::parse(info) {
                // One that only takes from others.
                Ok(info) if !has_subjects(&info) => Some(not_found(&bucket.name)),
                answer => gone(&bucket, answer),
            }),
            doubts_silence: false,
        };
        How { timeout: self.timeout, patience: Some(patience), ..How::default() }
    }

    /// Writes only if the key does not exist, deleted keys counting as such. `out` expects that it
    /// was never written. Dropping the future cancels what is under way.
    pub fn create(
        &self,
        key: &str,
        out: Outgoing,
    ) -> impl Future<Output = Result<u64>> + Send + use<> {
        let first = self.writing(out.clone());
        let (this, key) = (self.clone(), key.to_owned());
        async move {
            let conflict = match first.await {
                Err(error) if error.kind == Kind::WrongLastSequence => error,
                other => return other,
            };
            match this.reading_after(&key, revision_in(&conflict)).await {
                Ok(entry) if entry.operation.deletes() => {
                    let mut headers = expecting(entry.revision, out.headers);
                    if lifetime::expires(&headers) {
                        // The deletion would be the last word again, and nobody would hear of it.
                        lifetime::roll_up(&mut headers);
                    }
                    this.writing(Outgoing { headers, ..out }).await
                }
                Ok(_) => Err(conflict),
                // Purged or expired between the two requests: nothing is in the way now.
                Err(error) if error.kind == Kind::KeyNotFound => this.writing(out).await,
                Err(error) => Err(error),
            }
        }
    }

    /// Writes value and headers of an earlier revision again: they go into `out`. Dropping the future
    /// cancels what is under way.
    pub fn revert(
        &self,
        old: impl Future<Output = Result<Entry>> + Send + 'static,
        out: Outgoing,
    ) -> impl Future<Output = Result<u64>> + Send + 'static {
        let this = self.clone();
        async move {
            let entry = old.await?.not_deleted()?;
            let payload = Bytes::copy_from_slice(entry.value());
            let mut headers = out.headers;
            if let Some(own) = &entry.headers {
                own.add_to(&mut headers);
            }
            this.writing(Outgoing { payload, headers, ..out }).await
        }
    }

    // ------------------------------------------------------------------------------- reading

    fn question(&self, key: &str, revision: Option<u64>) -> Outgoing {
        if !self.bucket.allow_direct {
            return stored_question(&self.prefix, &self.bucket, key, revision);
        }
        let (stream, prefix) = (&self.bucket.stream, &self.prefix);
        match revision {
            None => {
                let op = Op::DirectGetLast { stream, subject: &self.bucket.read_subject(key) };
                Outgoing::new(op.subject(prefix), "")
            }
            Some(seq) => {
                let body = json!({"seq": seq}).to_string();
                Outgoing::new(Op::DirectGet(stream).subject(prefix), body)
            }
        }
    }

    /// Reads the last entry of a key, or one revision, deletions included.
    pub fn read(
        &self,
        key: &str,
        revision: Option<u64>,
        done: impl FnOnce(Result<Entry>) + Send + 'static,
    ) -> Result<RequestId> {
        let out = self.question(key, revision);
        let how = self.reading_how(key, revision);
        let (bucket, key, subject) = (self.bucket.clone(), key.to_owned(), out.subject.clone());
        self.link.request_as(out, how, move |reply| {
            done(found(&bucket, &key, &subject, reply));
        })
    }

    /// [`Store::read`] as a future; the question is queued before this returns, and forgotten when
    /// the future is dropped.
    pub(super) fn reading(
        &self,
        key: &str,
        revision: Option<u64>,
    ) -> impl Future<Output = Result<Entry>> + Send + use<> {
        let out = self.question(key, revision);
        let how = self.reading_how(key, revision);
        let (bucket, key, subject) = (self.bucket.clone(), key.to_owned(), out.subject.clone());
        let reply = self.link.ask_as(out, how);
        async move { found(&bucket, &key, &subject, reply.await) }
    }

    /// Reads the last entry of a key of which a write has met this revision; 0 if there was none, or if
    /// that is not known. A direct get may be answered by a replica or a mirror that does not have it
    /// yet, or still has what is gone.
    pub(super) async fn reading_after(&self, key: &str, met: u64) -> Result<Entry> {
        let entry = self.reading(key, None).await;
        let stale = match &entry {
            Ok(entry) => met == 0 || entry.revision < met,
            Err(error) => error.kind == Kind::KeyNotFound && met > 0,
        };
        if !stale {
            return entry;
        }
        match self.reading_written(key).await {
            Err(error) if error.kind != Kind::KeyNotFound => entry,
            last => last,
        }
    }

    /// Reads the last entry of a key where it is written, from the leader of that stream, who knows
    /// best. Users may not be allowed to ask.
    pub(super) async fn reading_written(&self, key: &str) -> Result<Entry> {
        let written = Bucket { read: self.bucket.written.clone(), ..(*self.bucket).clone() };
        let body = json!({"last_by_subj": written.read_subject(key)}).to_string();
        let out = Outgoing::new(written.write_get.clone(), body);
        let how = How { timeout: self.timeout, quiet: true, ..How::default() };
        let reply = self.link.ask_as(out, how).await;
        found(&written, key, &written.write_get, reply)
    }

    fn reading_how(&self, key: &str, revision: Option<u64>) -> How {
        let bucket = self.bucket.clone();
        let patience = Patience::Asking {
            question: self.bucket.read_info.clone(),
            judge: Arc::new(move |info| gone(&bucket, reply::parse(info))),
            // The API always answers, but servers before 2.11 do not answer a direct get from a
            // stream that is not there.
            doubts_silence: self.bucket.allow_direct,
        };
        let again: Resend = Box::new(self.question_again(key, revision));
        let (again, patience) = (Some(again), Some(patience));
        How { timeout: self.timeout, again, patience, ..How::default() }
    }

    /// What is asked over a new connection: in the form of JSON, because it may be the answer that
    /// has broken the old one, which the engine cannot read as a message.
    fn question_again(
        &self,
        key: &str,
        revision: Option<u64>,
    ) -> impl Fn() -> Outgoing + Send + use<> {
        let (prefix, bucket, key) = (self.prefix.clone(), self.bucket.clone(), key.to_owned());
        move || stored_question(&prefix, &bucket, &key, revision)
    }
}

/// Asks for an entry in the form of JSON.
fn stored_question(prefix: &str, bucket: &Bucket, key: &str, revision: Option<u64>) -> Outgoing {
    let body = match revision {
        None => json!({"last_by_subj": bucket.read_subject(key)}),
        Some(seq) => json!({"seq": seq}),
    };
    Outgoing::new(Op::MessageGet(&bucket.stream).subject(prefix), body.to_string())
}

/// The error for a stream that the server does not know.
pub(super) fn gone(bucket: &Bucket, info: Result<Value>) -> Option<Error> {
    let error = info.err().filter(|error| error.kind == Kind::StreamNotFound);
    error.map(|_| not_found(&bucket.name))
}

/// Whether a stream takes what is published.
fn has_subjects(info: &Value) -> bool {
    let subjects = info.get("config").and_then(|config| config.get("subjects"));
    subjects.and_then(Value::as_array).is_some_and(|subjects| !subjects.is_empty())
}

/// The revision that a write has met in the place of the one it expected; 0 if that is not said.
pub(super) fn revision_in(conflict: &Error) -> u64 {
    let number = conflict.message.rsplit(' ').next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The revision in a publish acknowledgement, which is remembered.
fn written(subject: &str, own: Option<&OwnWrites>, reply: RequestResult) -> Result<u64> {
    let message = reply.map_err(|error| request_error(subject, error))?;
    let revision = ack::sequence(message.payload())?;
    if let Some(own) = own {
        own.note(subject, revision);
    }
    Ok(revision)
}

pub(super) fn found(
    bucket: &Bucket,
    key: &str,
    subject: &str,
    reply: RequestResult,
) -> Result<Entry> {
    let absent = || key_not_found(&bucket.name, key);
    let message = match reply {
        Ok(message) => message,
        Err(RequestError::NoResponders(report)) if direct::is_message(&report) => *report,
        Err(error) => return Err(request_error(subject, error)),
    };
    // What was stored may have a status of its own, which says nothing.
    if direct::is_message(&message) {
        return Entry::from_direct(bucket, key, &message, message.payload());
    }
    // Direct answers always have headers, the others never.
    match message.status() {
        Some(404) => return Err(absent()),
        Some(408) => return Err(Error::invalid("Invalid request")),
        Some(_) => return Entry::from_direct(bucket, key, &message, message.payload()),
        None => {}
    }
    match reply::parse(message.payload()) {
        Ok(stored) => Entry::from_stored(bucket, key, &stored),
        Err(error) => Err(match error.kind {
            Kind::MsgNotFound => absent(),
            Kind::StreamNotFound => not_found(&bucket.name),
            _ => error,
        }),
    }
}
