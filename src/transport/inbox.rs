//! Names of inboxes.
//!
//! Whoever knows the name of an inbox can read what comes to it, so names must not be guessed.

use rand::SeedableRng;
use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::{StdRng, SysRng};

/// 62^22 names are as many as 131 bits.
const LENGTH: usize = 22;

/// What inboxes begin with unless something else is wanted.
pub const DEFAULT_PREFIX: &str = "_INBOX";

/// The prefix, a dot, and 22 random letters and digits.
pub fn new_inbox(prefix: &str) -> String {
    let mut name = String::with_capacity(prefix.len() + 1 + LENGTH);
    name.push_str(prefix);
    name.push('.');
    append_token(&mut name);
    name
}

/// 22 random letters and digits, which nobody else has.
pub fn new_token() -> String {
    let mut token = String::with_capacity(LENGTH);
    append_token(&mut token);
    token
}

fn append_token(text: &mut String) {
    // From the system each time: a generator that is kept would be the same one in a forked child.
    // Should the system fail, there still is the one of the thread, seeded when that was well.
    let mut random =
        StdRng::try_from_rng(&mut SysRng).unwrap_or_else(|_| StdRng::from_rng(&mut rand::rng()));
    Alphanumeric.append_string(&mut random, text, LENGTH);
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn names_are_unique_and_use_all_letters() {
        let names: HashSet<String> = (0..10_000).map(|_| new_inbox(DEFAULT_PREFIX)).collect();
        assert_eq!(names.len(), 10_000);
        let mut seen: HashMap<char, usize> = HashMap::new();
        for name in &names {
            assert_eq!(name.len(), 29);
            for c in name.strip_prefix("_INBOX.").expect("prefix").chars() {
                *seen.entry(c).or_default() += 1;
            }
        }
        assert_eq!(seen.len(), 62);
        assert!(seen.values().all(|n| (3000..4200).contains(n)), "{seen:?}");
    }
}
