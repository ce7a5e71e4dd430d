//! What a bucket has now, gathered by a consumer of a moment. No Tcl here: `keys` and `history`, which
//! hand over while they gather, are in `gather`.

use crate::bucket::names::not_found;
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::Api;
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::consumer::{Observer, OrderedConsumer};
use crate::jetstream::ordered::{ConsumerState, OrderedConfig};
use crate::jetstream::stored::StoredMessage;
use crate::keyvalue::bucket::Bucket;
use crate::keyvalue::entry::Entry;
use crate::lock::lock;
use crate::transport::Message;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::Notify;

struct State {
    entries: Vec<Entry>,
    /// Messages for which the server has no credit yet.
    unconfirmed: u64,
    heard: Instant,
    end: Option<Result<()>>,
}

struct Shared {
    state: Mutex<State>,
    news: Notify,
}

impl Shared {
    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.news.notify_one();
    }

    fn end(&self, outcome: Result<()>) {
        self.tell(|state| {
            state.end.get_or_insert(outcome);
        });
    }
}

struct Gatherer {
    shared: Arc<Shared>,
    bucket: Arc<Bucket>,
    created: bool,
}

impl Gatherer {
    fn came(&self, entry: Option<Entry>) {
        self.shared.tell(|state| {
            state.unconfirmed += 1;
            state.heard = Instant::now();
            if state.end.is_none() {
                state.entries.extend(entry);
            }
        });
    }
}

impl Observer for Gatherer {
    fn heard(&mut self) {
        lock(&self.shared.state).heard = Instant::now();
    }

    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        let (subject, value) = (message.subject(), message.payload());
        self.came(Entry::from_watch(&self.bucket, subject, meta, message, value));
    }

    fn stored(&mut self, stored: &StoredMessage) {
        self.came(Entry::from_stored_watch(&self.bucket, stored, true));
    }

    fn end_of_data(&mut self) {
        self.shared.end(Ok(()));
    }

    /// The first creation starts the clock; another one is no progress.
    fn created(&mut self, _info: &Value) {
        if !std::mem::replace(&mut self.created, true) {
            self.heard();
        }
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        // Everything else heals.
        match kind {
            Kind::StreamNotFound => self.shared.end(Err(not_found(&self.bucket.name))),
            Kind::ConnectionClosed => self.shared.end(Err(Error::new(kind, text))),
            _ => {}
        }
    }

    fn state(&mut self, state: ConsumerState) {
        if state == ConsumerState::Recreated {
            // What came before is of another bucket.
            self.shared.tell(|state| state.entries.clear());
        }
    }
}

impl Drop for Gatherer {
    fn drop(&mut self) {
        self.shared.end(Err(Error::connection_closed()));
    }
}

/// The last entry of each key that these consumers deliver and that is wanted, in the order of revisions.
pub async fn gather(
    api: &Api,
    bucket: &Arc<Bucket>,
    consumers: Vec<OrderedConfig>,
    wanted: fn(&Entry) -> bool,
) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    for config in consumers {
        all.extend(consume(api, bucket, config).await?);
    }
    // While others write, a key may come again; and several patterns may match it.
    let mut last: HashMap<&str, u64> = HashMap::with_capacity(all.len());
    for entry in &all {
        let known = last.entry(entry.key()).or_default();
        *known = entry.revision.max(*known);
    }
    let is_last: Vec<bool> =
        all.iter().map(|entry| last.get(entry.key()) == Some(&entry.revision)).collect();
    let mut kept = is_last.into_iter();
    all.retain(|entry| kept.next().unwrap_or(false) && wanted(entry));
    all.sort_by_key(|entry| entry.revision);
    all.dedup_by_key(|entry| entry.revision);
    Ok(all)
}

/// What one consumer delivers until the end of what was there.
async fn consume(api: &Api, bucket: &Arc<Bucket>, config: OrderedConfig) -> Result<Vec<Entry>> {
    let state = State { entries: Vec::new(), unconfirmed: 0, heard: Instant::now(), end: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), news: Notify::new() });
    let gatherer = Gatherer { shared: shared.clone(), bucket: bucket.clone(), created: false };
    let (told, name) = (shared.clone(), bucket.name.clone());
    let done = Box::new(move |created: Result<()>| {
        if let Err(error) = created {
            told.end(Err(match error.kind {
                Kind::StreamNotFound => not_found(&name),
                _ => error,
            }));
        }
    });
    let consumer = OrderedConsumer::start(api.clone(), config, Box::new(gatherer), done);
    loop {
        let (unconfirmed, end, heard) = {
            let mut state = lock(&shared.state);
            (std::mem::take(&mut state.unconfirmed), state.end.take(), state.heard)
        };
        if unconfirmed > 0 {
            consumer.consumed(unconfirmed);
        }
        if let Some(end) = end {
            end?;
            return Ok(std::mem::take(&mut lock(&shared.state).entries));
        }
        let silence = async {
            match api.timeout.and_then(|limit| heard.checked_add(limit)) {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.news.notified() => {}
            () = silence => {
                let silent = lock(&shared.state).heard.elapsed();
                if api.timeout.is_some_and(|limit| silent >= limit) {
                    let text = format!("Timeout while gathering keys in bucket {}", bucket.name);
                    return Err(Error::new(Kind::Timeout, text));
                }
            }
        }
    }
}
