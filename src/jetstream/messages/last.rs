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
/// What the server says to wildcards that stand for more.
const TOO_MANY: (u64, u64) = (413, 0);
/// How often a page may end because a message of it has just expired.
const TORN: u32 = 20;

/// The end of the snapshot.
#[derive(Clone, Debug)]
pub enum UpTo {
    /// Wherever the stream ends when it is asked.
    Now,
    Seq(u64),
    Time(String),
}

/// What was gathered.
#[derive(Default)]
pub struct Gathered {
    /// In the order of the stream.
    pub messages: Vec<StoredMessage>,
    /// It took more than one request. A message of the snapshot that was replaced between two of them
    /// may be missing then.
    pub in_steps: bool,
}

/// Gathers the last message of each of these subjects, wildcards included, in the order of the stream.
pub async fn gather(
    api: Api,
    stream: String,
    subjects: Vec<String>,
    up_to: UpTo,
) -> Result<Vec<StoredMessage>> {
    Ok(gather_in_steps(&api, &stream, &subjects, up_to).await?.messages)
}

/// [`gather`], which tells how it went.
pub async fn gather_in_steps(
    api: &Api,
    stream: &str,
    subjects: &[String],
    mut up_to: UpTo,
) -> Result<Gathered> {
    let mut found = Vec::new();
    if matches!(up_to, UpTo::Seq(0)) {
        // Before anything was; a server would take it for no limit.
        return Ok(Gathered::default());
    }
    let mut requests = 0;
    let parts = parts(subjects);
    let mut early = Vec::new();
    for part in &parts {
        let open = matches!(up_to, UpTo::Now);
        requests += gather_split(api, stream, part, &mut up_to, &mut found).await?;
        if open && found.is_empty() {
            early.push(part);
        }
    }
    // Nothing was there, and nothing said when.
    if matches!(up_to, UpTo::Seq(_)) {
        for part in early {
            requests += gather_split(api, stream, part, &mut up_to, &mut found).await?;
        }
    }
    found.sort_by_key(|message| message.seq);
    found.dedup_by_key(|message| message.seq);
    Ok(Gathered { messages: found, in_steps: requests > 1 })
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

/// Gathers a part, in parts of its own if its wildcards stand for more subjects than the server answers
/// for.
async fn gather_split(
    api: &Api,
    stream: &str,
    subjects: &[String],
    up_to: &mut UpTo,
    found: &mut Vec<StoredMessage>,
) -> Result<u32> {
    let before = found.len();
    let refused = match gather_part(api, stream, subjects, up_to, found).await {
        Err(error)
            if error.api == Some(TOO_MANY)
                && subjects.iter().any(|subject| has_wildcards(subject)) =>
        {
            error
        }
        other => return other,
    };
    found.truncate(before);
    let (names, last_seq) = match names(api, stream, subjects).await {
        Err(error) if error.kind == Kind::Permissions => return Err(refused),
        other => other?,
    };
    // The snapshot ends where the stream did before the first of them was told.
    match (&*up_to, last_seq) {
        (UpTo::Now, Some(0)) => return Ok(1),
        (UpTo::Now, Some(last)) => *up_to = UpTo::Seq(last),
        _ => {}
    }
    let names: Vec<String> = names.into_iter().collect();
    // None if they have gone meanwhile; nothing at all the server does not take.
    let mut requests = 1;
    for part in parts(&names).into_iter().filter(|part| !part.is_empty()) {
        requests += gather_part(api, stream, part, up_to, found).await?;
    }
    Ok(requests)
}

async fn gather_part(
    api: &Api,
    stream: &str,
    subjects: &[String],
    up_to: &mut UpTo,
    found: &mut Vec<StoredMessage>,
) -> Result<u32> {
    let before = found.len();
    let mut unreadable = Unreadable::default();
    let (mut next, mut requests, mut torn) = (None, 0, 0);
    loop {
        requests += 1;
        match page(api, stream, &question(subjects, next, up_to), found).await? {
            End::Nothing => return Ok(requests),
            End::Torn => {
                torn += 1;
                if torn > TORN {
                    if found.len() == before {
                        // Said each time, it is another word for nothing.
                        return Ok(requests);
                    }
                    let text = "Messages vanish faster than they can be read";
                    return Err(Error::new(Kind::Protocol, text));
                }
                if !matches!(up_to, UpTo::Seq(_)) {
                    // Where the snapshot ended is not known, so it begins anew.
                    found.truncate(before);
                }
            }
            End::Whole { pending, up_to: end } => {
                if let Some(end) = end {
                    *up_to = UpTo::Seq(end);
                }
                if pending == 0 {
                    return Ok(requests);
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
                    gather_as_json(api, stream, subjects, up_to, found).await?;
                    return Ok(requests + 1);
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
    let (names, _) = names(api, stream, subjects).await?;
    let names: Vec<String> = names.into_iter().collect();
    for part in parts(&names) {
        part_as_json(api, stream, part, limit, found).await?;
    }
    Ok(())
}

async fn part_as_json(
    api: &Api,
    stream: &str,
    names: &[String],
    limit: u64,
    found: &mut Vec<StoredMessage>,
) -> Result<()> {
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
        let before = question(std::slice::from_ref(name), None, &UpTo::Seq(limit));
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

fn has_wildcards(subject: &str) -> bool {
    subject.split('.').any(|token| matches!(token, "*" | ">"))
}

/// The subjects that these stand for, and where the stream ended when the first of them were asked for,
/// if any had to be.
async fn names(
    api: &Api,
    stream: &str,
    subjects: &[String],
) -> Result<(BTreeSet<String>, Option<u64>)> {
    let (mut names, mut end) = (BTreeSet::new(), None);
    for subject in subjects {
        if !has_wildcards(subject) {
            names.insert(subject.clone());
            continue;
        }
        let (present, last_seq) = api.subjects(stream, subject).await?;
        end = end.or(Some(last_seq));
        names.extend(present);
    }
    Ok((names, end))
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
