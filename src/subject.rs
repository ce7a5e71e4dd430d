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
}
