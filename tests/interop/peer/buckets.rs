//! Buckets.

use crate::Peer;
use crate::words::{Answer, Failure, Words, next, unknown};
use async_nats::jetstream::kv::{
    Config, CreateErrorKind, Entry, Operation, Store, UpdateErrorKind,
};
use futures_util::StreamExt;

pub async fn run(peer: &mut Peer, op: &str, words: &mut Words) -> Result<Answer, Failure> {
    match op {
        "create_bucket" => {
            let bucket = words.text()?;
            let (history, markers) = (i64::try_from(words.number()?)?, words.duration()?);
            let limit_markers = (!markers.is_zero()).then_some(markers);
            let config = Config { bucket, history, limit_markers, ..Default::default() };
            peer.js.create_key_value(config).await?;
            return Ok(Answer::default());
        }
        "next" => {
            let number = words.number()?;
            let watch = peer.watches.get_mut(&number).ok_or_else(|| unknown(op))?;
            let entry = next(watch.next()).await?.map_err(|error| Failure::other(&error))?;
            let answer = Answer::default().word(name_of(&entry)).word(&entry.key);
            return Ok(answer.word(entry.revision).bytes(&entry.value));
        }
        _ => {}
    }
    let store = peer.js.get_key_value(words.text()?).await?;
    if op == "watch" {
        let watch = store.watch_with_history(words.text()?).await?;
        let number = peer.number();
        peer.watches.insert(number, watch);
        return Ok(Answer::default().word(number));
    }
    with_store(&store, op, words).await
}

async fn with_store(store: &Store, op: &str, words: &mut Words) -> Result<Answer, Failure> {
    let answer = Answer::default();
    match op {
        "put" => Ok(answer.word(store.put(words.text()?, words.bytes()?).await?)),
        "create" => {
            let (key, value, ttl) = (words.text()?, words.bytes()?, words.duration()?);
            let created = if ttl.is_zero() {
                store.create(key, value).await
            } else {
                store.create_with_ttl(key, value, ttl).await
            };
            match created {
                Ok(revision) => Ok(answer.word(revision)),
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                    Err(Failure::new("wrong-revision", error))
                }
                Err(error) => Err(Failure::other(&error)),
            }
        }
        "update" => match store.update(words.text()?, words.bytes()?, words.number()?).await {
            Ok(revision) => Ok(answer.word(revision)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                Err(Failure::new("wrong-revision", error))
            }
            Err(error) => Err(Failure::other(&error)),
        },
        "delete" => store.delete(words.text()?).await.map(|()| answer).map_err(Failure::from),
        "purge" => {
            let (key, ttl) = (words.text()?, words.duration()?);
            if ttl.is_zero() {
                store.purge(key).await?;
            } else {
                store.purge_with_ttl(key, ttl).await?;
            }
            Ok(answer)
        }
        "get" => {
            let (key, revision) = (words.text()?, words.number()?);
            let entry = if revision == 0 {
                store.entry(key).await?
            } else {
                store.entry_for_revision(key, revision).await?
            };
            match entry {
                Some(entry) if entry.operation == Operation::Put => {
                    Ok(answer.bytes(&entry.value).word(entry.revision))
                }
                _ => Err(Failure::not_found()),
            }
        }
        "history" => {
            let mut entries = store.history(words.text()?).await?;
            let mut answer = answer;
            while let Some(entry) = entries.next().await {
                let entry = entry.map_err(|error| Failure::other(&error))?;
                answer = answer.word(name_of(&entry)).word(entry.revision).bytes(&entry.value);
            }
            Ok(answer)
        }
        "keys" => {
            let mut keys = Vec::new();
            let mut found = store.keys().await?;
            while let Some(key) = found.next().await {
                keys.push(key?);
            }
            keys.sort();
            Ok(keys.iter().fold(answer, Answer::word))
        }
        "status" => {
            let status = store.status().await?;
            let ttl = status.max_age().as_millis();
            Ok(answer.word(status.history()).word(status.values()).word(ttl))
        }
        _ => Err(unknown(op)),
    }
}

fn name_of(entry: &Entry) -> &'static str {
    match entry.operation {
        Operation::Put => "PUT",
        Operation::Delete => "DEL",
        Operation::Purge => "PURGE",
    }
}
