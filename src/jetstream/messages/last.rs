//! The last messages of many subjects: one snapshot, however many requests it takes.

use super::direct::{AsStored, Form};
use super::page::{self, End, page};
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::{Api, Op};
use crate::jetstream::stored::StoredMessage;
use crate::jetstream::unreadable::Unreadable;
use serde::Serialize;
use serde_json::{Value, json};
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
pub struct Gathered<T> {
    /// In the order of the stream.
    pub messages: Vec<T>,
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
    Ok(gather_in_steps(&AsStored, &api, &stream, &subjects, up_to).await?.messages)
}

/// [`gather`], which tells how it went.
pub async fn gather_in_steps<F: Form>(
    form: &F,
    api: &Api,
    stream: &str,
    subjects: &[String],
    up_to: UpTo,
) -> Result<Gathered<F::Item>> {
    if matches!(up_to, UpTo::Seq(0)) {
        // Before anything was; a server would take it for no limit.
        return Ok(Gathered { messages: Vec::new(), in_steps: false });
    }
    let mut gathering = Gathering { form, api, stream, up_to, found: Vec::new(), requests: 0 };
    let parts = parts(subjects);
    let mut early = Vec::new();
    for part in &parts {
        let open = matches!(gathering.up_to, UpTo::Now);
        gathering.split(part).await?;
        if open && gathering.found.is_empty() {
            early.push(part);
        }
    }
    // Nothing was there, and nothing said when.
    if gathering.ends_at_seq() {
        for part in early {
            gathering.split(part).await?;
        }
    }
    let Gathering { mut found, requests, .. } = gathering;
    found.sort_by_key(F::seq);
    found.dedup_by_key(|message| F::seq(message));
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

/// What is being gathered.
struct Gathering<'a, F: Form> {
    form: &'a F,
    api: &'a Api,
    stream: &'a str,
    up_to: UpTo,
    found: Vec<F::Item>,
    requests: u32,
}

impl<F: Form> Gathering<'_, F> {
    /// Where the snapshot ends is known.
    fn ends_at_seq(&self) -> bool {
        matches!(self.up_to, UpTo::Seq(_))
    }

    /// Gathers these, in parts of their own if their wildcards stand for more subjects than the server answers
    /// for.
    async fn split(&mut self, subjects: &[String]) -> Result<()> {
        let before = self.found.len();
        let refused = match self.part(subjects).await {
            Err(error)
                if error.api == Some(TOO_MANY)
                    && subjects.iter().any(|subject| has_wildcards(subject)) =>
            {
                error
            }
            other => return other,
        };
        self.found.truncate(before);
        let (names, last_seq) = match names(self.api, self.stream, subjects).await {
            Err(error) if error.kind == Kind::Permissions => return Err(refused),
            other => other?,
        };
        // The snapshot ends where the stream did before the first of them was told.
        match (&self.up_to, last_seq) {
            (UpTo::Now, Some(0)) => return Ok(()),
            (UpTo::Now, Some(last)) => self.up_to = UpTo::Seq(last),
            _ => {}
        }
        let names: Vec<String> = names.into_iter().collect();
        // None if they have gone meanwhile; nothing at all the server does not take.
        for part in parts(&names).into_iter().filter(|part| !part.is_empty()) {
            self.part(part).await?;
        }
        Ok(())
    }

    async fn part(&mut self, subjects: &[String]) -> Result<()> {
        let before = self.found.len();
        let mut unreadable = Unreadable::default();
        let (mut next, mut torn) = (None, 0);
        loop {
            self.requests += 1;
            let question = question(subjects, next, &self.up_to);
            match page(self.form, self.api, self.stream, question, &mut self.found).await? {
                End::Nothing => return Ok(()),
                End::Torn => {
                    torn += 1;
                    if torn > TORN {
                        if self.found.len() == before {
                            // Said each time, it is another word for nothing.
                            return Ok(());
                        }
                        let text = "Messages vanish faster than they can be read";
                        return Err(Error::new(Kind::Protocol, text));
                    }
                    self.interrupted(before);
                }
                End::Whole { pending, up_to: end } => {
                    if let Some(end) = end {
                        self.up_to = UpTo::Seq(end);
                    }
                    if pending == 0 {
                        return Ok(());
                    }
                    if !self.ends_at_seq() {
                        let text = "A batch of last messages without the end of its snapshot";
                        return Err(Error::new(Kind::Protocol, text));
                    }
                }
                End::Interrupted => {
                    let position = self.last_since(before).map_or(0, F::seq);
                    unreadable.connection_lost(position);
                    if unreadable.is_next(position) {
                        self.found.truncate(before);
                        self.requests += 1;
                        return self.as_json(subjects).await;
                    }
                    self.interrupted(before);
                }
            }
            next = self.last_since(before).map(|last| F::seq(last).saturating_add(1));
        }
    }

    fn last_since(&self, before: usize) -> Option<&F::Item> {
        self.found.get(before..).and_then(<[_]>::last)
    }

    /// A page has not come to its end.
    fn interrupted(&mut self, before: usize) {
        if !self.ends_at_seq() {
            // Where the snapshot ended is not known, so it begins anew.
            self.found.truncate(before);
        }
    }

    /// Subject by subject, from the leader: among them is a message that the engine cannot read, but JSON
    /// can always be read.
    async fn as_json(&mut self, subjects: &[String]) -> Result<()> {
        let limit = match self.up_to {
            UpTo::Seq(seq) => seq,
            UpTo::Now => {
                let info = self.api.call(Op::StreamInfo(self.stream), "").await?;
                info.pointer("/state/last_seq").and_then(Value::as_u64).unwrap_or(u64::MAX)
            }
            // The leader can say what is last, not what was.
            UpTo::Time(_) => return Err(unreadable(self.stream)),
        };
        self.up_to = UpTo::Seq(limit);
        let (names, _) = names(self.api, self.stream, subjects).await?;
        let names: Vec<String> = names.into_iter().collect();
        for part in parts(&names) {
            self.part_as_json(part, limit).await?;
        }
        Ok(())
    }

    async fn part_as_json(&mut self, names: &[String], limit: u64) -> Result<()> {
        let (api, stream) = (self.api, self.stream);
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
                self.found.push(self.form.of_stored(message)?);
                continue;
            }
            let before = question(std::slice::from_ref(name), None, &UpTo::Seq(limit));
            if let End::Interrupted = page(self.form, api, stream, before, &mut self.found).await? {
                return Err(unreadable(stream));
            }
        }
        Ok(())
    }
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

/// The body of the request.
#[derive(Serialize)]
struct Question<'a> {
    multi_last: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    up_to_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    up_to_time: Option<&'a str>,
    max_bytes: u64,
}

fn question(subjects: &[String], next: Option<u64>, up_to: &UpTo) -> String {
    let (up_to_seq, up_to_time) = match up_to {
        UpTo::Now => (None, None),
        UpTo::Seq(seq) => (Some(*seq), None),
        UpTo::Time(time) => (None, Some(time.as_str())),
    };
    let max_bytes = page::BYTES;
    let body = Question { multi_last: subjects, seq: next, up_to_seq, up_to_time, max_bytes };
    // Texts and numbers can always be written.
    serde_json::to_string(&body).unwrap_or_default()
}
