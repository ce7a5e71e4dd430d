//! The rules for subjects.

use crate::error::{Error, Kind, Result};

/// A character that a token of a subject may have.
fn allowed(c: char) -> bool {
    c.is_alphanumeric() || "-!#$%&'()+,/:;<=?@^_`|~".contains(c)
}

fn token(token: &str) -> bool {
    !token.is_empty() && token.chars().all(allowed)
}

/// A subject to publish to: tokens of allowed characters, no wildcards.
pub fn check_publish(subject: &str) -> Result<()> {
    if subject.split('.').all(token) {
        return Ok(());
    }
    Err(Error::new(Kind::BadSubject, format!("Invalid subject {subject}")))
}

/// A token that a server takes: nothing that the protocol needs, no wildcard.
fn literal(token: &[u8]) -> bool {
    !matches!(token, b"" | b"*" | b">") && token.iter().all(|c| *c > b' ' && *c != 0x7f)
}

/// Whether a server takes it as the subject of a message, be it one that [`check_publish`] refuses:
/// other clients do not have its rules.
pub fn is_literal(subject: &str) -> bool {
    subject.as_bytes().split(|c| *c == b'.').all(literal)
}

/// A subject that others may have chosen.
pub fn check_literal(subject: &str) -> Result<()> {
    if is_literal(subject) {
        return Ok(());
    }
    Err(Error::new(Kind::BadSubject, format!("Invalid subject {subject}")))
}

/// The subject that answers go to: as [`check_publish`], with an error text of its own.
pub fn check_reply(subject: &str) -> Result<()> {
    if subject.split('.').all(token) {
        return Ok(());
    }
    Err(Error::new(Kind::BadSubject, format!("Invalid reply {subject}")))
}

/// In bytes, for [`is_prefix`].
const LONGEST_PREFIX: usize = 1024;

/// Whether other subjects may begin with it: a subject to publish to that leaves room for them in a
/// line of the protocol.
pub fn is_prefix(subject: &str) -> bool {
    subject.len() <= LONGEST_PREFIX && check_publish(subject).is_ok()
}

/// A subject to subscribe to: a token may be a wildcard.
pub fn check_subscribe(subject: &str) -> Result<()> {
    if subject.split('.').all(|t| t == "*" || t == ">" || token(t)) {
        return Ok(());
    }
    Err(Error::new(Kind::BadSubject, format!("Invalid subject {subject}")))
}

/// The name of a queue group: one token, without dots.
pub fn check_queue(queue: &str) -> Result<()> {
    if token(queue) {
        return Ok(());
    }
    Err(Error::new(Kind::BadQueueName, format!("Invalid queue {queue}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_to_publish_to() {
        for good in
            ["foo", "FOO/.ba_r", "foo#1.bAr2.ba-z", "$JS.API.STREAM.NAMES", "foo@.ba(z)", "ž"]
        {
            assert!(check_publish(good).is_ok(), "{good}");
        }
        for bad in
            ["", ".", "foo..bar", ".foo", "foo.", "foo. .bar", "foo*", "foo.>", "a.*", "a\"b"]
        {
            let error = check_publish(bad).expect_err(bad);
            assert_eq!(error.kind, Kind::BadSubject);
        }
    }

    #[test]
    fn subjects_that_others_may_choose() {
        for good in ["foo", "a:b.c~d", "gr\u{fc}n", "{a}[b]", "\"q\"", "a\\b", "x*y", "a>"] {
            assert!(is_literal(good), "{good}");
        }
        for bad in ["", ".", "a..b", ".a", "a.", "a.*", "*", ">", "a.>", "a b", "a\tb", "a\u{7f}"] {
            assert_eq!(check_literal(bad).expect_err(bad).kind, Kind::BadSubject);
        }
    }

    #[test]
    fn subjects_to_subscribe_to_and_queues() {
        for good in ["foo", "foo.*", "foo.>", "*.foo.*", ">", "*", "foo.>.bar"] {
            assert!(check_subscribe(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "foo*", "foo>", "foo.*bar", "*foo.*", "a b", "a..b", "a{"] {
            assert_eq!(check_subscribe(bad).expect_err(bad).kind, Kind::BadSubject);
        }
        for good in ["foo@-123", "foo_+bar", "78&foo"] {
            assert!(check_queue(good).is_ok(), "{good}");
        }
        for bad in ["", "foo.*", "foo.>", "*foo", "my.queue", "a b"] {
            assert_eq!(check_queue(bad).expect_err(bad).kind, Kind::BadQueueName);
        }
        assert_eq!(check_reply("a*").expect_err("wildcard").message, "Invalid reply a*");
    }
}
