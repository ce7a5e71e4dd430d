//! The keys that a watch has reported as existing, to find those that vanish without a message.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// A watch by callback alone remembers so many keys and no more: its memory must not grow with the
/// bucket. One with an array has its names there and keeps only a fingerprint of each.
const MOST_NAMES: usize = 65_536;

enum Keys {
    Names(HashSet<Box<str>>),
    Fingerprints(HashSet<u64>),
    TooMany,
}

pub struct Known {
    keys: Keys,
    hasher: RandomState,
    /// Keys that were reported since a roll call began, with their latest revisions.
    since: Option<HashMap<u64, u64>>,
}

impl Known {
    /// For a watch that fills an array, or for one that does not.
    pub fn new(array: bool) -> Self {
        let keys = match array {
            true => Keys::Fingerprints(HashSet::new()),
            false => Keys::Names(HashSet::new()),
        };
        Known { keys, hasher: RandomState::new(), since: None }
    }

    pub fn put(&mut self, key: &str, revision: u64) {
        if let Some(since) = &mut self.since {
            since.insert(self.hasher.hash_one(key), revision);
        }
        match &mut self.keys {
            Keys::Fingerprints(all) => {
                all.insert(self.hasher.hash_one(key));
            }
            Keys::Names(all) if all.contains(key) => {}
            Keys::Names(all) if all.len() < MOST_NAMES => {
                all.insert(key.into());
            }
            Keys::Names(_) => self.keys = Keys::TooMany,
            Keys::TooMany => {}
        }
    }

    pub fn delete(&mut self, key: &str) {
        match &mut self.keys {
            Keys::Fingerprints(all) => {
                all.remove(&self.hasher.hash_one(key));
            }
            Keys::Names(all) => {
                all.remove(key);
            }
            Keys::TooMany => {}
        }
    }

    /// A roll call begins: what is reported from now on is there, whatever the answer says. Unless it
    /// was on its way already and is before the first message of the stream as the answer has it.
    pub fn roll_call_begins(&mut self) {
        self.since = Some(HashMap::new());
    }

    /// Forgets and returns the keys that are not present any more. `array` are the names of the
    /// array if there is one.
    pub fn vanished(
        &mut self,
        present: impl Fn(&str) -> bool,
        first_seq: u64,
        array: Vec<String>,
    ) -> Vec<String> {
        let since = self.since.take().unwrap_or_default();
        let names: Vec<String> = match &self.keys {
            Keys::TooMany => return Vec::new(),
            Keys::Names(all) => all.iter().map(|key| key.to_string()).collect(),
            Keys::Fingerprints(all) => {
                let known = |key: &String| all.contains(&self.hasher.hash_one(key));
                array.into_iter().filter(known).collect()
            }
        };
        let mut gone = names;
        let came =
            |key: &str| since.get(&self.hasher.hash_one(key)).is_some_and(|r| *r >= first_seq);
        gone.retain(|key| !present(key) && !came(key));
        gone.sort_unstable();
        for key in &gone {
            self.delete(key);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vanished(known: &mut Known, present: &[&str], array: &[&str]) -> Vec<String> {
        let array = array.iter().map(ToString::to_string).collect();
        known.vanished(|key| present.contains(&key), 5, array)
    }

    #[test]
    fn names() {
        let mut known = Known::new(false);
        for key in ["a", "b", "c", "d"] {
            known.put(key, 1);
        }
        known.delete("b");
        known.roll_call_begins();
        known.put("c", 5);
        known.put("late", 4);
        assert_eq!(vanished(&mut known, &["d"], &[]), ["a", "late"]);
        assert_eq!(vanished(&mut known, &[], &[]), ["c", "d"]);
        assert!(vanished(&mut known, &[], &[]).is_empty());
    }

    #[test]
    fn of_an_array_only_what_the_watch_put_there() {
        let mut known = Known::new(true);
        known.put("a", 1);
        known.put("b", 2);
        known.roll_call_begins();
        known.put("z", 9);
        let array = ["a", "b", "foreign", "z"];
        assert_eq!(vanished(&mut known, &["b"], &array), ["a"]);
        assert_eq!(vanished(&mut known, &[], &["b", "z"]), ["b", "z"]);
    }

    #[test]
    fn too_many_names_are_forgotten() {
        let mut known = Known::new(false);
        for n in 0..=MOST_NAMES {
            known.put(&n.to_string(), 1);
        }
        known.put("0", 1);
        known.roll_call_begins();
        assert!(vanished(&mut known, &[], &[]).is_empty());
    }
}
