//! What others answer to PING, INFO and STATS, in the form of our own answers, so that whoever asks need not look whether
//! something is there: libraries leave out what is empty, or say null.

use super::monitor::Kind;
use serde_json::{Map, Value, json};
use std::mem::discriminant;

type Fields = Map<String, Value>;

/// What has to be there.
const IDENTITY: [&str; 3] = ["name", "id", "version"];

/// An answer of this kind, from whoever it is; `None` for what is none.
pub fn read(kind: Kind, json: &[u8]) -> Option<Fields> {
    let mut answer: Fields = serde_json::from_slice(json).ok()?;
    if answer.get("type") != Some(&json!(kind.schema())) {
        return None;
    }
    for name in IDENTITY {
        answer.get(name)?.as_str()?;
    }
    complete(&mut answer, "metadata", json!({}))?;
    match kind {
        Kind::Ping => return Some(answer),
        Kind::Info => complete(&mut answer, "description", json!(""))?,
        Kind::Stats => complete(&mut answer, "started", json!(""))?,
    }
    complete(&mut answer, "endpoints", json!([]))?;
    for endpoint in answer.get_mut("endpoints")?.as_array_mut()? {
        complete_endpoint(kind, endpoint.as_object_mut()?)?;
    }
    Some(answer)
}

fn complete_endpoint(kind: Kind, endpoint: &mut Fields) -> Option<()> {
    for name in ["name", "subject"] {
        endpoint.get(name)?.as_str()?;
    }
    complete(endpoint, "queue_group", json!(""))?;
    if kind == Kind::Info {
        return complete(endpoint, "metadata", json!({}));
    }
    for name in ["num_requests", "num_errors", "processing_time", "average_processing_time"] {
        complete(endpoint, name, json!(0))?;
    }
    if endpoint.get("data").is_some_and(Value::is_null) {
        endpoint.shift_remove("data");
    }
    complete(endpoint, "last_error", json!(""))
}

/// Puts the usual value in the place of one that is missing or null; `None` if there is one of another type.
fn complete(fields: &mut Fields, name: &str, usual: Value) -> Option<()> {
    match fields.get(name) {
        None | Some(Value::Null) => {
            fields.insert(name.to_owned(), usual);
            Some(())
        }
        Some(value) => (discriminant(value) == discriminant(&usual)).then_some(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_their_type() {
        let ping = br#"{"type": "io.nats.micro.v1.ping_response", "name": "a", "id": "b", "version": "1.0.0"}"#;
        assert!(read(Kind::Ping, ping).is_some());
        assert!(read(Kind::Info, ping).is_none());
        for text in ["", "7", "{}", "[]", r#"{"type": 7}"#] {
            assert!(read(Kind::Ping, text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_empty_may_be_missing_or_null() {
        let stats = |rest: &str| {
            let json = format!(
                r#"{{"type": "io.nats.micro.v1.stats_response", "name": "a", "id": "b", "version": "1.0.0"{rest}}}"#
            );
            read(Kind::Stats, json.as_bytes())
                .map(|answer| Value::Object(answer)["endpoints"].clone())
        };
        assert_eq!(stats(""), Some(json!([])));
        assert_eq!(stats(r#", "endpoints": null, "metadata": null"#), Some(json!([])));
        let endpoint = r#", "endpoints": [{"name": "e", "subject": "s", "last_error": null, "data": null, "num_requests": 3}]"#;
        let complete = json!([{
            "name": "e", "subject": "s", "last_error": "", "num_requests": 3, "queue_group": "", "num_errors": 0,
            "processing_time": 0, "average_processing_time": 0,
        }]);
        assert_eq!(stats(endpoint), Some(complete));
        for wrong in [
            r#""metadata": 7"#,
            r#""endpoints": {}"#,
            r#""endpoints": [7]"#,
            r#""endpoints": [{"name": "e"}]"#,
        ] {
            assert_eq!(stats(&format!(", {wrong}")), None, "{wrong}");
        }
    }
}
