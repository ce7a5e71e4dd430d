//! What writes descriptions and removes chunks, on the wire. No Tcl here.

use super::info::{ObjectInfo, bad_meta, nuid_of};
use super::names::{chunks_of, meta_of};
use super::removed;
use super::rename::Renaming;
use super::store::{Described, From, Place, Store, object_exists};
use crate::error::{Kind, Result};
use crate::jetstream::api::{Op, request_error};
use crate::jetstream::publish::ack;
use crate::transport::{Headers, Outgoing};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

/// How often a change begins anew because of somebody else's.
const ATTEMPTS: u32 = 20;

/// What looks at what there is, and then writes, begins anew when somebody else writes in between.
#[derive(Default)]
pub struct Attempts(u32);

impl Attempts {
    /// Whether this is what comes out in the end.
    pub fn are_over<T>(&mut self, outcome: &Result<T>) -> bool {
        self.0 += 1;
        let conflict = outcome.as_ref().is_err_and(|error| error.kind == Kind::WrongLastSequence);
        !conflict || self.0 > ATTEMPTS
    }
}

impl Store {
    /// Writes a description in the place of the one that has this sequence number, 0 for none at all; of
    /// any one without a number. Returns its own.
    ///
    /// # Errors
    /// `ErrWrongLastSequence` if there is another one.
    pub async fn describe(&self, info: &ObjectInfo, expected: Option<u64>) -> Result<u64> {
        self.describe_as(info, expected, None).await
    }

    /// The same, with what it says of another name.
    pub async fn describe_as(
        &self,
        info: &ObjectInfo,
        expected: Option<u64>,
        renaming: Option<&Renaming>,
    ) -> Result<u64> {
        let subject = meta_of(&self.bucket.name, &info.name);
        let mut headers = Headers::from_iter([("Nats-Rollup", "sub")]);
        if let Some(seq) = expected {
            headers.push("Nats-Expected-Last-Subject-Sequence", seq.to_string());
        }
        if let Some(renaming) = renaming {
            let (name, value) = renaming.header(&self.bucket.name);
            headers.push(name, value);
        }
        let json = info.to_json().to_string();
        let out = Outgoing { headers, refusable: true, ..Outgoing::new(subject.clone(), json) };
        let reply = self.api.link.ask_as(out, self.how(false)).await;
        let reply = reply.map_err(|error| request_error(&subject, error))?;
        let seq = ack::sequence(reply.payload())?;
        self.own_writes.note(&subject, seq);
        Ok(seq)
    }

    /// Removes the chunks of an object that was to have this name, or had it. How many there were.
    pub async fn purge_chunks(&self, name: &str, nuid: &str) -> Result<u64> {
        let body = json!({"filter": chunks_of(&self.bucket.name, nuid)});
        let purged = self.purge(body.to_string()).await?;
        removed::note(self, name, nuid);
        Ok(purged)
    }

    /// Whether the object of this name has these chunks. Others may have them under another name.
    ///
    /// # Errors
    /// `ErrBadObjectMeta` if nothing can be known.
    pub async fn needs(&self, name: &str, nuid: &str) -> Result<bool> {
        let stored = match self.last(&meta_of(&self.bucket.name, name), From::Leader).await {
            Ok(stored) => stored,
            Err(error) if error.kind == Kind::MsgNotFound => return Ok(false),
            Err(error) => return Err(self.bucket.missing(error)),
        };
        let readable = serde_json::from_slice::<Value>(&stored.data).is_ok();
        match readable || stored.data.is_empty() {
            true => Ok(nuid_of(&stored.data).as_deref() == Some(nuid)),
            false => Err(bad_meta(name, "it is no JSON")),
        }
    }

    /// How many messages there are of an object.
    pub async fn count_chunks(&self, nuid: &str) -> Result<u64> {
        let chunks = chunks_of(&self.bucket.name, nuid);
        let info = self.state(json!({"subjects_filter": chunks}).to_string()).await?;
        Ok(subjects_of(&info).and_then(|all| all.get(&chunks)?.as_u64()).unwrap_or_default())
    }

    /// The subjects of all chunks that there are, unless the stream has more subjects than this.
    pub async fn chunks_if_few(&self, most: u64) -> Result<Option<HashSet<String>>> {
        let info = self.state(String::new()).await?;
        let state = info.get("state").and_then(|state| state.get("num_subjects"));
        if state.and_then(Value::as_u64).unwrap_or_default() > most {
            return Ok(None);
        }
        let filter = chunks_of(&self.bucket.name, "*");
        let info = self.state(json!({"subjects_filter": filter}).to_string()).await?;
        let chunks: HashSet<String> =
            subjects_of(&info).into_iter().flat_map(Map::keys).cloned().collect();
        // A page of them, should many have been stored meanwhile.
        let total = info.get("total").and_then(Value::as_u64).unwrap_or_default();
        Ok((total <= chunks.len() as u64).then_some(chunks))
    }

    async fn state(&self, body: String) -> Result<Value> {
        let asked = self.api.call_as(Op::StreamInfo(&self.bucket.stream), body, self.how(false));
        asked.await.map_err(|error| self.bucket.missing(error))
    }

    /// Removes a description, unless there is a newer one than that of this sequence number.
    pub async fn purge_meta(&self, name: &str, seq: u64) -> Result<()> {
        let body = json!({"filter": meta_of(&self.bucket.name, name), "seq": seq + 1});
        self.purge(body.to_string()).await.map(drop)
    }

    async fn purge(&self, body: String) -> Result<u64> {
        let purged = self.api.call_as(Op::StreamPurge(&self.bucket.stream), body, self.how(false));
        let answer = purged.await.map_err(|error| self.bucket.missing(error))?;
        Ok(answer.get("purged").and_then(Value::as_u64).unwrap_or_default())
    }

    /// What may be described anew under a name: nothing, a deleted object, and what `replaceable` says. Its
    /// sequence number, 0 for nothing.
    ///
    /// # Errors
    /// `ErrObjectExists`.
    pub async fn vacant(
        &self,
        name: &str,
        replaceable: impl Fn(&ObjectInfo) -> bool,
    ) -> Result<u64> {
        match self.place(name, From::Leader).await? {
            Place::Empty(seq) => Ok(seq),
            Place::Taken(there) if there.info.deleted || replaceable(&there.info) => Ok(there.seq),
            Place::Taken(_) => Err(object_exists(&self.bucket.name, name)),
        }
    }

    /// A description that was written under this number, with the time at which the server has stored it.
    pub async fn stored(&self, info: ObjectInfo, seq: u64) -> ObjectInfo {
        match self.described(&info.name, From::Leader).await {
            Ok(described) if described.seq == seq => described.info,
            // Replaced since then, or not to be read by this user.
            _ => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let mtime = now.unwrap_or(Duration::ZERO).as_millis();
                ObjectInfo { mtime: i64::try_from(mtime).unwrap_or(i64::MAX), ..info }
            }
        }
    }

    /// Marks an object as deleted, and then removes its chunks. Of one that was deleted before, chunks may
    /// have been left behind.
    ///
    /// # Errors
    /// `ErrObjectNotFound` for one that has never been there.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let mut attempts = Attempts::default();
        let info = loop {
            let outcome = self.mark_deleted(name).await;
            if attempts.are_over(&outcome) {
                break outcome?;
            }
        };
        self.purge_chunks(name, &info.nuid).await.map(drop)
    }

    async fn mark_deleted(&self, name: &str) -> Result<ObjectInfo> {
        let Described { mut info, seq, .. } = self.settled(name, None).await?;
        if !info.deleted {
            info.mark_deleted();
            self.describe(&info, Some(seq)).await?;
        }
        Ok(info)
    }
}

/// How many messages there are of each subject that was asked for.
fn subjects_of(info: &Value) -> Option<&Map<String, Value>> {
    info.get("state")?.get("subjects")?.as_object()
}
