//! Chunks that belong to no object: those of a put that has failed, and those of the object that another
//! one has replaced. What cannot be deleted now is remembered, and deleted when there is a connection,
//! or with the next put of this process into the same bucket.

use crate::error::{Error, Kind, Result};
use crate::jetstream::api::Op;
use crate::jetstream::publish::ack;
use crate::jetstream::stored::StoredMessage;
use crate::lock::lock;
use crate::object_store::names::chunks_of;
use crate::object_store::store::Store;
use crate::transport::{ConnState, How, Outgoing};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// A bucket that refuses it again and again is left to the next put. What has found something does not count.
const ATTEMPTS: u32 = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Of the object that they were to be, or were.
    pub name: String,
    pub nuid: String,
    /// Chunks may still be on their way.
    pub fresh: bool,
    /// Whether they belong to an object after all is not known: of this name, unless it was renamed.
    pub perhaps: bool,
    /// Its chunks end behind this sequence number, 0 if that is not known: what is there behind it are marks.
    pub after: u64,
    /// If it has, the objects that it has replaced.
    pub replaces: Vec<String>,
}

struct Known {
    prefix: Arc<str>,
    stream: String,
    /// When the stream was created: other servers and accounts may have one of this name.
    created: String,
    leftover: Leftover,
}

impl Known {
    fn is_in(&self, store: &Store) -> bool {
        let bucket = &store.bucket;
        self.prefix == store.api.prefix
            && self.stream == bucket.stream
            && self.created == bucket.created
    }
}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

pub fn remember(store: &Store, leftover: Leftover) {
    let (prefix, stream) = (store.api.prefix.clone(), store.bucket.stream.clone());
    let created = store.bucket.created.clone();
    lock(&KNOWN).push(Known { prefix, stream, created, leftover });
}

fn take(store: &Store) -> Vec<Leftover> {
    lock(&KNOWN).extract_if(.., |known| known.is_in(store)).map(|known| known.leftover).collect()
}

/// Deletes what is left in this bucket, as soon as that is possible.
pub fn sweep(store: &Store) {
    if lock(&KNOWN).iter().any(|known| known.is_in(store)) {
        sweep_after(store, Duration::ZERO);
    }
}

/// The same for what has been deleted just now, but may come again.
pub fn sweep_later(store: &Store) {
    sweep_after(store, PAUSE);
}

fn sweep_after(store: &Store, pause: Duration) {
    let (store, mut connected) = (store.clone(), store.api.link.connected());
    store.api.link.clone().spawn(async move {
        tokio::time::sleep(pause).await;
        let mut fruitless = 0;
        while fruitless < ATTEMPTS {
            fruitless += 1;
            let is_up = |state: &ConnState| matches!(state, ConnState::Connected(_));
            if connected.wait_for(is_up).await.is_err() {
                return;
            }
            let left = take(&store);
            let mut held = Held { store: store.clone(), left, again: Vec::new() };
            while let Some(leftover) = held.left.last().cloned() {
                let deleted = delete(&store, &leftover).await;
                held.left.pop();
                match deleted {
                    // The others may be possible all the same.
                    Err(_) => held.again.push(leftover),
                    // What a connection has sent that is gone may come behind what this one sends, and
                    // piece by piece.
                    Ok(purged) if leftover.fresh || purged > 0 => {
                        fruitless = 0;
                        held.again.push(Leftover { fresh: false, ..leftover });
                    }
                    Ok(_) => {}
                }
            }
            if held.again.is_empty() {
                return;
            }
            drop(held);
            tokio::time::sleep(PAUSE).await;
        }
    });
}

/// Remembers what has failed or is to be done again, and what it has not come to, also when its task is dropped.
struct Held {
    store: Store,
    left: Vec<Leftover>,
    again: Vec<Leftover>,
}

impl Drop for Held {
    fn drop(&mut self) {
        for leftover in self.left.drain(..).chain(self.again.drain(..)) {
            remember(&self.store, leftover);
        }
    }
}

/// Deletes chunks, unless they are those of an object after all. How many it has found.
pub async fn delete(store: &Store, leftover: &Leftover) -> Result<u64> {
    let chunks = chunks_of(&store.bucket.name, &leftover.nuid);
    if leftover.fresh {
        // The stream takes messages one after the other, but deletes beside that: when this one is
        // answered, no matter how, none of ours is on the way any more.
        let out = Outgoing::new(chunks.clone(), "");
        let how = How { timeout: store.api.timeout, ..How::default() };
        let answer = store.api.link.ask_as(out, how).await;
        ack::with_body(&chunks, answer, |_| Ok(()))?;
    }
    let Leftover { name, nuid, .. } = leftover;
    let needed =
        leftover.perhaps && (store.needs(name, nuid).await? || store.is_used(nuid).await?);
    if !needed {
        return purge(store, name, nuid).await;
    }
    for replaced in &leftover.replaces {
        purge(store, name, replaced).await?;
    }
    match leftover.fresh {
        true => delete_marks(store, &chunks, leftover.after).await.map(|()| 0),
        false => Ok(0),
    }
}

/// The object is there: only the marks behind its chunks have to go, of which there are several if the
/// answer to one was lost. They are gone through from the front: servers before 2.12 may know no last
/// message of a subject any more when it was deleted.
async fn delete_marks(store: &Store, chunks: &str, after: u64) -> Result<()> {
    let stream = &store.bucket.stream;
    let mut seq = after;
    loop {
        let body = json!({"seq": seq + 1, "next_by_subj": chunks}).to_string();
        let next = match store.api.call(Op::MessageGet(stream), body).await {
            Err(error) if error.kind == Kind::MsgNotFound => return Ok(()),
            next => StoredMessage::from_reply(&next?)?,
        };
        if next.data.is_empty() {
            delete_message(store, next.seq).await?;
        }
        seq = next.seq;
    }
}

/// Whether a server says that it has no such message.
fn is_missing(error: &Error) -> bool {
    error.kind == Kind::MsgNotFound || matches!(error.api, Some((_, 10043)))
}

/// Deletes one message. A server that was killed may have lost it.
pub async fn delete_message(store: &Store, seq: u64) -> Result<()> {
    let body = json!({"seq": seq, "no_erase": true}).to_string();
    let asked = store.api.call(Op::MessageDelete(&store.bucket.stream), body);
    match asked.await {
        Err(error) if !is_missing(&error) => Err(store.bucket.missing(error)),
        _ => Ok(()),
    }
}

async fn purge(store: &Store, name: &str, nuid: &str) -> Result<u64> {
    match store.purge_chunks(name, nuid).await {
        // With the bucket they have gone, too.
        Err(error) if error.kind == Kind::BucketNotFound => Ok(0),
        // Nor can there be any in a bucket that takes nothing.
        Err(error) => match store.count_chunks(nuid).await {
            Ok(0) => Ok(0),
            _ => Err(error),
        },
        purged => purged,
    }
}

/// The error for an object of which there are more or fewer messages than were sent.
pub fn miscounted(sent: u64, there: u64) -> Error {
    let text = format!(
        "The object is not whole: of {sent} chunks the server has {there} after the connection was lost"
    );
    Error::new(Kind::ObjectIncomplete, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::api::reply;

    #[test]
    fn a_message_that_is_lost_needs_not_be_deleted() {
        let answer = |code: u64, err_code: u64| {
            let error =
                json!({"code": code, "err_code": err_code, "description": "sequence 7 not found"});
            reply::parse(json!({"error": error}).to_string().as_bytes()).expect_err("an error")
        };
        assert!(is_missing(&answer(400, 10043)));
        assert!(is_missing(&answer(404, 10037)));
        assert!(!is_missing(&answer(400, 10057)));
        assert!(!is_missing(&Error::connection_closed()));
    }
}
