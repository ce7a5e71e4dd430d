//! The metadata of a bucket.

use serde_json::{Map, Value};

/// Without what the server has added.
pub fn own_metadata(config: &Value) -> Map<String, Value> {
    let all = config.get("metadata").and_then(Value::as_object).into_iter().flatten();
    let own = all.filter(|(name, _)| !name.starts_with("_nats."));
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}
