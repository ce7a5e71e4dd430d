//! What the status of a bucket tells.

use super::bucket::{bucket_of, external_api};
use crate::bucket::metadata::own_metadata;
use serde_json::Value;

/// The fields of `status`, in order, from the reply to `STREAM.INFO`, whose times are in ms already.
pub fn describe(name: &str, info: &Value) -> Vec<(&'static str, Value)> {
    let empty = Value::Null;
    let config = info.get("config").unwrap_or(&empty);
    let state = info.get("state").unwrap_or(&empty);
    let field = |of: &Value, key: &str| of.get(key).cloned().unwrap_or_else(|| 0.into());
    let compressed =
        config.get("compression").and_then(Value::as_str).is_some_and(|name| name != "none");
    let mut fields = vec![
        ("bucket", name.into()),
        ("bytes", field(state, "bytes")),
        ("history", field(config, "max_msgs_per_subject")),
        ("ttl", field(config, "max_age")),
        ("values", field(state, "messages")),
        ("is_compressed", u8::from(compressed).into()),
    ];
    if let Some(mirror) = config.get("mirror").filter(|mirror| mirror.is_object()) {
        if let Some(origin) = mirror.get("name").and_then(Value::as_str) {
            fields.push(("mirror_name", bucket_of(origin).into()));
        }
        if let Some(domain) = external_api(mirror).and_then(domain_of) {
            fields.push(("mirror_domain", domain.into()));
        }
    }
    fields.push(("stream_config", config.clone()));
    fields.push(("stream_state", state.clone()));
    fields.push(("limit_marker_ttl", field(config, "subject_delete_marker_ttl")));
    fields.push(("metadata", Value::Object(own_metadata(config))));
    if let Some(sources) = config.get("sources").filter(|sources| sources.is_array()) {
        fields.push(("sources", sources.clone()));
    }
    fields.push(("replicas", field(config, "num_replicas")));
    fields.push(("storage", config.get("storage").cloned().unwrap_or_default()));
    fields.push(("max_bucket_size", field(config, "max_bytes")));
    fields.push(("max_value_size", field(config, "max_msg_size")));
    fields.push(("keys", field(state, "num_subjects")));
    fields
}

/// `$JS.<domain>.API`
fn domain_of(api: &str) -> Option<&str> {
    let mut tokens = api.split('.');
    match (tokens.next(), tokens.next(), tokens.next(), tokens.next()) {
        (Some(_), Some(domain), Some("API"), None) => Some(domain),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;
    use serde_json::json;

    #[test]
    fn status_fields() {
        let info = json!({
            "config": {"max_msgs_per_subject": 5, "max_age": 1000, "compression": "s2",
                "mirror": {"name": "KV_O", "external": {"api": "$JS.hub.API"}}},
            "state": {"messages": 3, "bytes": 99}});
        let fields = describe("B", &info);
        let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "bucket",
                "bytes",
                "history",
                "ttl",
                "values",
                "is_compressed",
                "mirror_name",
                "mirror_domain",
                "stream_config",
                "stream_state",
                "limit_marker_ttl",
                "metadata",
                "replicas",
                "storage",
                "max_bucket_size",
                "max_value_size",
                "keys"
            ]
        );
        let values: Vec<_> = fields[..8].iter().map(|(_, value)| value.clone()).collect();
        assert_eq!(json!(values), json!(["B", 99, 5, 1000, 3, 1, "O", "hub"]));

        let info = json!({"config": {"max_msgs_per_subject": 1, "mirror": {"name": "M"}}});
        assert_eq!(describe("B", &info)[6], ("mirror_name", json!("M")));
        let info = json!({"config": {"max_msgs_per_subject": 1, "compression": "none"},
            "state": {}});
        let fields = describe("B", &info);
        assert_eq!(fields[3].1, json!(0));
        assert_eq!(fields[5].1, json!(0));
        assert_eq!(fields[6].0, "stream_config");

        let info = json!({"config": {"max_msgs_per_subject": 1, "num_replicas": 3,
            "storage": "memory", "max_bytes": 7, "max_msg_size": -1, "sources": [{"name": "S"}],
            "subject_delete_marker_ttl": 2000, "metadata": {"_nats.ver": "2", "a": "b"}},
            "state": {"num_subjects": 4}});
        let fields: Vec<_> = describe("B", &info).split_off(8);
        let fields: Map<String, Value> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(
            Value::from(fields).to_string(),
            concat!(
                r#"{"limit_marker_ttl":2000,"metadata":{"a":"b"},"sources":[{"name":"S"}],"#,
                r#""replicas":3,"storage":"memory","max_bucket_size":7,"max_value_size":-1,"#,
                r#""keys":4}"#
            )
        );
        for (api, domain) in [("$JS.hub.API", Some("hub")), ("a.API", None), ("$JS.a.b.API", None)]
        {
            assert_eq!(domain_of(api), domain);
        }
    }
}
