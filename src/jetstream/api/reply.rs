//! Replies of the JetStream API: JSON with the order of its keys kept, errors mapped to kinds,
//! times converted from ns to ms where the documented interface says so.

use serde_json::{Map, Value};

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
    Error { kind, message: description.to_owned().into(), api: Some((code, err_code)) }
}

/// Drops what no JSON API method returns.
pub fn drop_type(reply: &mut Value) {
    drop_keys(reply, &["type"]);
}

/// Drops the paging numbers as well: the shape of `stream_info`.
pub fn drop_paging(reply: &mut Value) {
    drop_keys(reply, &["type", "total", "offset", "limit"]);
}

/// ns → ms in the `config` of a stream reply.
pub fn convert_stream(reply: &mut Value) {
    convert_config(reply, &["duplicate_window", "max_age"]);
}

/// ns → ms in the `config` of a consumer reply.
pub fn convert_consumer(reply: &mut Value) {
    convert_config(reply, &["ack_wait", "idle_heartbeat", "inactive_threshold"]);
}

fn drop_keys(reply: &mut Value, keys: &[&str]) {
    if let Some(map) = reply.as_object_mut() {
        for key in keys {
            // `remove` would move the last key to the front.
            map.shift_remove(*key);
        }
    }
}

fn convert_config(reply: &mut Value, keys: &[&str]) {
    if let Some(config) = reply.get_mut("config").and_then(Value::as_object_mut) {
        for key in keys {
            to_milliseconds(config, key);
        }
    }
}

/// 0 and −1 have meanings of their own and stay.
fn to_milliseconds(config: &mut Map<String, Value>, key: &str) {
    if let Some(value) = config.get_mut(key)
        && let Some(ns) = value.as_i64()
        && ns > 0
    {
        *value = Value::from(ns / 1_000_000);
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
        let mut value = parse(text.as_bytes()).expect("a reply");
        drop_type(&mut value);
        assert_eq!(
            value.to_string(),
            r#"{"z":1.50,"a":{"y":null,"b":[true]},"total":1,"m":18446744073709551615}"#
        );
        drop_paging(&mut value);
        assert!(value.get("total").is_none());
    }

    #[test]
    fn times_of_the_config_only() {
        let text = r#"{"config":{"max_age":1999999,"duplicate_window":0,"ack_wait":30000000000,"backoff":[1000000]},"max_age":5000000}"#;
        let mut value = parse(text.as_bytes()).expect("a reply");
        convert_stream(&mut value);
        assert_eq!(
            value.to_string(),
            r#"{"config":{"max_age":1,"duplicate_window":0,"ack_wait":30000000000,"backoff":[1000000]},"max_age":5000000}"#
        );
        let text = r#"{"config":{"ack_wait":30000000000,"idle_heartbeat":-1,"inactive_threshold":2000000000,"max_age":7000000}}"#;
        let mut value = parse(text.as_bytes()).expect("a reply");
        convert_consumer(&mut value);
        assert_eq!(
            value.to_string(),
            r#"{"config":{"ack_wait":30000,"idle_heartbeat":-1,"inactive_threshold":2000,"max_age":7000000}}"#
        );
    }
}
