//! The methods `status` and `seal`.

use super::object::ObjectStore;
use crate::bucket::metadata::own_metadata;
use crate::error;
use crate::jetstream::api::{Api, Op};
use crate::jetstream::stream::config::reply;
use crate::json;
use crate::tcl::{Call, Dict, Interp, Method, Result, Return, oo};
use serde_json::Value;

/// The fields of `status`, in order, from the reply to `STREAM.INFO`, whose times are in ms already.
fn describe(name: &str, info: &Value) -> Vec<(&'static str, Value)> {
    let empty = Value::Null;
    let config = info.get("config").unwrap_or(&empty);
    let state = info.get("state").unwrap_or(&empty);
    let field = |of: &Value, key: &str, none: Value| of.get(key).cloned().unwrap_or(none);
    let compressed =
        config.get("compression").and_then(Value::as_str).is_some_and(|name| name != "none");
    vec![
        ("bucket", name.into()),
        ("description", field(config, "description", "".into())),
        ("bytes", field(state, "bytes", 0.into())),
        ("ttl", field(config, "max_age", 0.into())),
        ("storage", field(config, "storage", "".into())),
        ("replicas", field(config, "num_replicas", 1.into())),
        ("max_bucket_size", field(config, "max_bytes", (-1).into())),
        ("sealed", field(config, "sealed", false.into())),
        ("is_compressed", u8::from(compressed).into()),
        ("metadata", Value::Object(own_metadata(config))),
        ("stream_config", config.clone()),
        ("stream_state", state.clone()),
    ]
}

fn status(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<ObjectStore>()?;
    let bucket = this.bucket.clone();
    this.js.call(call.interp, Op::StreamInfo(&this.bucket.stream), None, move |_, outcome| {
        let mut info = outcome.map_err(|error| bucket.missing(error))?;
        reply::TABLE.show(&mut info);
        let mut dict = Dict::new();
        for (field, value) in describe(&bucket.name, &info) {
            dict.put(field, &json::to_obj(&value));
        }
        Ok(dict.into())
    })
}

/// Seals a stream: nothing can be written or deleted any more.
async fn seal_stream(api: Api, stream: &str) -> error::Result<()> {
    let mut info = api.call(Op::StreamInfo(stream), "").await?;
    let mut config = info.get_mut("config").map(Value::take).unwrap_or_default();
    if let Value::Object(fields) = &mut config {
        fields.insert("sealed".to_owned(), true.into());
    }
    api.call(Op::StreamUpdate(stream), config.to_string()).await.map(drop)
}

fn seal(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<ObjectStore>()?;
    let bucket = this.bucket.clone();
    let sealed = |api: Api| async move {
        seal_stream(api, &bucket.stream).await.map_err(|error| bucket.missing(error))
    };
    this.js.run(call.interp, sealed, |_, outcome| {
        outcome?;
        Ok(Return::Empty)
    })
}

const METHODS: &[Method] = &[
    Method { name: "seal", usage: "", min: 0, max: 0, body: seal },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::object_store", None, None, METHODS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn status_of_an_object_store() {
        let info = json!({
            "config": {"max_age": 5, "compression": "s2", "num_replicas": 3, "storage": "file",
                "max_bytes": 7, "sealed": true, "metadata": {"_nats.ver": "2", "a": "b"}},
            "state": {"bytes": 9}});
        let shown = describe("B", &info);
        let shown: Vec<Value> = shown.into_iter().take(10).map(|(_, value)| value).collect();
        assert_eq!(Value::from(shown), json!(["B", "", 9, 5, "file", 3, 7, true, 1, {"a": "b"}]));
        let shown = describe("B", &json!({}));
        let shown: Vec<Value> = shown.into_iter().take(10).map(|(_, value)| value).collect();
        assert_eq!(Value::from(shown), json!(["B", "", 0, 0, "", 1, -1, false, 0, {}]));
    }
}
