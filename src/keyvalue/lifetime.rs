//! How long an entry lives: the header `Nats-TTL` of its message (ADR-43, ADR-48).

use crate::transport::Headers;
use std::num::NonZeroI64;

pub const HEADER: &str = "Nats-TTL";

/// The server refuses what is shorter, in ms.
const SHORTEST: i64 = 1000;

/// The time after which the server removes an entry by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(NonZeroI64);

impl Lifetime {
    pub const NEVER: Lifetime = Lifetime(NonZeroI64::new(-1).unwrap());

    /// Of so many milliseconds, unless they are fewer than the server takes.
    pub fn new(ms: i64) -> Option<Lifetime> {
        NonZeroI64::new(ms).filter(|ms| ms.get() >= SHORTEST).map(Lifetime)
    }

    /// From the header: seconds, a duration in the form of Go, or `never`; `None` for what is neither.
    pub fn of_header(text: &str) -> Option<Lifetime> {
        if text.eq_ignore_ascii_case("never") {
            return Some(Lifetime::NEVER);
        }
        let ms = match text.parse::<i64>() {
            Ok(seconds) => seconds.checked_mul(1000)?,
            Err(_) => go_duration(text)?,
        };
        NonZeroI64::new(ms).filter(|ms| ms.get() > 0).map(Lifetime)
    }

    /// In ms; −1 is never.
    pub fn ms(self) -> i64 {
        self.0.get()
    }

    fn header(self) -> String {
        match self.ms() {
            -1 => "never".to_owned(),
            ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
            ms => format!("{ms}ms"),
        }
    }

    pub fn add_to(self, headers: &mut Headers) {
        headers.set(HEADER, self.header());
    }
}

/// Has the message take the place of all earlier ones of its key. Otherwise the one before it would be
/// the latest again when it has expired.
pub fn roll_up(headers: &mut Headers) {
    headers.set("Nats-Rollup", "sub");
}

/// Whether the message expires by itself.
pub fn expires(headers: &Headers) -> bool {
    headers.iter().any(|(name, _)| name == HEADER)
}

/// Such as `1m30s` or `1.5s`, in ms.
fn go_duration(text: &str) -> Option<i64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let mut rest = text;
    let mut ns = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, more) = rest.split_at(digits);
        let unit = more.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(more.len());
        let (unit, more) = more.split_at(unit);
        let unit = match unit {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
            "ns" => 1.0,
            _ => return None,
        };
        ns += number.parse::<f64>().ok()? * unit;
        rest = more;
    }
    (!text.is_empty() && ns < i64::MAX as f64).then_some((ns / 1e6) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_others_are_understood() {
        for (text, ms) in [
            ("1", Some(1000)),
            ("90", Some(90_000)),
            ("1s", Some(1000)),
            ("1m0s", Some(60_000)),
            ("1h2m3.5s", Some(3_723_500)),
            ("1500ms", Some(1500)),
            (".5s", Some(500)),
            ("2000us", Some(2)),
            ("2000\u{b5}s", Some(2)),
            ("never", Some(-1)),
            ("NEVER", Some(-1)),
            ("+90s", Some(90_000)),
            ("+", None),
            ("++1s", None),
            ("2540400h10m10s", Some(9_145_440_610_000)),
            ("9223372036s", Some(9_223_372_036_000)),
            ("9223372036854ms", Some(9_223_372_036_854)),
            ("9223372037s", None),
            ("0", None),
            ("-1", None),
            ("-1s", None),
            ("", None),
            ("s", None),
            ("1d", None),
            ("1.2.3s", None),
            ("999ns", None),
            ("9223372036854775807", None),
            ("9999999999h", None),
            ("soon", None),
        ] {
            assert_eq!(Lifetime::of_header(text).map(Lifetime::ms), ms, "{text}");
        }
    }

    #[test]
    fn what_is_too_short() {
        for (ms, fits) in [(1000, true), (999, false), (0, false), (-1, false), (i64::MAX, true)] {
            assert_eq!(Lifetime::new(ms).is_some(), fits, "{ms}");
        }
    }

    #[test]
    fn what_is_sent_is_read_again() {
        for (ms, text) in [(1000, "1s"), (1500, "1500ms"), (3_600_000, "3600s"), (-1, "never")] {
            let lifetime = Lifetime(NonZeroI64::new(ms).expect("not 0"));
            assert_eq!(lifetime.header(), text);
            assert_eq!(Lifetime::of_header(text), Some(lifetime));
            let mut headers = Headers::new();
            assert!(!expires(&headers));
            lifetime.add_to(&mut headers);
            assert!(expires(&headers));
        }
    }
}
