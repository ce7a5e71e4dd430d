//! The keys that a watch has reported as existing, to find those that vanish without a message.

use crate::jetstream::roll::{AsItIs, Mark, Marks, mark};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;

type ByMark<T> = HashMap<Mark, T, BuildHasherDefault<AsItIs>>;

/// A watch by callback alone remembers so many keys and no more: its memory must not grow with the
/// bucket. One with an array has its names there and keeps only a fingerprint of each.
const MOST_NAMES: usize = 65_536;

enum Keys {
    Names(ByMark<Box<str>>),
    Fingerprints(Marks),
    TooMany,
}

pub struct Known {
    keys: Keys,
    /// Keys that were reported since a roll call began, with their latest revisions.
    since: Option<ByMark<u64>>,
}

impl Known {
    /// For a watch that fills an array, or for one that does not.
    pub fn new(array: bool) -> Self {
        let keys = match array {
            true => Keys::Fingerprints(Marks::default()),
            false => Keys::Names(ByMark::default()),
        };
        Known { keys, since: None }
    }

    pub fn put(&mut self, key: &str, revision: u64) {
        if self.since.is_none() && matches!(self.keys, Keys::TooMany) {
            return;
        }
        let mark = mark(key);
        if let Some(since) = &mut self.since {
            since.insert(mark, revision);
        }
        match &mut self.keys {
            Keys::Fingerprints(all) => {
                all.insert(mark);
            }
            Keys::Names(all) => {
                let room = all.len() < MOST_NAMES;
                match all.entry(mark) {
                    Entry::Occupied(_) => {}
                    Entry::Vacant(place) if room => {
                        place.insert(key.into());
                    }
                    Entry::Vacant(_) => self.keys = Keys::TooMany,
                }
            }
            Keys::TooMany => {}
        }
    }

    pub fn delete(&mut self, key: &str) {
        match &mut self.keys {
            Keys::Fingerprints(all) => {
                all.remove(&mark(key));
            }
            Keys::Names(all) => {
                all.remove(&mark(key));
            }
            Keys::TooMany => {}
        }
    }

    /// A roll call begins: what is reported from now on is there, whatever the answer says. Unless it
    /// was on its way already and is before the first message of the stream as the answer has it.
    pub fn roll_call_begins(&mut self) {
        self.since = Some(ByMark::default());
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
            Keys::Names(all) => all.values().map(|key| key.to_string()).collect(),
            Keys::Fingerprints(all) => {
                let known = |key: &String| all.contains(&mark(key));
                array.into_iter().filter(known).collect()
            }
        };
        let mut gone = names;
        let came = |key: &str| since.get(&mark(key)).is_some_and(|r| *r >= first_seq);
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
