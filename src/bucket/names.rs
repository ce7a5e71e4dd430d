//! Names of buckets, and that there is none.

use crate::error::{Error, Kind, Result};

/// `[a-zA-Z0-9_-]+`
pub fn check_bucket(name: &str) -> Result<()> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(valid) {
        return Ok(());
    }
    let hint = "names of buckets consist of A-Z a-z 0-9 - and _";
    Err(Error::invalid(format!("Invalid bucket name {name}")).with_hint(hint))
}

/// `{NATS ErrBucketNotFound}`, the code of binding, managing and writing.
pub fn not_found(name: &str) -> Error {
    Error::new(Kind::BucketNotFound, format!("Bucket {name} not found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets() {
        for name in ["B", "a-b_C9", "-", "_kv"] {
            assert!(check_bucket(name).is_ok(), "{name}");
        }
        for name in ["", "a.b", "a b", "a*", "é", "a/b", "a\n"] {
            let error = check_bucket(name).expect_err(name);
            assert_eq!(error.kind, Kind::InvalidArg);
            assert_eq!(error.message, format!("Invalid bucket name {name}"));
        }
    }
}
