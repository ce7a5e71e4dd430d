//! Between what the program sees and what is stored: keys, values, and which keys a binding is about.

use crate::error::{Error, Result};
use crate::keyvalue::codec::Encoded;
use crate::keyvalue::entry::Entry;
use crate::keyvalue::names::{check_key, invalid_key, origin_of};
use crate::keyvalue::object::KeyValue;
use crate::subject;
use crate::tcl::{self, Obj};

/// The value of an element.
#[derive(Clone)]
pub struct Value(pub Obj);

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.0.same(&other.0)
    }
}

/// The stored form of a key. Code of the program may run.
pub fn key_in(kv: &KeyValue, element: &str) -> tcl::Result<String> {
    match kv.codecs.keeps_keys() {
        true => Ok(element.to_owned()),
        false => Ok(kv.codecs.key_in(&Obj::new(element))?.into_owned()),
    }
}

/// A key as it is shown.
pub fn key_out(kv: &KeyValue, key: &str) -> String {
    match kv.codecs.keeps_keys() {
        true => key.to_owned(),
        false => kv.codecs.key_out(&kv.js, key).string(),
    }
}

pub fn value_out(kv: &KeyValue, entry: &Entry) -> Value {
    Value(kv.codecs.value_shown(&kv.js, entry))
}

/// The bytes that a value will have.
///
/// # Errors
/// `ErrInvalidArg` for text where bytes are stored: the bucket would have something else than the array.
pub fn size_of(kv: &KeyValue, value: &Value) -> tcl::Result<usize> {
    let utf8 = kv.js.connection.utf8_convert();
    let encoded = kv.codecs.value_in(&kv.js, &value.0)?;
    let beyond = match &encoded {
        Encoded::Value(value) => value.is_beyond_bytes(),
        Encoded::Bytes(_) => kv.codecs.packs_bytes() && value.0.is_beyond_bytes(),
    };
    if beyond && !utf8 {
        let text = "The value has characters beyond U+00FF, for which the connection needs -utf8_convert true";
        return Err(Error::invalid(text).into());
    }
    match encoded {
        Encoded::Value(value) => Ok(value.with_payload(utf8, <[u8]>::len)),
        Encoded::Bytes(bytes) => Ok(bytes.len()),
    }
}

/// What a program may do to an element: make a key, or change one that others have made and this
/// package would not.
pub fn check_name(element: &str, key: &str, exists: bool) -> Result<()> {
    match exists {
        true => origin_of(key).map(drop),
        false => check_key(key).and_then(|()| match subject::is_literal(key) {
            true => Ok(()),
            false => Err(invalid_key(key)),
        }),
    }
    .map_err(|error| error.with_key(element))
}

/// Whether one of the patterns matches the key.
pub fn matches(patterns: &[String], key: &str) -> bool {
    patterns.iter().any(|pattern| {
        let (mut pattern, mut key) = (pattern.split('.'), key.split('.'));
        loop {
            match (pattern.next(), key.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(one), Some(other)) if one == other => {}
                _ => return false,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, key, fits) in [
            (">", "a", true),
            (">", "a.b", true),
            ("a", "a", true),
            ("a", "a.b", false),
            ("a.>", "a", false),
            ("a.>", "a.b.c", true),
            ("*.b", "a.b", true),
            ("*.b", "a.c", false),
            ("*", "a.b", false),
            ("a.*.c", "a.b.c", true),
        ] {
            assert_eq!(matches(&[pattern.to_owned()], key), fits, "{pattern} {key}");
        }
        assert!(matches(&["a".to_owned(), "b".to_owned()], "b"));
        assert!(!matches(&[], "b"));
    }
}
