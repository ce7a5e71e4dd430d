//! What names, versions, subjects and queue groups of services may be.

use crate::error::{Error, Kind, Result};
use crate::subject;

/// A name of a service, an endpoint, or a service's id.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
}

pub fn check_name(what: &str, name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    Err(Error::invalid(format!("Invalid {what} {name}; allowed are letters, digits, - and _")))
}

/// A semantic version (semver.org): three numbers, perhaps with what is before a release, and a build.
pub fn check_version(version: &str) -> Result<()> {
    if is_version(version) {
        return Ok(());
    }
    let text = format!("Invalid version {version}; allowed are semantic versions such as 1.0.0");
    Err(Error::invalid(text))
}

fn is_version(version: &str) -> bool {
    let (rest, build) = match version.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (version, None),
    };
    let (core, before) = match rest.split_once('-') {
        Some((core, before)) => (core, Some(before)),
        None => (rest, None),
    };
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    let digits = |word: &str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_digit());
    let number = |word: &str| digits(word) && (word == "0" || !word.starts_with('0'));
    core.split('.').count() == 3
        && core.split('.').all(number)
        && before.is_none_or(|all| all.split('.').all(|w| word(w) && (!digits(w) || number(w))))
        && build.is_none_or(|all| all.split('.').all(word))
}

/// The subject of an endpoint: wildcards are allowed, as servers have them.
pub fn check_subject(subject: &str) -> Result<()> {
    subject::check_subscribe(subject)?;
    let mut tokens = subject.split('.').rev();
    tokens.next();
    if tokens.any(|token| token == ">") {
        return Err(Error::new(Kind::BadSubject, format!("Invalid subject {subject}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "A-b_9", "-", "0"] {
            assert!(check_name("name", good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a.b", "a*", "grün", "a\n"] {
            assert_eq!(check_name("name", bad).expect_err(bad).kind, Kind::InvalidArg);
        }
    }

    #[test]
    fn versions() {
        for good in [
            "0.0.0",
            "1.2.3",
            "10.20.30",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-0.3.7",
            "1.0.0-x-y-z.--",
            "1.0.0+001",
            "1.0.0-beta+exp.sha.5114f85",
            "1.0.0+a-b",
            "1.0.0-0a",
        ] {
            assert!(check_version(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.02.3",
            "1.2.03",
            "v1.2.3",
            "1.2.x",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-01",
            "1.2.3-a..b",
            "1.2.3+a+b",
            "1.2.3 ",
            "-1.2.3",
            "1.2.3-ä",
        ] {
            assert_eq!(check_version(bad).expect_err(bad).kind, Kind::InvalidArg);
        }
    }

    #[test]
    fn subjects() {
        for good in ["a", "a.b", "a.*", "a.>", ">", "*.b"] {
            assert!(check_subject(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a..b", "a.>.b", ">.>", "a>"] {
            assert_eq!(check_subject(bad).expect_err(bad).kind, Kind::BadSubject);
        }
    }
}
