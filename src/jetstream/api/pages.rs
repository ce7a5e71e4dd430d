//! Lists that come in pages.

use std::collections::{BTreeSet, HashSet};

use futures_util::stream::{self, StreamExt};
use serde_json::{Map, Value};

use super::paging::{Page, Paging};
use super::{Api, Op};
use crate::error::Result;
use crate::jetstream::roll::{Roll, mark};
use crate::rfc3339;

/// How much of a page comes again with the next one. There are 1024 names in a page, 256 infos, 100 000
/// subjects.
const NAMES: u64 = 64;
const INFOS: u64 = 8;
const SUBJECTS: u64 = 1000;
const SECOND_NS: i128 = 1_000_000_000;
/// A question takes one filter. So many of them are asked at the same time; an answer may have megabytes.
const FILTERS_AT_ONCE: usize = 8;

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
        let mut paging = Paging::new(NAMES);
        loop {
            // The first page is asked for as nats-tcl does, without an offset.
            match paging.offset() {
                0 => drop(fields.shift_remove("offset")),
                offset => drop(fields.insert("offset".to_owned(), offset.into())),
            }
            let mut page = self.call(op, body(&fields)).await?;
            let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
            // Without any element the list is null.
            let items = array(page.get_mut(key).map(Value::take).unwrap_or_default());
            let state = paging.came(items.iter().filter_map(Value::as_str), total);
            if state != Page::Gap {
                let is_new =
                    |item: &Value| item.as_str().is_some_and(|name| known.insert(name.to_owned()));
                all.extend(items.into_iter().filter(is_new));
            }
            if state == Page::Last {
                return Ok(all);
            }
        }
    }

    /// The subjects of a stream that match a filter, and the end of the stream when the first of them
    /// were told.
    pub async fn subjects(&self, stream: &str, filter: &str) -> Result<(BTreeSet<String>, u64)> {
        let fields = Map::from_iter([("subjects_filter".to_owned(), filter.into())]);
        let (mut subjects, mut last_seq) = (BTreeSet::new(), 0);
        let take = |first: bool, info: Value, page: Map<String, Value>| {
            let last = info.pointer("/state/last_seq").and_then(Value::as_u64);
            last_seq = last.filter(|_| first).unwrap_or(last_seq);
            subjects.extend(page.into_iter().map(|(subject, _)| subject));
        };
        self.subject_pages(stream, fields, take).await?;
        Ok((subjects, last_seq))
    }

    /// The subjects of a stream's messages that match any of the filters. `page` is called for each
    /// page that has come.
    ///
    /// # Errors
    /// Those of the request.
    pub async fn roll(
        &self,
        stream_name: &str,
        filters: &[String],
        page: impl Fn() + Send + Sync,
    ) -> Result<Roll> {
        let asked = stream::iter(filters.to_vec())
            .map(|filter: String| self.roll_of_one(stream_name, filter, &page));
        let mut rolls = asked.buffer_unordered(FILTERS_AT_ONCE);
        let mut whole = Roll { last_seq: u64::MAX, ..Roll::default() };
        while let Some(roll) = rolls.next().await {
            whole.add(roll?);
        }
        Ok(whole)
    }

    async fn roll_of_one(
        &self,
        stream: &str,
        filter: String,
        came: &(impl Fn() + Send + Sync),
    ) -> Result<Roll> {
        let mut roll = Roll { last_seq: u64::MAX, ..Roll::default() };
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
        self.subject_pages(stream, fields, take).await?;
        Ok(roll)
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
    async fn subject_pages(
        &self,
        stream: &str,
        mut fields: Map<String, Value>,
        mut take: impl FnMut(bool, Value, Map<String, Value>) + Send,
    ) -> Result<()> {
        let mut paging = Paging::new(SUBJECTS);
        let mut first = true;
        loop {
            let mut info = self.call(Op::StreamInfo(stream), body(&fields)).await?;
            let total = info.get("total").and_then(Value::as_u64).unwrap_or(0);
            // Without any subject the field is missing.
            let subjects = info.get_mut("state").and_then(|state| state.get_mut("subjects"));
            let page = match subjects.map(Value::take) {
                Some(Value::Object(page)) => page,
                _ => Map::new(),
            };
            let state = paging.came(page.keys().map(String::as_str), total);
            take(first, info, if state == Page::Gap { Map::new() } else { page });
            if state == Page::Last {
                return Ok(());
            }
            first = false;
            fields.insert("offset".to_owned(), paging.offset().into());
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
        let mut paging = Paging::new(INFOS);
        loop {
            let mut page = self.call(op, body(&fields)).await?;
            let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
            let mut part = |key: &str| page.get_mut(key).map(Value::take).unwrap_or_default();
            let (infos, missing) = (array(part(key)), array(part("missing")));
            let offline = match part("offline") {
                Value::Object(offline) => offline,
                _ => Map::new(),
            };
            // One can be in more than one of them.
            let mut names: BTreeSet<&str> = infos.iter().map(name_of).collect();
            names.extend(missing.iter().filter_map(Value::as_str));
            names.extend(offline.keys().map(String::as_str));
            let state = paging.came(names.into_iter(), total);
            if state != Page::Gap {
                all.infos.extend(
                    infos.into_iter().filter(|info| known.insert(name_of(info).to_owned())),
                );
                for name in missing {
                    if !all.missing.contains(&name) {
                        all.missing.push(name);
                    }
                }
                all.offline.extend(offline);
            }
            if state == Page::Last {
                return Ok(all);
            }
            fields.insert("offset".to_owned(), paging.offset().into());
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
