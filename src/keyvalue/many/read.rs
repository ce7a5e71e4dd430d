//! The last values of many keys. No Tcl here.
//!
//! A server since 2.11 answers for up to 1024 keys at once, which is a snapshot. Where it takes several
//! requests, they all ask for the bucket as it was at one revision. A bucket may keep no more of a key
//! than its last value, though: what was replaced meanwhile is missing then, and is read by itself.

use super::plan::{Patterns, Plan, each, each_by_leader};
use crate::bucket::names::not_found;
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::{Api, Op};
use crate::jetstream::messages::direct::Form;
use crate::jetstream::messages::last::{Gathered, UpTo, gather_in_steps};
use crate::jetstream::stored::StoredMessage;
use crate::keyvalue::bucket::Bucket;
use crate::keyvalue::entry::Entry;
use crate::keyvalue::store::Store;
use crate::transport::Message;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to wait before nobody is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// Makes entries of what a stream answers.
#[derive(Clone)]
struct Entries(Arc<Bucket>);

impl Form for Entries {
    type Item = Entry;

    fn of_reply(&self, reply: &Message) -> Result<Entry> {
        Entry::from_reply(&self.0, reply)
    }

    fn of_stored(&self, stored: StoredMessage) -> Result<Entry> {
        let entry = Entry::from_stored_watch(&self.0, &stored, true);
        entry.ok_or_else(|| Error::new(Kind::Protocol, "Invalid stored message"))
    }

    fn seq(entry: &Entry) -> u64 {
        entry.revision
    }
}

/// The last entry of each key that matches, without deletions, in the order of revisions; from servers
/// that do not answer for many keys at once. It is no snapshot.
pub async fn one_by_one(plan: Plan) -> Result<Vec<Entry>> {
    let mut found = plan.find(|entry| !entry.operation.deletes()).await?;
    // Those of consumers count down.
    found.iter_mut().for_each(|entry| entry.delta = 0);
    Ok(found)
}

/// The same, as one snapshot. While nobody is there to answer, it is asked again, as a single read is.
pub async fn snapshot(
    store: Store,
    api: Api,
    patterns: Patterns,
    up_to: UpTo,
) -> Result<Vec<Entry>> {
    let began = Instant::now();
    loop {
        let outcome = read(&store, &api, &patterns, &up_to).await;
        let Some(error) = outcome.as_ref().err().filter(|e| e.kind == Kind::NoResponders) else {
            return outcome;
        };
        match api.call(Op::StreamInfo(&store.bucket.stream), "").await {
            Err(gone) if gone.kind == Kind::StreamNotFound => {
                return Err(not_found(&store.bucket.name));
            }
            _ if api.timeout.is_some_and(|limit| began.elapsed() + PAUSE >= limit) => {
                return Err(error.clone());
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn read(store: &Store, api: &Api, patterns: &Patterns, up_to: &UpTo) -> Result<Vec<Entry>> {
    let bucket = &store.bucket;
    let subjects = |keys: &mut dyn Iterator<Item = &String>| -> Vec<String> {
        keys.map(|key| bucket.read_subject(key)).collect()
    };
    let now = matches!(up_to, UpTo::Now);
    let asked = subjects(&mut patterns.all());
    let form = Entries(bucket.clone());
    let gathered = gather_in_steps(&form, api, &bucket.stream, &asked, up_to.clone()).await?;
    let Gathered { messages: mut found, in_steps } = gathered;
    if now && in_steps {
        let names = names(api, store, patterns).await?;
        add_replaced(store, &mut found, names).await?;
    }
    if now {
        add_own_writes(store, &mut found, &patterns.keys).await?;
    }
    found.retain(|entry| !entry.operation.deletes());
    Ok(found)
}

/// The keys that there are, and those that were asked for by name.
async fn names(api: &Api, store: &Store, patterns: &Patterns) -> Result<BTreeSet<String>> {
    let bucket = &store.bucket;
    let mut names: BTreeSet<String> = patterns.keys.iter().cloned().collect();
    for pattern in &patterns.wild {
        let (subjects, _) = api.subjects(&bucket.stream, &bucket.read_subject(pattern)).await?;
        names.extend(subjects.iter().filter_map(|one| bucket.key_of(one)).map(str::to_owned));
    }
    Ok(names)
}

/// Reads those of the keys that are not among what was found.
async fn add_replaced(
    store: &Store,
    found: &mut Vec<Entry>,
    names: BTreeSet<String>,
) -> Result<()> {
    let known: HashSet<&str> = found.iter().map(Entry::key).collect();
    let missing: Vec<String> =
        names.into_iter().filter(|name| !known.contains(name.as_str())).collect();
    if missing.is_empty() {
        return Ok(());
    }
    // A replica may have less than the server that has told the names.
    let entries = match store.bucket.behind {
        true => each_by_leader(store, missing).await,
        false => each(store, missing).await,
    };
    add(found, entries)
}

/// Adds what was read key by key.
fn add(found: &mut Vec<Entry>, entries: Vec<Result<Entry>>) -> Result<()> {
    for entry in entries {
        match entry {
            Ok(entry) => found.push(entry),
            Err(error) if error.kind == Kind::KeyNotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by_key(|entry| entry.revision);
    Ok(())
}

/// The same, each key from the leader. It is no snapshot.
pub async fn consistent(store: Store, api: Api, patterns: Patterns) -> Result<Vec<Entry>> {
    let names = names(&api, &store, &patterns).await?;
    let mut found = Vec::with_capacity(names.len());
    add(&mut found, each_by_leader(&store, names.into_iter().collect()).await)?;
    found.retain(|entry| !entry.operation.deletes());
    Ok(found)
}

/// Reads again, from the leader, what is older than what the handle has written itself.
async fn add_own_writes(store: &Store, found: &mut Vec<Entry>, keys: &[String]) -> Result<()> {
    let Some(own) = &store.own_writes else { return Ok(()) };
    let newer = |key: &str, revision| own.latest(&store.bucket.write_subject(key)) > revision;
    let known: HashSet<&str> = found.iter().map(Entry::key).collect();
    let absent = keys.iter().filter(|key| !known.contains(key.as_str()) && newer(key, 0));
    let old = found.iter().filter(|entry| newer(entry.key(), entry.revision)).map(Entry::key);
    let again: HashSet<String> = absent.cloned().chain(old.map(str::to_owned)).collect();
    if again.is_empty() {
        return Ok(());
    }
    found.retain(|entry| !again.contains(entry.key()));
    add(found, each_by_leader(store, again.into_iter().collect()).await)
}
