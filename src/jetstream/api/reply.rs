//! Replies of the JetStream API: JSON with the order of its keys kept, errors mapped to kinds.

use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// Parses a reply; a reply with an `error` object becomes the error it stands for.
pub fn parse(payload: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(payload)
        .map_err(|e| Error::new(Kind::Protocol, format!("Reply is not valid JSON: {e}")))?;
    if !value.is_object() {
        return Err(Error::new(Kind::Protocol, "Reply is not a JSON object"));
    }
    match value.get("error") {
        Some(error) if error.is_object() => Err(api_error(error)),
        _ => Ok(value),
    }
}

/// The error for the `error` object of a reply or of a publish acknowledgement. Old servers and odd
/// ones leave parts of it out.
pub fn api_error(error: &Value) -> Error {
    let number = |name| error.get(name).and_then(Value::as_u64).unwrap_or(0);
    let api = (number("code"), number("err_code"));
    let description = error.get("description").and_then(Value::as_str).unwrap_or_default();
    let message = match description {
        "" => format!("JetStream error {} without a description", api.0),
        text => text.to_owned(),
    };
    Error { api: Some(api), ..Error::new(kind(api), message) }
}

/// Programs for nats-tcl look for `ErrJSResponse`, so what they can meet stays that
/// ([`Error::into_nats_tcl`] where they write headers or JSON of newer features themselves). What belongs to
/// features that nats-tcl lacks has kinds of its own.
fn kind(api: (u64, u64)) -> Kind {
    match api {
        // Clustered servers report the same conflict by the second number.
        (400, 10071 | 10164) => Kind::WrongLastSequence,
        (404, 10014) => Kind::ConsumerNotFound,
        (404, 10037) => Kind::MsgNotFound,
        (404, 10059) => Kind::StreamNotFound,
        (503, 10039) => Kind::JetStreamNotEnabledForAccount,
        (400, 10136..=10139) => Kind::ConsumerFilters,
        (400, 10157) => Kind::Pedantic,
        (400, 10159..=10162 | 10178 | 10196 | 10197) => Kind::PriorityGroup,
        (400, 10165 | 10166) => Kind::MsgTtl,
        (400, 10168..=10173) => Kind::Counter,
        (400, 10174..=10177 | 10179 | 10198..=10201) | (429, 10210) => Kind::AtomicBatch,
        (412, 10185) => Kind::ApiLevel,
        (400, 10186..=10192 | 10203 | 10212 | 10223) => Kind::Schedule,
        (400, 10204) => Kind::ConsumerReset,
        (400, 10205..=10209) | (429, 10211) => Kind::FastBatch,
        (400, 10225) => Kind::StreamIdentity,
        _ => Kind::JsResponse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> Kind {
        parse(text.as_bytes()).expect_err("an error").kind
    }

    #[test]
    fn errors_are_mapped_by_both_numbers() {
        for (code, err_code, kind) in [
            (400, 10071, Kind::WrongLastSequence),
            (400, 10164, Kind::WrongLastSequence),
            (404, 10014, Kind::ConsumerNotFound),
            (404, 10037, Kind::MsgNotFound),
            (404, 10059, Kind::StreamNotFound),
            (503, 10039, Kind::JetStreamNotEnabledForAccount),
            (500, 10057, Kind::JsResponse),
            (400, 10058, Kind::JsResponse),
            (404, 10071, Kind::JsResponse),
            (400, 10135, Kind::JsResponse),
            (400, 10136, Kind::ConsumerFilters),
            (400, 10139, Kind::ConsumerFilters),
            (400, 10157, Kind::Pedantic),
            (409, 10158, Kind::JsResponse),
            (400, 10162, Kind::PriorityGroup),
            (503, 10163, Kind::JsResponse),
            (400, 10166, Kind::MsgTtl),
            (429, 10167, Kind::JsResponse),
            (400, 10173, Kind::Counter),
            (400, 10174, Kind::AtomicBatch),
            (400, 10178, Kind::PriorityGroup),
            (400, 10179, Kind::AtomicBatch),
            (412, 10185, Kind::ApiLevel),
            (400, 10189, Kind::Schedule),
            (400, 10193, Kind::JsResponse),
            (500, 10194, Kind::JsResponse),
            (400, 10197, Kind::PriorityGroup),
            (400, 10198, Kind::AtomicBatch),
            (400, 10203, Kind::Schedule),
            (400, 10204, Kind::ConsumerReset),
            (400, 10205, Kind::FastBatch),
            (429, 10210, Kind::AtomicBatch),
            (429, 10211, Kind::FastBatch),
            (400, 10225, Kind::StreamIdentity),
        ] {
            let text = format!(
                r#"{{"type":"x","error":{{"code":{code},"err_code":{err_code},"description":"why"}}}}"#
            );
            let error = parse(text.as_bytes()).expect_err("an error");
            assert_eq!(error.kind, kind, "{code} {err_code}");
            assert_eq!(error.message, "why");
            assert_eq!(error.api, Some((code, err_code)));
        }
        let error = parse(br#"{"error":{"code":500}}"#).expect_err("an error");
        assert_eq!((error.kind, error.api), (Kind::JsResponse, Some((500, 0))));
        assert_eq!(error.message, "JetStream error 500 without a description");
    }

    #[test]
    fn what_is_no_json_object_is_an_error() {
        for text in ["", "+OK", "{", "[1]", "\"\\ud800\"", "{\"a\":\u{1}}"] {
            assert_eq!(kind_of(text), Kind::Protocol, "{text}");
        }
        assert_eq!(parse(b"{\"a\":\"\xff\"}").expect_err("bad UTF-8").kind, Kind::Protocol);
    }

    #[test]
    fn order_and_digits_survive() {
        let text =
            r#"{"type":"t","z":1.50,"a":{"y":null,"b":[true]},"total":1,"m":18446744073709551615}"#;
        assert_eq!(parse(text.as_bytes()).expect("a reply").to_string(), text);
    }
}
