//! Timestamps of the server: RFC 3339 in, ns or ms since the epoch out; and back.

use chrono::{DateTime, SecondsFormat};

/// Nanoseconds since the epoch; `None` when the text is no RFC 3339 time.
pub fn nanoseconds(text: &str) -> Option<i128> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    // Not `timestamp_nanos_opt`: servers write the year 1 for no time at all.
    Some(i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos()))
}

/// Whether a server can count so far: to the year 2262. Beyond it, it would take a time for one of long ago.
/// What is no time at all is for the server to say.
pub fn is_countable(text: &str) -> bool {
    nanoseconds(text).is_none_or(|ns| ns <= i64::MAX.into())
}

/// Milliseconds since the epoch, truncated and never rounded, so that every way to learn the time
/// of a message gives the same number.
pub fn milliseconds(text: &str) -> Option<i64> {
    i64::try_from(nanoseconds(text)?.div_euclid(1_000_000)).ok()
}

/// The time so many nanoseconds after the epoch, in UTC.
pub fn text(nanoseconds: i64) -> String {
    DateTime::from_timestamp_nanos(nanoseconds).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_mean_what_they_were_made_of() {
        for ns in [0, 1, -1, 1_795_367_043_018_876_992, i64::MAX, i64::MIN] {
            assert_eq!(nanoseconds(&text(ns)), Some(ns.into()), "{ns}");
        }
        assert_eq!(text(1_795_367_043_500_000_000), "2026-11-22T17:04:03.500Z");
    }

    #[test]
    fn fractions_are_scaled_and_truncated() {
        for (text, expected) in [
            ("2026-11-22T17:04:03.018876992Z", 1_795_367_043_018),
            ("2026-11-22T17:04:03.051Z", 1_795_367_043_051),
            ("2026-11-22T17:04:03.5Z", 1_795_367_043_500),
            ("2026-11-22T17:04:03.000999999Z", 1_795_367_043_000),
            ("2026-11-22T17:04:03.999999999Z", 1_795_367_043_999),
            ("2026-11-22T17:04:03Z", 1_795_367_043_000),
            ("2026-11-22T19:04:03.25+02:00", 1_795_367_043_250),
            ("1970-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(milliseconds(text), Some(expected), "{text}");
        }
        assert_eq!(nanoseconds("1970-01-01T00:00:01.000000001Z"), Some(1_000_000_001));
        assert_eq!(nanoseconds("1969-12-31T23:59:59.999999999Z"), Some(-1));
        assert_eq!(milliseconds("1969-12-31T23:59:59.999999999Z"), Some(-1));
        assert_eq!(milliseconds("0001-01-01T00:00:00Z"), Some(-62_135_596_800_000));
    }

    #[test]
    fn as_far_as_servers_count() {
        for text in ["2262-04-11T23:47:16Z", "0001-01-01T00:00:00Z", "yesterday"] {
            assert!(is_countable(text), "{text}");
        }
        for text in ["2262-04-11T23:47:17Z", "9999-12-31T00:00:00Z"] {
            assert!(!is_countable(text), "{text}");
        }
    }

    #[test]
    fn no_time_at_all() {
        for text in ["", "now", "2026-11-22", "2026-13-22T17:04:03Z", "2026-11-22T17:04:03"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }
}
