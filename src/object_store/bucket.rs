//! An object store as its stream describes it.

use super::names::{all_metas, stream_of};
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::Op;
use crate::transport::Subject;
use serde_json::Value;

pub use crate::bucket::names::not_found;

/// What the operations of a bound object store need to know.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub name: String,
    /// `OBJ_<name>`
    pub stream: String,
    /// What tells whether the stream is there.
    pub info: Subject,
    /// Direct get serves reads.
    pub allow_direct: bool,
    /// Has replicas: a consumer may know less than the stream has.
    pub behind: bool,
    /// When the stream was created, as the server wrote it.
    pub created: String,
}

impl Bucket {
    /// From the reply to `STREAM.INFO` or `STREAM.CREATE`, reached through `api_prefix`.
    ///
    /// # Errors
    /// `ErrBucketNotFound` for a stream that is no object store.
    pub fn from_info(name: &str, info: &Value, api_prefix: &str) -> Result<Bucket> {
        let config = info.get("config").unwrap_or(&Value::Null);
        let subjects = config.get("subjects").and_then(Value::as_array).into_iter().flatten();
        let metas = all_metas(name);
        let stream = stream_of(name);
        if !subjects.filter_map(Value::as_str).any(|subject| subject == metas) {
            let text = format!("Bucket {name} not found: stream {stream} is no object store");
            return Err(Error::new(Kind::BucketNotFound, text));
        }
        Ok(Bucket {
            name: name.to_owned(),
            info: Op::StreamInfo(&stream).subject(api_prefix).into(),
            stream,
            allow_direct: config.get("allow_direct").and_then(Value::as_bool).unwrap_or(false),
            behind: config.get("num_replicas").and_then(Value::as_u64).is_some_and(|n| n > 1),
            created: info.get("created").and_then(Value::as_str).unwrap_or_default().to_owned(),
        })
    }

    /// `ErrStreamNotFound` in the words of an object store.
    pub fn missing(&self, error: Error) -> Error {
        missing(&self.name, error)
    }
}

/// `ErrStreamNotFound` in the words of an object store.
pub fn missing(bucket: &str, error: Error) -> Error {
    match error.kind {
        Kind::StreamNotFound => not_found(bucket),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn streams_that_are_object_stores() {
        let of = |subjects: Value| {
            let info = json!({"config": {"subjects": subjects, "allow_direct": true}});
            Bucket::from_info("b", &info, "$JS.hub.API")
        };
        let bucket = of(json!(["$O.b.C.>", "$O.b.M.>"])).expect("one");
        assert_eq!((bucket.stream.as_str(), bucket.allow_direct), ("OBJ_b", true));
        assert_eq!(&*bucket.info, "$JS.hub.API.STREAM.INFO.OBJ_b");
        for other in [json!(null), json!([]), json!(["$O.c.C.>", "$O.c.M.>"])] {
            assert_eq!(of(other).expect_err("none").kind, Kind::BucketNotFound);
        }
    }
}
