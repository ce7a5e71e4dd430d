//! The last messages of many subjects: one snapshot, however many requests it takes.

use super::page::{self, End, page};
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::Api;
use crate::jetstream::stored::StoredMessage;
use crate::jetstream::unreadable::Unreadable;
use serde_json::{Map, Value};

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
    if parts.len() > 1 {
        found.sort_by_key(|message| message.seq);
        found.dedup_by_key(|message| message.seq);
    }
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
                    let text = format!("A message behind {position} of {stream} cannot be read");
                    return Err(Error::new(Kind::Protocol, text));
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
