//! Message metadata: the reply subject of a JetStream message, to which its acknowledgement goes,
//! tells where the message comes from.
//!
//! ```text
//!  9 tokens  $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>
//! 11 tokens  $JS.ACK.<domain>.<account>.<stream>. …
//! more       as 11; what follows means nothing to a client of today
//! ```

/// What is known of a delivered message. Borrows its ack subject: parsing allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata<'a> {
    pub stream: &'a str,
    pub consumer: &'a str,
    /// How often this message has been delivered, from 1.
    pub delivered: u64,
    pub stream_seq: u64,
    pub consumer_seq: u64,
    /// When the server stored the message, in ns since the epoch.
    pub timestamp_ns: i64,
    /// Messages still waiting behind this one.
    pub pending: u64,
    /// Empty where the subject does not say, or there is none.
    pub domain: &'a str,
}

impl Metadata<'_> {
    /// Parses an ack subject; `None` when it is none.
    pub fn parse(subject: &str) -> Option<Metadata<'_>> {
        let mut tokens = [""; 11];
        let (mut count, mut from) = (0, 0);
        // Byte by byte: tokens are short, and a search for each costs more.
        for (at, byte) in subject.bytes().chain([b'.']).enumerate() {
            if byte != b'.' {
                continue;
            }
            if let Some(place) = tokens.get_mut(count) {
                *place = subject.get(from..at)?;
            }
            (count, from) = (count + 1, at + 1);
        }
        // The two leading tokens are not compared, as in nats-tcl: an import may map them.
        let (first, domain) = match count {
            9 => (2, ""),
            10 => return None,
            count if count > 10 => (4, tokens[2]),
            _ => return None,
        };
        let [stream, consumer, delivered, stream_seq, consumer_seq, timestamp, pending] =
            tokens[first..].first_chunk::<7>()?;
        if stream.is_empty() || consumer.is_empty() {
            return None;
        }
        Some(Metadata {
            stream,
            consumer,
            delivered: number(delivered)?,
            stream_seq: number(stream_seq)?,
            consumer_seq: number(consumer_seq)?,
            timestamp_ns: i64::try_from(number(timestamp)?).ok()?,
            pending: number(pending)?,
            domain: if domain == "_" { "" } else { domain },
        })
    }

    /// The time of storage in ms since the epoch, truncated.
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ns.div_euclid(1_000_000)
    }
}

/// Plain decimal digits; `str::parse` would let a sign through.
fn number(token: &str) -> Option<u64> {
    if token.is_empty() {
        return None;
    }
    token.bytes().try_fold(0u64, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Metadata<'static> = Metadata {
        stream: "S",
        consumer: "C",
        delivered: 2,
        stream_seq: 17,
        consumer_seq: 5,
        timestamp_ns: 1_700_000_000_123_456_789,
        pending: 3,
        domain: "",
    };

    #[test]
    fn all_forms() {
        for (subject, domain) in [
            ("$JS.ACK.S.C.2.17.5.1700000000123456789.3", ""),
            ("mapped.ACK.S.C.2.17.5.1700000000123456789.3", ""),
            ("$JS.ACK.hub.ACCHASH.S.C.2.17.5.1700000000123456789.3", "hub"),
            ("$JS.ACK._.ACCHASH.S.C.2.17.5.1700000000123456789.3", ""),
            ("$JS.ACK.hub.ACCHASH.S.C.2.17.5.1700000000123456789.3.rnd", "hub"),
            ("$JS.ACK.hub.ACCHASH.S.C.2.17.5.1700000000123456789.3.x.y.z", "hub"),
        ] {
            let expected = Metadata { domain, ..EXPECTED };
            assert_eq!(Metadata::parse(subject), Some(expected), "{subject}");
        }
        assert_eq!(EXPECTED.timestamp_ms(), 1_700_000_000_123);
    }

    #[test]
    fn everything_else_is_refused() {
        for subject in [
            "",
            "$JS.ACK",
            "_INBOX.abc",
            "$JS.FC.S.C.x",
            "$JS.ACK.S.C.2.17.5.1700000000123456789",
            "$JS.ACK.x.S.C.2.17.5.1700000000123456789.3",
            "$JS.ACK.S.C.2.17.5.1700000000123456789.x",
            "$JS.ACK.S.C.+2.17.5.1700000000123456789.3",
            "$JS.ACK.S.C.-2.17.5.1700000000123456789.3",
            "$JS.ACK.S.C..17.5.1700000000123456789.3",
            "$JS.ACK..C.2.17.5.1700000000123456789.3",
            "$JS.ACK.S.C.2.99999999999999999999999.5.1700000000123456789.3",
            "$JS.ACK.S.C.2.17.5.18446744073709551615.3",
        ] {
            assert_eq!(Metadata::parse(subject), None, "{subject}");
        }
    }
}
