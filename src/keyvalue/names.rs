//! Names of buckets and keys.

use crate::bucket::names::check_bucket;
use crate::error::{Error, Kind, Result};
use crate::subject;

/// The name of a mirror, which must not look like the stream of a bucket.
pub fn check_mirror(name: &str) -> Result<()> {
    check_bucket(name)?;
    if name.starts_with("KV_") {
        return Err(Error::invalid("Mirror name must not be KV"));
    }
    Ok(())
}

/// The stream of a bucket.
pub fn stream_of(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// Whose rules a key follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// This package would make it.
    Ours,
    /// Only other clients would.
    Foreign,
}

/// What can be read and ended: a key of ours, or what a server takes for a subject.
pub fn origin_of(key: &str) -> Result<KeyOrigin> {
    match check_key(key) {
        Ok(()) => Ok(KeyOrigin::Ours),
        Err(_) if subject::is_literal(key) => Ok(KeyOrigin::Foreign),
        Err(error) => Err(error),
    }
}

/// A key that can be made: `[-/_=.a-zA-Z0-9]+`, no dot at either end, not beginning with `_kv`. Two
/// dots in a row pass: the subject check refuses them.
pub fn check_key(key: &str) -> Result<()> {
    let valid =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_' | b'=' | b'.');
    let shape = !key.is_empty() && !key.starts_with('.') && !key.ends_with('.');
    if shape && !key.starts_with("_kv") && key.bytes().all(valid) {
        return Ok(());
    }
    Err(invalid_key(key))
}

pub fn invalid_key(key: &str) -> Error {
    let hint = "keys that can be made consist of A-Z a-z 0-9 - / _ = and dots between them, \
                and do not begin with _kv";
    Error::about_key(Kind::InvalidArg, "Invalid key name ", key, "").with_hint(hint)
}

/// A pattern that something can match.
pub fn check_pattern(pattern: &str) -> Result<()> {
    check_filter(pattern)?;
    without_match(pattern).map_or(Ok(()), Err)
}

/// A pattern that servers take, be it one that only odd keys of others can match.
pub fn check_filter(pattern: &str) -> Result<()> {
    let Some(fault) = refused_by_servers(pattern) else { return Ok(()) };
    // Under the code of the server, which is not asked: the reason is more than it says.
    let message = format!("invalid subject: the pattern {fault}");
    Err(Error { api: Some((500, 10052)), ..Error::new(Kind::JsResponse, message) })
}

/// Whether it has nothing but tokens of the characters that keys of ours have.
pub fn is_plain(pattern: &str) -> bool {
    let mut before = b'.';
    pattern.bytes().all(|byte| {
        let fits = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'=');
        let fits = fits || byte == b'.' && before != b'.';
        before = byte;
        fits
    }) && before != b'.'
}

fn refused_by_servers(pattern: &str) -> Option<String> {
    if is_plain(pattern) {
        return None;
    }
    if pattern.is_empty() {
        return Some("is empty".to_owned());
    }
    if !pattern.bytes().all(|c| c > b' ' && c != 0x7f) {
        return Some(format!("{pattern} has a blank or a control character"));
    }
    if pattern.split('.').any(str::is_empty) {
        return Some(format!("{pattern} has an empty token"));
    }
    let mut tokens = pattern.split('.').rev().skip(1);
    tokens.any(|token| token == ">").then(|| format!("{pattern} has a > before its end"))
}

/// The error for a pattern that servers take and that no key of ours can match.
pub fn without_match(pattern: &str) -> Option<Error> {
    let wild = |token: &str| token.len() > 1 && token.contains(['*', '>']);
    if pattern.split('.').any(wild) {
        let text = format!("Invalid pattern {pattern}: * and > stand for whole tokens");
        return Some(Error::invalid(text));
    }
    // Left over from another notation, or from one pair too many in this one.
    let within = |first: char, last: char| {
        pattern.len() > 1 && pattern.starts_with(first) && pattern.ends_with(last)
    };
    if pattern.contains('"') || within('\'', '\'') || within('{', '}') {
        let text = format!("Invalid pattern {pattern}: the quotes would be part of the key");
        return Some(Error::invalid(text));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for key in ["k", "a.b", "/a=b_c-d.9", "=", "a..b", "_k", "x_kv"] {
            assert!(check_key(key).is_ok(), "{key}");
        }
        for key in ["", "???", ".a", "a.", "_kv", "_kv.a", "a b", "a*", ">", "é", "a:b", "a\n"] {
            let error = check_key(key).expect_err(key);
            assert_eq!(error.message, format!("Invalid key name {key}"));
        }
    }

    #[test]
    fn keys_of_others() {
        for key in ["a", "a..b"] {
            assert_eq!(origin_of(key), Ok(KeyOrigin::Ours), "{key}");
        }
        for key in ["a:b", "gr\u{fc}n", "x*y", "{a}", "\"q\"", "_kv", "a b"] {
            let foreign = if key == "a b" { Err(invalid_key(key)) } else { Ok(KeyOrigin::Foreign) };
            assert_eq!(origin_of(key), foreign, "{key}");
        }
    }

    #[test]
    fn plain_keys() {
        for key in ["a", "a.b", "-", "_.9.Z", "a/b="] {
            assert!(is_plain(key), "{key}");
        }
        for key in ["", ".", ".a", "a.", "a..b", "a b", "a:b", "*", "a.>", "\u{e9}", "a\n"] {
            assert!(!is_plain(key), "{key}");
        }
    }

    #[test]
    fn patterns() {
        for pattern in
            [">", "*", "a", "a.>", "*.b", "a.*.c", "a:b", "k'k", "'", "gr\u{fc}n", "{a}b"]
        {
            assert_eq!(check_pattern(pattern), Ok(()), "{pattern}");
        }
        for (pattern, kind, why) in [
            ("", Kind::JsResponse, "is empty"),
            ("a b", Kind::JsResponse, "a b has a blank"),
            ("a..b", Kind::JsResponse, "a..b has an empty token"),
            (".a", Kind::JsResponse, ".a has an empty token"),
            ("a.>.b", Kind::JsResponse, "a.>.b has a > before its end"),
            (">.>", Kind::JsResponse, ">.> has a > before its end"),
            ("foo*", Kind::InvalidArg, "foo*: * and > stand for whole tokens"),
            ("*foo", Kind::InvalidArg, "*foo: * and >"),
            ("a.>b", Kind::InvalidArg, "a.>b: * and >"),
            (">>", Kind::InvalidArg, ">>: * and >"),
            ("**", Kind::InvalidArg, "**: * and >"),
            ("\"001.>\"", Kind::InvalidArg, "\"001.>\": * and >"),
            ("\"a\"", Kind::InvalidArg, "\"a\": the quotes"),
            ("'a.b'", Kind::InvalidArg, "'a.b': the quotes"),
            ("{a.b}", Kind::InvalidArg, "{a.b}: the quotes"),
            ("a.\"b\"", Kind::InvalidArg, "a.\"b\": the quotes"),
            ("\"a", Kind::InvalidArg, "\"a: the quotes"),
        ] {
            let error = check_pattern(pattern).expect_err(pattern);
            assert_eq!(error.kind, kind, "{pattern}");
            assert!(error.message.contains(why), "{}", error.message);
        }
    }
}
