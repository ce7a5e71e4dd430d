//! Names of streams and consumers.

use crate::error::{Error, Result};

pub fn check_stream(name: &str) -> Result<()> {
    check("stream", name)
}

pub fn check_consumer(name: &str) -> Result<()> {
    check("consumer", name)
}

/// One token of a subject, that is part of those of all requests, and a file name of the server.
fn check(what: &str, name: &str) -> Result<()> {
    let allowed = |c: char| c.is_alphanumeric() || "-!#$%&()+,:;<=?@^_`|~".contains(c);
    if !name.is_empty() && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::invalid(format!("Invalid {what} name {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["S", "ORDERS-1", "Gr\u{fc}n-1$", "é", "a!#$%&()+,:;<=?@^_`|~-"] {
            assert!(check_stream(good).is_ok(), "{good}");
        }
        for bad in ["", "a.b", "a b", "*", ">a", "a/b", "a\\b", "\"a\"", "a'b", "[a]", "{a}", "a\n"]
        {
            let error = check_stream(bad).expect_err(bad);
            assert_eq!(error.message, format!("Invalid stream name {bad}"));
            let error = check_consumer(bad).expect_err(bad);
            assert_eq!(error.message, format!("Invalid consumer name {bad}"));
        }
    }
}
