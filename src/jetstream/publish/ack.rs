//! What a stream answers to a message: the publish acknowledgement. No Tcl here.

use crate::error::{Error, Kind, Result};
use crate::jetstream::api::reply;
use crate::transport::{RequestError, RequestResult};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// A publish acknowledgement.
#[derive(Debug, PartialEq)]
pub enum Ack<'a> {
    /// What nearly all of them are: nothing but these two.
    Plain { stream: &'a str, seq: u64 },
    /// Any other, as it came.
    Whole(Value),
}

/// Reads the reply to a publish.
///
/// # Errors
/// The error that it says; `ErrInvalidJSAck` if it was no stream that has answered.
pub fn read(payload: &[u8]) -> Result<Ack<'_>> {
    if let Some((stream, seq)) = plain(payload) {
        return Ok(Ack::Plain { stream, seq });
    }
    whole(serde_json::from_slice(payload).map_err(|_| invalid())?).map(Ack::Whole)
}

/// The acknowledgement that is a JSON value.
///
/// # Errors
/// As [`read`].
pub fn whole(value: Value) -> Result<Value> {
    if let Some(error) = value.get("error").filter(|error| error.is_object()) {
        return Err(reply::api_error(error));
    }
    let stream = value.get("stream").and_then(Value::as_str);
    if stream.is_some_and(|stream| !stream.is_empty()) { Ok(value) } else { Err(invalid()) }
}

/// The error for a reply that is no acknowledgement.
pub fn invalid() -> Error {
    Error::new(Kind::InvalidJsAck, "Invalid JetStream publish response")
}

/// Stream and sequence of `{"stream":"S", "seq":1}`, which is read without building anything.
fn plain(payload: &[u8]) -> Option<(&str, u64)> {
    let rest = payload.strip_prefix(b"{\"stream\":\"")?;
    let end = rest.iter().position(|c| matches!(c, b'"' | b'\\' | 0..=0x1f))?;
    let (stream, rest) = rest.split_at_checked(end)?;
    let rest = rest.strip_prefix(b"\",")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest).strip_prefix(b"\"seq\":")?;
    let digits = rest.strip_suffix(b"}")?;
    if stream.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seq = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((std::str::from_utf8(stream).ok()?, seq))
}

/// Reads the body of the reply to a publish. A status says that nobody is there only if there is
/// nothing else: a server may put an error of JetStream behind it.
pub fn with_body<T>(
    subject: &str,
    reply: RequestResult,
    read: impl FnOnce(&[u8]) -> Result<T>,
) -> Result<T> {
    match reply {
        Ok(message) => read(message.payload()),
        Err(RequestError::NoResponders(report)) if !report.payload().is_empty() => {
            read(report.payload())
        }
        Err(error) => Err(error.into_error(format!("Request to {subject} timed out"))),
    }
}

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
    fn replies_to_publishes() {
        let plain = |stream, seq| Ok(Ack::Plain { stream, seq });
        for (text, ack) in [
            (r#"{"stream":"S", "seq":7}"#, plain("S", 7)),
            (r#"{"stream":"S","seq":18446744073709551615}"#, plain("S", u64::MAX)),
            (r#"{"stream":"ä", "seq":0}"#, plain("ä", 0)),
        ] {
            assert_eq!(read(text.as_bytes()), ack, "{text}");
        }
        for whole in [
            r#"{"stream":"S", "seq":7,"duplicate": true}"#,
            r#"{"stream":"S","domain":"hub","seq":7}"#,
            r#"{"stream":"S\u003e","seq":7}"#,
            r#"{"stream":"S","seq":18446744073709551616}"#,
            r#"{"stream":"S"}"#,
            r#"{"seq":1,"stream":"S","val":"-3"}"#,
        ] {
            let Ok(Ack::Whole(value)) = read(whole.as_bytes()) else { panic!("{whole}") };
            assert_eq!(value, serde_json::from_str::<Value>(whole).expect("JSON"), "{whole}");
        }
        for invalid in [
            "",
            "+OK",
            "[]",
            "{}",
            r#"{"stream":"","seq":1}"#,
            r#"{"seq":1}"#,
            "{\"stream\":\"S\",\"seq\":}",
        ] {
            assert_eq!(read(invalid.as_bytes()).expect_err(invalid).kind, Kind::InvalidJsAck);
        }
        let error =
            r#"{"stream":"S","seq":0,"error":{"code":400,"err_code":10071,"description":"d"}}"#;
        assert_eq!(read(error.as_bytes()).expect_err("an error").kind, Kind::WrongLastSequence);
    }

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
