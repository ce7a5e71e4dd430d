//! How the keys that patterns stand for are found: by consumers of a moment, or one by one. Patterns that
//! share keys cannot be filters of one consumer.

use super::listing;
use super::pipeline::{API_WINDOW, WINDOW, pipelined};
use crate::error::{Kind, Result};
use crate::jetstream::api::Api;
use crate::jetstream::ordered::OrderedConfig;
use crate::keyvalue::entry::Entry;
use crate::keyvalue::names::is_plain;
use crate::keyvalue::patterns::{is_wide, share_keys, without_covered};
use crate::keyvalue::store::Store;
use futures_util::stream::{self, StreamExt};

/// So many filters a consumer gets, and so many bytes of them: a request has to fit what servers take.
const FILTERS: usize = 1000;
const LENGTH: usize = 256 << 10;

/// Patterns without repetition, and without those that another one includes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    pub keys: Vec<String>,
    pub wild: Vec<String>,
}

impl Patterns {
    pub fn new(given: impl IntoIterator<Item = String>) -> Patterns {
        let all = without_covered(given.into_iter().collect());
        let (wild, keys) = all.into_iter().partition(|pattern| is_wide(pattern));
        Patterns { keys, wild }
    }

    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.keys.iter().chain(&self.wild)
    }

    /// Those that may have been meant otherwise, see `check_found`.
    pub fn odd(&self) -> Vec<String> {
        self.all().filter(|pattern| !is_plain(pattern)).cloned().collect()
    }

    /// The filters of as few consumers as possible. `several`: one may have more than one of them.
    fn filters(&self, with_keys: bool, several: bool) -> Vec<Vec<&str>> {
        let mut groups: Vec<Vec<&str>> = Vec::new();
        for pattern in &self.wild {
            let apart = |group: &&mut Vec<&str>| {
                several
                    && group.len() < FILTERS
                    && !group.iter().any(|one| share_keys(one, pattern))
            };
            match groups.iter_mut().find(apart) {
                Some(group) => group.push(pattern),
                None => groups.push(vec![pattern]),
            }
        }
        let (mut part, mut length) = (Vec::new(), 0);
        for key in self.keys.iter().filter(|_| with_keys) {
            if part.len() == FILTERS || (length + key.len() > LENGTH && !part.is_empty()) {
                groups.push(std::mem::take(&mut part));
                length = 0;
            }
            length += key.len();
            part.push(key.as_str());
        }
        groups.extend(Some(part).filter(|part| !part.is_empty()));
        groups
    }
}

/// What finds them.
pub struct Plan {
    store: Store,
    api: Api,
    consumers: Vec<OrderedConfig>,
    /// Read one by one.
    keys: Vec<String>,
}

impl Plan {
    /// `few`: so many keys without wildcards are read one by one, with their values; more of them, and
    /// wildcards, are delivered by consumers as `config` has them for filters, if one may have several.
    pub fn new(
        store: Store,
        api: Api,
        patterns: &Patterns,
        few: usize,
        several: bool,
        config: impl Fn(Vec<&str>) -> OrderedConfig,
    ) -> Plan {
        let by_consumer = several && patterns.keys.len() > few;
        let consumers = patterns.filters(by_consumer, several).into_iter().map(config).collect();
        let keys = if by_consumer { Vec::new() } else { patterns.keys.clone() };
        Plan { store, api, consumers, keys }
    }

    /// The last entry of each key, deletions included, if it is wanted; in the order of revisions.
    pub async fn find(self, wanted: fn(&Entry) -> bool) -> Result<Vec<Entry>> {
        let Plan { store, api, consumers, keys } = self;
        let bucket = &store.bucket;
        let mut found = listing::gather(&api, bucket, consumers, wanted).await?;
        let one_by_one = !keys.is_empty();
        for entry in each(&store, keys).await {
            match entry {
                Ok(entry) => found.extend(Some(entry).filter(wanted)),
                Err(error) if error.kind == Kind::KeyNotFound => {}
                Err(error) => return Err(error),
            }
        }
        if one_by_one {
            found.sort_by_key(|entry| entry.revision);
        }
        Ok(found)
    }
}

/// Reads keys, all at once; as new as what the handle has written, if it wants that.
pub async fn each(store: &Store, keys: Vec<String>) -> Vec<Result<Entry>> {
    if store.own_writes.is_some() {
        return each_as(store, keys, false).await;
    }
    let (link, reader) = (store.link.clone(), store.clone());
    pipelined(link, keys.len(), WINDOW, move |at, answer| {
        let key = keys.get(at).map(String::as_str).unwrap_or_default();
        reader.read(key, None, move |entry| answer.come(entry))
    })
    .await
}

/// Reads keys where they are written, from the leader, all at once.
pub async fn each_by_leader(store: &Store, keys: Vec<String>) -> Vec<Result<Entry>> {
    each_as(store, keys, true).await
}

async fn each_as(store: &Store, keys: Vec<String>, consistent: bool) -> Vec<Result<Entry>> {
    let asked = stream::iter(keys).map(|key| {
        let reader = store.clone();
        async move { reader.reading_as(&key, None, consistent).await }
    });
    asked.buffered(API_WINDOW).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(given: &[&str]) -> Patterns {
        Patterns::new(given.iter().map(ToString::to_string))
    }

    #[test]
    fn the_same_is_asked_for_once() {
        let found = patterns(&["a.b", "x", "a.*", "a.b", "a.*", "y.>", "y.z.*", "x"]);
        assert_eq!(found.keys, ["x"]);
        assert_eq!(found.wild, ["a.*", "y.>"]);
    }

    #[test]
    fn filters_of_one_consumer_share_no_keys() {
        let given = patterns(&["a.*", "*.b", "c.d.>", "k"]);
        assert_eq!(given.filters(true, true), [vec!["a.*", "c.d.>"], vec!["*.b"], vec!["k"]]);
        assert_eq!(given.filters(false, false), [["a.*"], ["*.b"], ["c.d.>"]]);
        let many: Vec<String> = (0..2500).map(|n| n.to_string()).collect();
        let lengths: Vec<_> =
            Patterns::new(many).filters(true, true).iter().map(Vec::len).collect();
        assert_eq!(lengths, [1000, 1000, 500]);
    }
}
