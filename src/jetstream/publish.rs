//! What a stream answers to a message: the publish acknowledgement.

use super::api::reply;
use crate::error::{Error, Kind, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// What is read of a publish acknowledgement.
#[derive(Deserialize)]
struct PublishAck {
    seq: u64,
    error: Option<IgnoredAny>,
}

/// The sequence number in a publish acknowledgement.
pub fn sequence(ack: &[u8]) -> Result<u64> {
    if let Ok(PublishAck { seq, error: None }) = serde_json::from_slice(ack) {
        return Ok(seq);
    }
    // Anything else says what is wrong.
    reply::parse(ack)?.get("seq").and_then(Value::as_u64).ok_or_else(|| {
        Error::new(Kind::Protocol, "Publish acknowledgement without a sequence number")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements() {
        for good in [
            r#"{"stream":"S","seq":7}"#,
            r#"{"stream":"S","seq":7,"domain":"d","duplicate":true,"batch":{"a":[1.5]}}"#,
            r#"{"seq":7,"error":null}"#,
            r#"{"seq":6,"seq":7}"#,
            r#"{"seq":7,"error":"no object"}"#,
        ] {
            assert_eq!(sequence(good.as_bytes()).ok(), Some(7), "{good}");
        }
        for (bad, kind) in [
            (r#"{"error":{"code":400,"err_code":10071}}"#, Kind::WrongLastSequence),
            (r#"{"error":{"code":503,"err_code":1},"seq":0,"stream":"S"}"#, Kind::JsResponse),
            (r#"{"stream":"S"}"#, Kind::Protocol),
            (r#"{"stream":"S","seq":-1}"#, Kind::Protocol),
            (r#"{"stream":"S","seq":1.5}"#, Kind::Protocol),
            (r#"{"stream":"S","seq":"7"}"#, Kind::Protocol),
            ("", Kind::Protocol),
            ("+OK", Kind::Protocol),
        ] {
            assert_eq!(sequence(bad.as_bytes()).expect_err(bad).kind, kind, "{bad}");
        }
    }
}
