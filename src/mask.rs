//! Secrets in texts that are shown.

use std::borrow::Cow;

/// What is shown in the place of a secret.
pub const MASK: &str = "********";

/// A URL, or what may be one, as it may be shown: without what stands before the last `@`, but for its
/// scheme.
pub fn masked(url: &str) -> Cow<'_, str> {
    let Some((secret, place)) = url.rsplit_once('@') else { return url.into() };
    let scheme = match secret.split_once("://") {
        Some((scheme, _)) if scheme.bytes().all(|c| c.is_ascii_alphabetic()) => scheme,
        _ => return format!("{MASK}@{place}").into(),
    };
    format!("{scheme}://{MASK}@{place}").into()
}
