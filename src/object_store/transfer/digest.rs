//! The digest that is stored with an object: SHA-256 of its data.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use ring::digest::{Context, SHA256};

/// How it is written, in front of the digest in base64.
const PREFIX: &str = "SHA-256=";

pub struct Digest(Context);

impl Digest {
    pub fn new() -> Digest {
        Digest(Context::new(&SHA256))
    }

    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// As it is written.
    pub fn finish(self) -> String {
        format!("{PREFIX}{}", URL_SAFE.encode(self.0.finish()))
    }
}

/// A digest that somebody has written, as all can be compared: the prefix in any case, the data in
/// either alphabet of base64, with padding or without. `None` for one of another kind.
fn plain(text: &str) -> Option<String> {
    let (prefix, data) = text.split_at_checked(PREFIX.len())?;
    let data = prefix.eq_ignore_ascii_case(PREFIX).then_some(data)?;
    Some(data.trim_end_matches('=').replace('+', "-").replace('/', "_"))
}

/// Whether it is one of those that are computed here.
pub fn is_known(text: &str) -> bool {
    plain(text).is_some()
}

/// Whether two are the same.
pub fn same(one: &str, other: &str) -> bool {
    is_known(one) && plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_as_others_write_them() {
        let empty = Digest::new().finish();
        assert_eq!(empty, "SHA-256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=");
        let mut digest = Digest::new();
        digest.update(b"a");
        digest.update(b"bc");
        assert_eq!(digest.finish(), "SHA-256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=");
        assert!(same(&empty, "SHA-256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"));
        assert!(!same(&empty, "SHA-256="));
        assert!(same("sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", &empty));
        for other in ["SHA-512=eA==", "eA==", "", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"] {
            assert!(!is_known(other) && !same(other, other), "{other}");
        }
    }
}
