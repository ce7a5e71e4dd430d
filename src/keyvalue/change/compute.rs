//! What becomes of a value.

use crate::error::{Error, Result};
use crate::keyvalue::entry::Entry;
use bytes::Bytes;

/// A decimal integer of 64 bits, blanks around it allowed.
pub fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    // No sign but the first, no underscore: that is what `parse` takes.
    text.parse().ok()
}

/// The sum, in decimal digits. Nothing counts as 0.
pub fn sum(key: &str, value: Option<&[u8]>, by: i64) -> Result<i64> {
    let Some(value) = value else { return Ok(by) };
    let value = integer(value).ok_or_else(|| {
        Error::invalid(format!("The value of {key} is not an integer of 64 bits"))
    })?;
    value.checked_add(by).ok_or_else(|| {
        Error::invalid(format!("{value} and {by} of {key} are more than 64 bits hold"))
    })
}

/// The value with a text behind it, and a separator if there was one before.
pub fn longer(entry: Option<&Entry>, separator: &[u8], text: &Bytes) -> Bytes {
    match entry {
        Some(entry) => [entry.value(), separator, text].concat().into(),
        None => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, value) in [
            ("0", Some(0)),
            (" -12\n", Some(-12)),
            ("+7", Some(7)),
            ("010", Some(10)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            (" ", None),
            ("1.0", None),
            ("0x10", None),
            ("1 2", None),
            ("--1", None),
            ("1_000", None),
        ] {
            assert_eq!(integer(text.as_bytes()), value, "{text:?}");
        }
        assert_eq!(integer(b"\xff1"), None);
        assert_eq!(sum("k", None, -3), Ok(-3));
    }
}
