//! Names of object stores and objects, and the subjects behind them (ADR-20).

use crate::error::{Error, Result};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE};

/// Others may have left the padding away.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Subjects have to fit into a line of the protocol.
const LONGEST_NAME: usize = 2048;

/// The stream of an object store.
pub fn stream_of(bucket: &str) -> String {
    format!("OBJ_{bucket}")
}

/// The subject of the chunks of one object; `>` stands for all.
pub fn chunks_of(bucket: &str, nuid: &str) -> String {
    format!("$O.{bucket}.C.{nuid}")
}

/// The subject of all descriptions.
pub fn all_metas(bucket: &str) -> String {
    format!("$O.{bucket}.M.>")
}

/// The subject of the description of one object.
pub fn meta_of(bucket: &str, name: &str) -> String {
    format!("$O.{bucket}.M.{}", URL_SAFE.encode(name))
}

/// The name of the object that is described under a subject, if there is one.
pub fn name_of(bucket: &str, subject: &str) -> Option<String> {
    let token = subject.strip_prefix("$O.")?.strip_prefix(bucket)?.strip_prefix(".M.")?;
    String::from_utf8(TOLERANT.decode(token).ok()?).ok()
}

/// Any text but none: names are encoded.
///
/// # Errors
/// `ErrInvalidArg`.
pub fn check_object(name: &str) -> Result<()> {
    match name.len() {
        0 => Err(Error::invalid("Invalid object name: it is empty")),
        1..=LONGEST_NAME => Ok(()),
        length => {
            let text = format!("Invalid object name: {length} bytes, allowed are {LONGEST_NAME}");
            Err(Error::invalid(text))
        }
    }
}

/// Whether something is the id of an object: one token that stands for nothing else. It becomes part of
/// a filter by which chunks are purged.
pub fn is_nuid(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        assert_eq!(stream_of("b"), "OBJ_b");
        assert_eq!(chunks_of("b", "N1"), "$O.b.C.N1");
        assert_eq!(all_metas("b"), "$O.b.M.>");
        for (name, token) in [
            ("a", "YQ=="),
            ("a b/>*.", "YSBiLz4qLg=="),
            ("\u{e9}\u{1f600}", "w6nwn5iA"),
            ("???~~~", "Pz8_fn5-"),
        ] {
            assert_eq!(meta_of("b", name), format!("$O.b.M.{token}"));
            assert_eq!(name_of("b", &meta_of("b", name)).as_deref(), Some(name));
        }
        assert_eq!(name_of("b", "$O.b.M.YQ").as_deref(), Some("a"));
        for other in ["$O.b.C.YQ==", "$O.bb.M.YQ==", "$O.b.M.a.b", "$O.b.M._w==", "$KV.b.M.YQ=="] {
            assert_eq!(name_of("b", other), None, "{other}");
        }
    }

    #[test]
    fn names_and_ids() {
        for good in ["a", " ", "a/b c", ">", "*", ".", "\u{e9}", "\n"] {
            assert_eq!(check_object(good), Ok(()), "{good}");
        }
        assert!(check_object("").is_err());
        assert!(check_object(&"x".repeat(LONGEST_NAME)).is_ok());
        assert!(check_object(&"x".repeat(LONGEST_NAME + 1)).is_err());
        for good in ["0aZ", "a-b_c"] {
            assert!(is_nuid(good), "{good}");
        }
        for bad in ["", ">", "*", "a.b", "a b", "\u{e9}"] {
            assert!(!is_nuid(bad), "{bad}");
        }
    }
}
