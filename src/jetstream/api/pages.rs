//! Lists that come in pages.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{Api, Op};
use crate::error::{Error, Kind, Result};

/// How often a list of subjects is begun again because some of them have vanished meanwhile.
const SUBJECT_ROUNDS: u32 = 3;

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

    /// The subjects of a stream's messages that match any of the filters.
    ///
    /// # Errors
    /// Those of the request; `ErrTimeout` if subjects vanish all the time while pages are read.
    pub async fn subjects(&self, stream: &str, filters: &[String]) -> Result<HashSet<String>> {
        let mut all = HashSet::new();
        for filter in filters {
            all.extend(self.subjects_of(stream, filter).await?);
        }
        Ok(all)
    }

    /// Those that match one filter, from as many pages as there are.
    async fn subjects_of(&self, stream: &str, filter: &str) -> Result<HashSet<String>> {
        'again: for _ in 0..SUBJECT_ROUNDS {
            let mut all = HashSet::new();
            let (mut offset, mut steady) = (0, None);
            loop {
                let body = json!({"subjects_filter": filter, "offset": offset}).to_string();
                let mut info = self.call(Op::StreamInfo(stream), body).await?;
                let total = info.get("total").and_then(Value::as_u64).unwrap_or(0);
                let Some(state) = info.get_mut("state") else { break };
                // What vanishes between two pages moves others from the second to the first.
                let first_seq = state.get("first_seq").and_then(Value::as_u64);
                let (least, since) = *steady.get_or_insert((total, first_seq));
                if total < least || first_seq != since {
                    continue 'again;
                }
                // Without any the field is missing.
                let Some(Value::Object(page)) = state.get_mut("subjects").map(Value::take) else {
                    break;
                };
                offset += page.len() as u64;
                let empty = page.is_empty();
                all.extend(page.into_iter().map(|(subject, _)| subject));
                if empty || offset >= total {
                    break;
                }
            }
            return Ok(all);
        }
        Err(Error::new(Kind::Timeout, "Subjects vanish faster than they can be listed"))
    }
}
