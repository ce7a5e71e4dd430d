//! The last messages of many subjects: one snapshot, however many requests it takes.

use super::page::{self, End, page};
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::{Api, Op};
use crate::jetstream::stored::StoredMessage;
use crate::jetstream::unreadable::Unreadable;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// How many subjects one request may name, so that a server which answers for 1024 subjects answers if
/// none of them has wildcards.
const SUBJECTS: usize = 1024;
/// And how long they may be together: requests have to fit the payload that servers take.
const LENGTH: usize = 256 << 10;

/// The end of the snapshot.
#[derive(Clone, Debug)]
pub enum UpTo {
    /// Wherever the stream ends when it is asked.
    Now,
    Seq(u64),
    Time(String),
}

/// Gathers the last message of each of these subjects, wildcards included, in the order of the stream.
pub async fn gather(
    api: Api,
    stream: String,
    subjects: Vec<String>,
    mut up_to: UpTo,
) -> Result<Vec<StoredMessage>> {
    let mut found = Vec::new();
    if matches!(up_to, UpTo::Seq(0)) {
        // Before anything was; a server would take it for no limit.
        return Ok(found);
    }
    let parts = parts(&subjects);
    let mut early = Vec::new();
    for part in &parts {
        let open = matches!(up_to, UpTo::Now);
        gather_part(&api, &stream, part, &mut up_to, &mut found).await?;
        if open && found.is_empty() {
            early.push(part);
        }
    }
    // Nothing was there, and nothing said when.
    if matches!(up_to, UpTo::Seq(_)) {
        for part in early {
            gather_part(&api, &stream, part, &mut up_to, &mut found).await?;
        }
    }
    found.sort_by_key(|message| message.seq);
    found.dedup_by_key(|message| message.seq);
    Ok(found)
}

/// What fits one request each.
fn parts(subjects: &[String]) -> Vec<&[String]> {
    let mut parts = Vec::new();
    let (mut start, mut length) = (0, 0);
    for (at, subject) in subjects.iter().enumerate() {
        if at - start == SUBJECTS || (length + subject.len() > LENGTH && at > start) {
            parts.push(&subjects[start..at]);
            (start, length) = (at, 0);
        }
        length += subject.len();
    }
    parts.push(&subjects[start..]);
    parts
}

async fn gather_part(
    api: &Api,
    stream: &str,
    subjects: &[String],
    up_to: &mut UpTo,
    found: &mut Vec<StoredMessage>,
) -> Result<()> {
    let before = found.len();
    let mut unreadable = Unreadable::default();
    let mut next = None;
    loop {
        match page(api, stream, &question(subjects, next, up_to), found).await? {
            End::Nothing => return Ok(()),
            End::Whole { pending, up_to: end } => {
                if let Some(end) = end {
                    *up_to = UpTo::Seq(end);
                }
                if pending == 0 {
                    return Ok(());
                }
                if !matches!(up_to, UpTo::Seq(_)) {
                    let text = "A batch of last messages without the end of its snapshot";
                    return Err(Error::new(Kind::Protocol, text));
                }
            }
            End::Interrupted => {
                let position = found.get(before..).and_then(<[_]>::last).map_or(0, |m| m.seq);
                unreadable.connection_lost(position);
                if unreadable.is_next(position) {
                    found.truncate(before);
                    return gather_as_json(api, stream, subjects, up_to, found).await;
                }
                if !matches!(up_to, UpTo::Seq(_)) {
                    // Where the snapshot ended is not known, so it begins anew.
                    found.truncate(before);
                }
            }
        }
        next = found.get(before..).and_then(<[_]>::last).map(|last| last.seq.saturating_add(1));
    }
}

/// Subject by subject, from the leader: among them is a message that the engine cannot read, but JSON
/// can always be read.
async fn gather_as_json(
    api: &Api,
    stream: &str,
    subjects: &[String],
    up_to: &mut UpTo,
    found: &mut Vec<StoredMessage>,
) -> Result<()> {
    let limit = match up_to {
        UpTo::Seq(seq) => *seq,
        UpTo::Now => {
            let info = api.call(Op::StreamInfo(stream), "").await?;
            info.pointer("/state/last_seq").and_then(Value::as_u64).unwrap_or(u64::MAX)
        }
        // The leader can say what is last, not what was.
        UpTo::Time(_) => return Err(unreadable(stream)),
    };
    *up_to = UpTo::Seq(limit);
    let names = names(api, stream, subjects).await?;
    let last = |name| json!({"last_by_subj": name}).to_string();
    // All of them are on their way before the first answer comes.
    let asked: Vec<_> =
        names.iter().map(|name| api.call(Op::MessageGet(stream), last(name))).collect();
    for (name, reply) in names.iter().zip(asked) {
        let message = match reply.await {
            Ok(reply) => StoredMessage::from_reply(&reply)?,
            Err(error) if error.kind == Kind::MsgNotFound => continue,
            Err(error) => return Err(error),
        };
        if message.seq <= limit {
            found.push(message);
            continue;
        }
        let before = question(std::slice::from_ref(name), None, up_to);
        if let End::Interrupted = page(api, stream, &before, found).await? {
            return Err(unreadable(stream));
        }
    }
    Ok(())
}

fn unreadable(stream: &str) -> Error {
    let text = format!("A message of the stream {stream} cannot be read");
    Error::new(Kind::Protocol, text)
}

/// The subjects that these stand for.
async fn names(api: &Api, stream: &str, subjects: &[String]) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for subject in subjects {
        if !subject.split('.').any(|token| matches!(token, "*" | ">")) {
            names.insert(subject.clone());
            continue;
        }
        let filter = json!({"subjects_filter": subject}).to_string();
        let info = api.call(Op::StreamInfo(stream), filter).await?;
        let present = info.pointer("/state/subjects").and_then(Value::as_object);
        names.extend(present.into_iter().flat_map(Map::keys).cloned());
    }
    Ok(names)
}

fn question(subjects: &[String], next: Option<u64>, up_to: &UpTo) -> Value {
    let mut question = Map::new();
    question.insert("multi_last".into(), subjects.into());
    if let Some(next) = next {
        question.insert("seq".into(), next.into());
    }
    match up_to {
        UpTo::Now => {}
        UpTo::Seq(seq) => drop(question.insert("up_to_seq".into(), (*seq).into())),
        UpTo::Time(time) => drop(question.insert("up_to_time".into(), time.as_str().into())),
    }
    question.insert("max_bytes".into(), page::BYTES.into());
    question.into()
}
