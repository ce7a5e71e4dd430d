//! Names of inboxes.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 22;
/// Letters taken from one random number: 62^8 is far below 2^64, so all are equally likely.
const PER_NUMBER: usize = 8;

/// What inboxes begin with unless something else is wanted.
pub const DEFAULT_PREFIX: &str = "_INBOX";

/// The prefix, a dot, and 22 random letters and digits.
pub fn new_inbox(prefix: &str) -> String {
    let mut name = String::with_capacity(prefix.len() + 1 + LENGTH);
    name.push_str(prefix);
    name.push('.');
    let mut left = LENGTH;
    while left > 0 {
        // A keyed hash with fresh keys from the system's randomness: no crate, no failure.
        let mut number = RandomState::new().build_hasher().finish();
        for _ in 0..left.min(PER_NUMBER) {
            name.push(char::from(LETTERS[(number % 62) as usize]));
            number /= 62;
        }
        left = left.saturating_sub(PER_NUMBER);
    }
    name
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
