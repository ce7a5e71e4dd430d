//! What the engine can read, as it reads it: other input ends the connection.

use async_nats::StatusCode;
use async_nats::header::{HeaderName, HeaderValue};

/// Whether it can read a message with this header block.
pub fn is_readable(header: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(header) else { return false };
    let mut lines = text.lines().peekable();
    let Some(rest) = lines.next().and_then(|line| line.strip_prefix("NATS/1.0")) else {
        return false;
    };
    let status = rest.trim().split(' ').next().unwrap_or_default();
    if !status.is_empty() && status.parse::<StatusCode>().is_err() {
        return false;
    }
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let Some((name, value)) = line.split_once(':') else { return false };
        let mut value = value.trim_start().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            value.push_str(more);
        }
        if name.parse::<HeaderName>().is_err() || value.trim_end().parse::<HeaderValue>().is_err() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_blocks() {
        for good in [
            "NATS/1.0\r\n\r\n",
            "NATS/1.0\r\nA: b\r\nC:\r\n\r\n",
            "NATS/1.0 404 Forged\r\n\r\n",
            "NATS/1.0\r\nA: b\r\n folded\r\n\r\n",
            "NATS/1.0\r\nA: gr\u{fc}n\r\n\r\n",
        ] {
            assert!(is_readable(good.as_bytes()), "{good:?}");
        }
        for bad in [
            &b""[..],
            b"HTTP/1.0\r\n\r\n",
            b"NATS/1.0 abc\r\n\r\n",
            b"NATS/1.0\r\nno colon\r\n\r\n",
            b"NATS/1.0\r\nA B: c\r\n\r\n",
            b"NATS/1.0\r\nA: \xff\r\n\r\n",
            b"NATS/1.0\r\nA: b\rc\r\n\r\n",
        ] {
            assert!(!is_readable(bad), "{bad:?}");
        }
    }
}
