//! Names of buckets and keys.

use crate::error::{Error, Result};

/// `[a-zA-Z0-9_-]+`
pub fn check_bucket(name: &str) -> Result<()> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(valid) {
        return Ok(());
    }
    Err(Error::invalid(format!("Invalid bucket name {name}")))
}

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

/// `[-/_=.a-zA-Z0-9]+`, no dot at either end, not beginning with `_kv`. Two dots in a row pass: the
/// subject check refuses them.
pub fn check_key(key: &str) -> Result<()> {
    let valid =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_' | b'=' | b'.');
    let shape = !key.is_empty() && !key.starts_with('.') && !key.ends_with('.');
    if shape && !key.starts_with("_kv") && key.bytes().all(valid) {
        return Ok(());
    }
    Err(Error::invalid(format!("Invalid key name {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

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
}
