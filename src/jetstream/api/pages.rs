//! Lists that come in pages.

use serde_json::{Map, Value, json};

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
        let mut fields = Map::new();
        if let Some(subject) = subject {
            fields.insert("subject".to_owned(), subject.into());
        }
        self.all_pages(Op::StreamNames, "streams", fields).await
    }

    /// The list under `key`, from as many pages as there are.
    pub async fn all_pages(
        &self,
        op: Op<'_>,
        key: &str,
        mut fields: Map<String, Value>,
    ) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            // The first page is asked for as nats-tcl does, without an offset.
            if !all.is_empty() {
                fields.insert("offset".to_owned(), all.len().into());
            }
            // Serialising strings and numbers to memory cannot fail.
            let body = match fields.is_empty() {
                true => Vec::new(),
                false => serde_json::to_vec(&fields).unwrap_or_default(),
            };
            let mut page = self.call(op, body).await?;
            let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
            // Without any element the list is null.
            let Some(Value::Array(mut items)) = page.get_mut(key).map(Value::take) else { break };
            let empty = items.is_empty();
            all.append(&mut items);
            if empty || u64::try_from(all.len()).is_ok_and(|len| len >= total) {
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

    /// Adds those that match one filter, from as many pages as there are.
    ///
    /// Subjects come and go between two pages, and what goes moves the others towards the first page.
    /// The server sorts them, though: a page that begins at or before the end of the last one lacks
    /// nothing that was there all the time. So each page overlaps the one before it, and when there
    /// is a gap all the same, another one further to the front is asked for.
    async fn call_roll(
        &self,
        stream: &str,
        filter: &str,
        came: &(impl Fn() + Send + Sync),
        roll: &mut Roll,
    ) -> Result<()> {
        let (mut offset, mut back) = (0_u64, OVERLAP);
        let mut end: Option<String> = None;
        loop {
            let body = json!({"subjects_filter": filter, "offset": offset}).to_string();
            let mut info = self.call(Op::StreamInfo(stream), body).await?;
            came();
            let total = info.get("total").and_then(Value::as_u64).unwrap_or(0);
            roll.fresh |= offset == 0 && is_fresh(&info);
            let Some(state) = info.get_mut("state") else { return Ok(()) };
            let number = |key: &str| state.get(key).and_then(Value::as_u64).unwrap_or(0);
            roll.last_seq = roll.last_seq.min(number("last_seq"));
            roll.first_seq = roll.first_seq.max(number("first_seq"));
            // Without any subject the field is missing.
            let page = match state.get_mut("subjects").map(Value::take) {
                Some(Value::Object(page)) => page,
                _ => Map::new(),
            };
            let gap = match (page.keys().min(), &end) {
                (Some(least), Some(end)) => least > end,
                (None, Some(_)) => total > 0,
                (_, None) => false,
            };
            if gap && offset > 0 {
                offset = offset.saturating_sub(back.max(1));
                back = (back * 2).max(2);
                continue;
            }
            let length = page.len() as u64;
            end = end.max(page.keys().max().cloned());
            roll.marks.extend(page.keys().map(|subject| mark(subject)));
            if length == 0 || offset + length >= total {
                return Ok(());
            }
            back = OVERLAP.min(length / 2);
            offset += length - back;
        }
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
