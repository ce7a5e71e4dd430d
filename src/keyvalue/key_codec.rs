//! Forms in which keys are stored, so that they can be other texts than keys can be. Those of orbit's
//! kvcodec, and one that leaves ordinary keys alone.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// Each token in base64.
    Base64,
    /// Paths, with slashes.
    Path,
    /// What cannot be in a key as `=` and two hexadecimal digits.
    Percent,
}

/// The token that a leading slash becomes.
const ROOT: &str = "_root_";
const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

impl KeyForm {
    /// The stored form of a key; `None` if there is none that would be read as this key again.
    pub fn encode(self, key: &str) -> Option<String> {
        match self {
            KeyForm::Base64 => Some(tokens(key, false, base64)),
            KeyForm::Path => path(key),
            KeyForm::Percent => Some(percent(key, false)),
        }
    }

    /// The stored form of a pattern, in which wildcards stay what they are; `None` as above.
    pub fn encode_pattern(self, pattern: &str) -> Option<String> {
        let separator = if self == KeyForm::Path { '/' } else { '.' };
        if !pattern.split(separator).any(is_wildcard) {
            return self.encode(pattern);
        }
        match self {
            KeyForm::Base64 => Some(tokens(pattern, true, base64)),
            KeyForm::Path => path(pattern),
            KeyForm::Percent => Some(percent(pattern, true)),
        }
    }

    /// The key that is stored in this form; `None` if it was not stored by this codec, since its form
    /// would be another one.
    pub fn decode(self, stored: &str) -> Option<String> {
        let key = match self {
            KeyForm::Base64 => {
                let tokens: Option<Vec<String>> = stored.split('.').map(text_of).collect();
                tokens?.join(".")
            }
            KeyForm::Path => {
                let key = stored.replace('.', "/");
                match key.strip_prefix(ROOT) {
                    Some("") => "/".to_owned(),
                    Some(rest) if rest.starts_with('/') => rest.to_owned(),
                    _ => key,
                }
            }
            KeyForm::Percent => bytes_of(stored)?,
        };
        (self.encode(&key).as_deref() == Some(stored)).then_some(key)
    }
}

fn is_wildcard(token: &str) -> bool {
    matches!(token, "*" | ">")
}

/// Encodes each token, in a pattern without the wildcards.
fn tokens(of: &str, is_pattern: bool, encode: impl Fn(&str) -> String) -> String {
    let encoded = of.split('.').map(|token| match is_pattern && is_wildcard(token) {
        true => token.to_owned(),
        false => encode(token),
    });
    encoded.collect::<Vec<_>>().join(".")
}

fn base64(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(token)
}

fn text_of(token: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}

/// Dots would come back as slashes, and the token that stands for the root as that.
fn path(key: &str) -> Option<String> {
    let own_root = key == ROOT || key.strip_prefix(ROOT).is_some_and(|rest| rest.starts_with('/'));
    (!key.contains('.') && !own_root).then(|| slashes(key))
}

fn slashes(path: &str) -> String {
    let below = path.strip_suffix('/').unwrap_or(path);
    let root = if path.starts_with('/') { ROOT } else { "" };
    format!("{root}{}", below.replace('/', "."))
}

/// In a pattern, wildcards stay. All else depends on its place in the whole key.
fn percent(key: &str, is_pattern: bool) -> String {
    let mut stored = String::with_capacity(key.len());
    let bytes = key.as_bytes();
    let reserved = key.starts_with("_kv");
    let ends = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_none_or(|byte| *byte == b'.');
    for (at, byte) in bytes.iter().enumerate() {
        let legal = match byte {
            // Where it would make an empty token.
            b'.' => at > 0 && at + 1 < bytes.len() && bytes.get(at - 1) != Some(&b'.'),
            b'_' => at > 0 || !reserved,
            b'*' | b'>' => is_pattern && ends(at.checked_sub(1)) && ends(Some(at + 1)),
            b'-' | b'/' => true,
            other => other.is_ascii_alphanumeric(),
        };
        if legal {
            stored.push(char::from(*byte));
        } else {
            stored.push('=');
            for digit in [byte >> 4, byte & 15] {
                stored.push(char::from(DIGITS[usize::from(digit)]));
            }
        }
    }
    stored
}

fn bytes_of(stored: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(stored.len());
    let mut rest = stored.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first != b'=' {
            bytes.push(*first);
            rest = behind;
            continue;
        }
        let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = behind.get(2..)?;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyvalue::names::check_key;

    #[test]
    fn there_and_back() {
        for (form, key, stored) in [
            (KeyForm::Base64, "Acme.Inc.contact", "QWNtZQ.SW5j.Y29udGFjdA"),
            (KeyForm::Base64, "gr\u{fc}n", "Z3LDvG4"),
            (KeyForm::Base64, "a b.c*", "YSBi.Yyo"),
            (KeyForm::Path, "/config/db/host", "_root_.config.db.host"),
            (KeyForm::Path, "config/db", "config.db"),
            (KeyForm::Path, "/", "_root_"),
            (KeyForm::Path, "_root_x/y", "_root_x.y"),
            (KeyForm::Percent, "plain.key/with-all_9", "plain.key/with-all_9"),
            (KeyForm::Percent, "a=b", "a=3Db"),
            (KeyForm::Percent, "two words", "two=20words"),
            (KeyForm::Percent, "gr\u{fc}n", "gr=C3=BCn"),
            (KeyForm::Percent, ".a..b.", "=2Ea.=2Eb=2E"),
            (KeyForm::Percent, "...", "=2E=2E=2E"),
            (KeyForm::Percent, "_kv.x", "=5Fkv.x"),
            (KeyForm::Percent, "a.*", "a.=2A"),
        ] {
            // What is a wildcard in a pattern is none in a key.
            if !key.split('.').any(is_wildcard) {
                assert_eq!(form.encode_pattern(key).as_deref(), Some(stored));
            }
            assert_eq!(form.encode(key).as_deref(), Some(stored), "{form:?} {key}");
            assert_eq!(form.decode(stored).as_deref(), Some(key), "{form:?} {stored}");
            assert!(check_key(stored).is_ok(), "{stored}");
        }
        assert_eq!(KeyForm::Path.encode("a/b/").as_deref(), Some("a.b"));
    }

    #[test]
    fn every_text_has_a_form() {
        let all: String = (1..0x300).filter_map(char::from_u32).collect();
        for key in [&*all, ".", "=", "_kv", "\u{1f600}", "\0"] {
            let stored = KeyForm::Percent.encode(key).expect("a form");
            assert!(check_key(&stored).is_ok(), "{stored}");
            assert_eq!(KeyForm::Percent.decode(&stored).as_deref(), Some(key));
        }
    }

    #[test]
    fn patterns() {
        for (form, pattern, stored) in [
            (KeyForm::Base64, ">", ">"),
            (KeyForm::Base64, "Acme.*.contact", "QWNtZQ.*.Y29udGFjdA"),
            (KeyForm::Base64, "Acme.>", "QWNtZQ.>"),
            (KeyForm::Path, "/config/>", "_root_.config.>"),
            (KeyForm::Path, "*/db", "*.db"),
            (KeyForm::Path, ">", ">"),
            (KeyForm::Percent, "a b.*", "a=20b.*"),
            (KeyForm::Percent, "foo*", "foo=2A"),
            (KeyForm::Percent, "foo*.*", "foo=2A.*"),
            (KeyForm::Percent, "_kv.>", "=5Fkv.>"),
            (KeyForm::Percent, "*._kv", "*._kv"),
            (KeyForm::Percent, "*.a*.>.**", "*.a=2A.>.=2A=2A"),
            (KeyForm::Percent, ".a.*", "=2Ea.*"),
        ] {
            assert_eq!(form.encode_pattern(pattern).as_deref(), Some(stored), "{form:?} {pattern}");
        }
    }

    #[test]
    fn what_others_have_stored() {
        for (form, stored) in [
            (KeyForm::Base64, "plain!"),
            (KeyForm::Base64, "QQ=="),
            // Bits that mean nothing, bytes that are no text, a dot in a token.
            (KeyForm::Base64, "QR"),
            (KeyForm::Base64, "_w"),
            (KeyForm::Base64, "YS5i"),
            (KeyForm::Percent, "a=4"),
            (KeyForm::Percent, "a=zz"),
            (KeyForm::Percent, "a=41"),
            (KeyForm::Percent, "a=3d"),
            (KeyForm::Percent, "=FF"),
            (KeyForm::Percent, "a:b"),
            (KeyForm::Path, "a/b"),
        ] {
            assert_eq!(form.decode(stored), None, "{form:?} {stored}");
        }
        for key in ["a.b", "_root_", "_root_/x", "a.b/*", "*/a.b", "_root_/*"] {
            assert_eq!(KeyForm::Path.encode(key), None, "{key}");
            assert_eq!(KeyForm::Path.encode_pattern(key), None, "{key}");
        }
    }
}
