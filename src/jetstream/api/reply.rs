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

/// The error for the `error` object of a reply or of a publish acknowledgement.
pub fn api_error(error: &Value) -> Error {
    let number = |name| error.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (code, err_code) = (number("code"), number("err_code"));
    let description = error.get("description").and_then(Value::as_str).unwrap_or("");
    let kind = match (code, err_code) {
        // Clustered servers report the same conflict by the second number.
        (400, 10071 | 10164) => Kind::WrongLastSequence,
        (404, 10014) => Kind::ConsumerNotFound,
        (404, 10037) => Kind::MsgNotFound,
        (404, 10059) => Kind::StreamNotFound,
        (503, 10039) => Kind::JetStreamNotEnabledForAccount,
        _ => Kind::JsResponse,
    };
    Error { api: Some((code, err_code)), ..Error::new(kind, description.to_owned()) }
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
        ] {
            let text = format!(
                r#"{{"type":"x","error":{{"code":{code},"err_code":{err_code},"description":"why"}}}}"#
            );
            let error = parse(text.as_bytes()).expect_err("an error");
            assert_eq!(error.kind, kind, "{code} {err_code}");
            assert_eq!(error.message, "why");
            assert_eq!(error.api, Some((code, err_code)));
        }
        assert_eq!(kind_of(r#"{"error":{}}"#), Kind::JsResponse);
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
