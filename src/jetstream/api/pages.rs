//! Lists that come in pages.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Api, Op};
use crate::error::Result;
use crate::jetstream::roll::{Roll, mark};
use crate::rfc3339;

/// How many subjects of a page come again with the next one.
const OVERLAP: u64 = 1000;
const SECOND_NS: i128 = 1_000_000_000;

impl Api {
    /// All names of streams, optionally of those that take a subject.
    pub async fn stream_names(&self, subject: Option<&str>) -> Result<Vec<Value>> {
        let subject = subject.map(|subject| ("subject".to_owned(), subject.into()));
        self.all_pages(Op::StreamNames, "streams", subject.into_iter().collect()).await
    }

    /// All names of a stream's consumers.
    pub async fn consumer_names(&self, stream: &str) -> Result<Vec<Value>> {
        self.all_pages(Op::ConsumerNames(stream), "consumers", Map::new()).await
    }

    /// The list under `key`, from as many pages as there are.
    async fn all_pages(
        &self,
        op: Op<'_>,
        key: &str,
        mut fields: Map<String, Value>,
    ) -> Result<Vec<Value>> {
        let (mut all, mut known) = (Vec::new(), HashSet::new());
        let mut offset = 0;
        loop {
            // The first page is asked for as nats-tcl does, without an offset.
            if offset > 0 {
                fields.insert("offset".to_owned(), offset.into());
            }
            let mut page = self.call(op, body(&fields)).await?;
            let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
            // Without any element the list is null.
            let Some(Value::Array(items)) = page.get_mut(key).map(Value::take) else { break };
            let empty = items.is_empty();
            offset += items.len() as u64;
            // When others are made meanwhile it comes again with the next page.
            let is_new =
                |item: &Value| item.as_str().is_some_and(|name| known.insert(name.to_owned()));
            all.extend(items.into_iter().filter(is_new));
            if empty || offset >= total {
                break;
            }
        }
        Ok(all)
    }

    /// The subjects of a stream's messages that match any of the filters. `page` is called for each
    /// page that has come.
    ///
    /// # Errors
    /// Those of the request.
    pub async fn roll(
        &self,
        stream: &str,
        filters: &[String],
        page: impl Fn() + Send + Sync,
    ) -> Result<Roll> {
        let mut roll = Roll { last_seq: u64::MAX, ..Roll::default() };
        for filter in filters {
            self.call_roll(stream, filter, &page, &mut roll).await?;
        }
        Ok(roll)
    }

    /// Adds those that match one filter.
    async fn call_roll(
        &self,
        stream: &str,
        filter: &str,
        came: &(impl Fn() + Send + Sync),
        roll: &mut Roll,
    ) -> Result<()> {
        let fields = Map::from_iter([("subjects_filter".to_owned(), filter.into())]);
        let take = |first: bool, info: Value, page: Map<String, Value>| {
            came();
            roll.fresh |= first && is_fresh(&info);
            let Some(state) = info.get("state") else { return };
            let number = |key: &str| state.get(key).and_then(Value::as_u64).unwrap_or(0);
            roll.last_seq = roll.last_seq.min(number("last_seq"));
            roll.first_seq = roll.first_seq.max(number("first_seq"));
            roll.marks.extend(page.keys().map(|subject| mark(subject)));
        };
        self.subject_pages(stream, fields, take).await
    }

    /// The info of a stream with all the subjects that were asked for.
    pub async fn stream_info(&self, stream: &str, fields: Map<String, Value>) -> Result<Value> {
        let counts = fields.contains_key("subjects_filter");
        let (mut whole, mut subjects) = (Value::Null, Map::new());
        let take = |first: bool, info: Value, page: Map<String, Value>| {
            if first {
                whole = info;
            }
            subjects.extend(page);
        };
        self.subject_pages(stream, fields, take).await?;
        if let Some(Value::Object(state)) = whole.get_mut("state").filter(|_| counts) {
            state.insert("subjects".to_owned(), subjects.into());
        }
        Ok(whole)
    }

    /// Asks for the info of a stream as often as it takes to learn all of its subjects. `take` is
    /// called with each info, and with the subjects in it; some come more than once.
    ///
    /// Subjects come and go between two pages, and what goes moves the others towards the first page.
    /// The server sorts them, though: a page that begins at or before the end of the last one lacks
    /// nothing that was there all the time. So each page overlaps the one before it, and when there
    /// is a gap all the same, another one further to the front is asked for.
    async fn subject_pages(
        &self,
        stream: &str,
        mut fields: Map<String, Value>,
        mut take: impl FnMut(bool, Value, Map<String, Value>) + Send,
    ) -> Result<()> {
        let (mut offset, mut back) = (0_u64, OVERLAP);
        let mut first = true;
        let mut end: Option<String> = None;
        loop {
            let mut info = self.call(Op::StreamInfo(stream), body(&fields)).await?;
            let total = info.get("total").and_then(Value::as_u64).unwrap_or(0);
            // Without any subject the field is missing.
            let subjects = info.get_mut("state").and_then(|state| state.get_mut("subjects"));
            let page = match subjects.map(Value::take) {
                Some(Value::Object(page)) => page,
                _ => Map::new(),
            };
            let gap = match (page.keys().min(), &end) {
                (Some(least), Some(end)) => least > end,
                (None, Some(_)) => total > 0,
                (_, None) => false,
            };
            if gap && offset > 0 {
                take(first, info, Map::new());
                offset = offset.saturating_sub(back.max(1));
                back = (back * 2).max(2);
            } else {
                let length = page.len() as u64;
                end = end.max(page.keys().max().cloned());
                take(first, info, page);
                first = false;
                if length == 0 || offset + length >= total {
                    return Ok(());
                }
                back = OVERLAP.min(length / 2);
                offset += length - back;
            }
            fields.insert("offset".to_owned(), offset.into());
            // Once is enough.
            fields.shift_remove("deleted_details");
        }
    }

    /// What is known of all streams or consumers, from as many pages as there are. In a cluster there
    /// may be some whose servers do not answer.
    pub async fn list(
        &self,
        op: Op<'_>,
        key: &str,
        mut fields: Map<String, Value>,
    ) -> Result<Listing> {
        let mut all = Listing::default();
        let mut known = HashSet::new();
        let mut offset = 0;
        loop {
            let mut page = self.call(op, body(&fields)).await?;
            let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
            let mut part = |key: &str| page.get_mut(key).map(Value::take).unwrap_or_default();
            let (infos, missing, offline) = (part(key), part("missing"), part("offline"));
            // One can be in more than one of them.
            let mut names = HashSet::new();
            for info in array(infos) {
                let name = name_of(&info).to_owned();
                names.insert(name.clone());
                // When others are made meanwhile it comes again with the next page.
                if known.insert(name) {
                    all.infos.push(info);
                }
            }
            for name in array(missing) {
                names.insert(name.as_str().unwrap_or_default().to_owned());
                if !all.missing.contains(&name) {
                    all.missing.push(name);
                }
            }
            if let Value::Object(offline) = offline {
                names.extend(offline.keys().cloned());
                all.offline.extend(offline);
            }
            offset += names.len() as u64;
            if names.is_empty() || offset >= total {
                return Ok(all);
            }
            fields.insert("offset".to_owned(), offset.into());
        }
    }
}

/// Streams or consumers.
#[derive(Default)]
pub struct Listing {
    pub infos: Vec<Value>,
    /// The names of those whose servers did not answer.
    pub missing: Vec<Value>,
    /// Why others do not work, by name.
    pub offline: Map<String, Value>,
}

fn array(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn name_of(info: &Value) -> &str {
    let name = info.get("name").or_else(|| info.get("config")?.get("name"));
    name.and_then(Value::as_str).unwrap_or_default()
}

/// Nothing for a request without any field.
fn body(fields: &Map<String, Value>) -> Vec<u8> {
    match fields.is_empty() {
        true => Vec::new(),
        // Serialising strings and numbers to memory cannot fail.
        false => serde_json::to_vec(fields).unwrap_or_default(),
    }
}

/// Whether a stream got its last message within the last second, as far as its info says.
fn is_fresh(info: &Value) -> bool {
    let time = |of: Option<&Value>| rfc3339::nanoseconds(of?.as_str()?);
    let last = time(info.get("state").and_then(|state| state.get("last_ts")));
    match (time(info.get("ts")), last) {
        (Some(now), Some(last)) => now - last < SECOND_NS,
        _ => true,
    }
}
