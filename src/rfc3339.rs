//! Timestamps of the server: RFC 3339 in, ns or ms since the epoch out; and back.

use chrono::{DateTime, SecondsFormat};

/// Nanoseconds since the epoch; `None` when the text is no RFC 3339 time.
pub fn nanoseconds(text: &str) -> Option<i128> {
    if let Some(ns) = plain(text) {
        return Some(ns);
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    // Not `timestamp_nanos_opt`: servers write the year 1 for no time at all.
    Some(i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos()))
}

/// That of what servers write, `2026-11-22T17:04:03.018876992Z`: every entry has one.
fn plain(text: &str) -> Option<i128> {
    let (time, fraction) = text.strip_suffix('Z')?.split_at_checked("2026-11-22T17:04:03".len())?;
    let time = time.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| time.get(*at) != Some(mark)) {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |sum, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
        })
    };
    let part = |from, to| number(time.get(from..to)?);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    // Days that not every month has, leap seconds and years of long ago are for the calendar.
    if year < 1970 || !(1..=12).contains(&month) || !(1..=28).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let ns = match fraction.strip_prefix('.') {
        Some(digits) if (1..=9).contains(&digits.len()) => {
            number(digits.as_bytes())? * 10_i64.pow(9 - digits.len() as u32)
        }
        None if fraction.is_empty() => 0,
        _ => return None,
    };
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - DAYS_TO_1970;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(ns))
}

/// From the first of March of the year 0.
const DAYS_TO_1970: i64 = 719_468;

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

/// The same with six digits behind the second, no more and no less: what other clients read of a service.
pub fn microseconds_text(nanoseconds: i64) -> String {
    DateTime::from_timestamp_nanos(nanoseconds).to_rfc3339_opts(SecondsFormat::Micros, true)
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
    fn what_servers_write_is_read_as_the_calendar_has_it() {
        let mut ns: i64 = 0;
        let mut quick = 0;
        while ns < i64::MAX - 100_000_000_000_000_000 {
            let text = text(ns);
            let calendar = DateTime::parse_from_rfc3339(&text).expect("a time");
            let expected = calendar.timestamp_nanos_opt().map(i128::from);
            if let Some(ns) = plain(&text) {
                assert_eq!(Some(ns), expected, "{text}");
                quick += 1;
            }
            // Some hours more than eight days.
            ns += 723_456_789_012_345;
        }
        assert!(quick > 10_000);
        for text in [
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:0xZ",
            "2026-01-01T00:00:00,5Z",
            "2026-01-01T00:00:00.1234567891Z",
            "+026-01-01T00:00:00Z",
            "",
        ] {
            assert_eq!(plain(text), None, "{text}");
        }
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
