//! Messages of a stream, one behind the other.

use super::direct::AsStored;
use super::page::{self, End, page};
use crate::error::{Kind, Result};
use crate::jetstream::api::{Api, Op};
use crate::jetstream::stored::StoredMessage;
use crate::jetstream::unreadable::Unreadable;
use serde_json::{Map, Value, json};

/// Which messages.
pub struct Batch {
    pub seq: u64,
    /// In the place of the sequence.
    pub start_time: Option<String>,
    pub next_by_subj: Option<String>,
    /// No more than so many.
    pub count: u64,
    /// And no more than this, but one message at least.
    pub bytes: Option<u64>,
}

impl Batch {
    /// What asks for what is left.
    fn question(&self, found: &[StoredMessage]) -> Map<String, Value> {
        let mut question = Map::new();
        match (&self.start_time, found.last()) {
            (_, Some(last)) => question.insert("seq".into(), last.seq.saturating_add(1).into()),
            (Some(time), None) => question.insert("start_time".into(), time.as_str().into()),
            (None, None) => question.insert("seq".into(), self.seq.into()),
        };
        let subject = self.next_by_subj.as_deref();
        // Without it a time is refused by some servers.
        let all = self.start_time.is_some().then_some(">");
        if let Some(subject) = subject.or(all) {
            question.insert("next_by_subj".into(), subject.into());
        }
        question
    }

    /// How many bytes may still come; `None` if that is enough.
    fn room(&self, found: &[StoredMessage]) -> Option<u64> {
        let Some(bytes) = self.bytes else { return Some(page::BYTES) };
        let taken: usize = found.iter().map(StoredMessage::size).sum();
        bytes.checked_sub(taken as u64).filter(|room| *room > 0)
    }
}

/// Gathers a batch.
pub async fn gather(api: Api, stream: String, batch: Batch) -> Result<Vec<StoredMessage>> {
    let mut found = Vec::new();
    let mut unreadable = Unreadable::default();
    loop {
        let left = batch.count.saturating_sub(found.len() as u64);
        let (Some(room), 1..) = (batch.room(&found), left) else { return Ok(found) };
        let mut question = batch.question(&found);
        let position = found.last().map_or(0, |last| last.seq);
        if unreadable.is_next(position) {
            match next_as_json(&api, &stream, question).await? {
                Some(message) => found.push(message),
                None => return Ok(found),
            }
            continue;
        }
        question.insert("batch".into(), left.into());
        question.insert("max_bytes".into(), room.into());
        match page(&AsStored, &api, &stream, Value::from(question).to_string(), &mut found).await? {
            End::Whole { pending: 1.., .. } if batch.bytes.is_none() => {}
            // Of a batch it is said so that there is nothing more.
            End::Whole { .. } | End::Nothing | End::Torn => return Ok(found),
            End::Interrupted => unreadable.connection_lost(found.last().map_or(0, |last| last.seq)),
        }
    }
}

/// The next message, from the leader: JSON can always be read.
async fn next_as_json(
    api: &Api,
    stream: &str,
    mut question: Map<String, Value>,
) -> Result<Option<StoredMessage>> {
    question.entry("next_by_subj").or_insert_with(|| json!(">"));
    match api.call(Op::MessageGet(stream), Value::from(question).to_string()).await {
        Ok(reply) => StoredMessage::from_reply(&reply).map(Some),
        Err(error) if error.kind == Kind::MsgNotFound => Ok(None),
        Err(error) => Err(error),
    }
}
