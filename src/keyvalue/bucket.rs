//! A bucket as its stream describes it: prefixes, way of reading, status.

use crate::bucket::names::not_found;
use serde_json::Value;

use super::names::stream_of;
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::Op;
use crate::transport::Subject;

const DEFAULT_API: &str = "$JS.API";

/// What the operations of a bound bucket need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The bucket's own name, which entries report.
    pub name: String,
    /// `KV_<name>`
    pub stream: String,
    /// Prefix, without a dot at its end, of gets and watches.
    pub read: String,
    /// Prefix, without a dot at its end, of everything that writes.
    pub write: String,
    /// What tells whether the stream is there that is read, and the one that is written.
    pub read_info: Subject,
    pub write_info: Subject,
    /// Where the leader of the stream that is written is asked for a message.
    pub write_get: Subject,
    /// Prefix, without a dot at its end, of the keys in that stream.
    pub written: String,
    /// Direct get serves reads.
    pub allow_direct: bool,
    /// Has replicas, or is one of another bucket: a consumer may know less than the stream has.
    pub behind: bool,
    /// When the stream was created, as the server wrote it: a different time means that the bucket
    /// was deleted and made again.
    pub created: String,
}

impl Bucket {
    /// From the reply to `STREAM.INFO` or `STREAM.CREATE`, reached through `api_prefix`. For a mirror
    /// the infos of the streams that it mirrors follow, one behind the other, as far as they are
    /// known.
    pub fn from_infos(name: &str, infos: &[Value], api_prefix: &str) -> Result<Self> {
        let info = infos.first().unwrap_or(&Value::Null);
        let config = info.get("config").unwrap_or(&Value::Null);
        let history = config.get("max_msgs_per_subject").and_then(Value::as_i64).unwrap_or(0);
        if history < 1 {
            return Err(not_found(name));
        }
        let Places { read, write, written, origin, api } = places(name, infos, api_prefix);
        let stream = stream_of(name);
        Ok(Bucket {
            name: name.to_owned(),
            read_info: Op::StreamInfo(&stream).subject(api_prefix).into(),
            write_info: Op::StreamInfo(&origin).subject(api).into(),
            write_get: Op::MessageGet(&origin).subject(api).into(),
            written,
            stream,
            read,
            write,
            allow_direct: config.get("allow_direct").and_then(Value::as_bool).unwrap_or(false),
            behind: mirror_of(info).is_some()
                || config.get("num_replicas").and_then(Value::as_u64).is_some_and(|n| n > 1),
            created: info.get("created").and_then(Value::as_str).unwrap_or_default().to_owned(),
        })
    }

    /// The subject that a key or a pattern is read from.
    pub fn read_subject(&self, key: &str) -> String {
        format!("{}.{key}", self.read)
    }

    /// The subject that a key is written to.
    pub fn write_subject(&self, key: &str) -> String {
        format!("{}.{key}", self.write)
    }

    /// The key behind a subject of the stream.
    pub fn key_of<'s>(&self, subject: &'s str) -> Option<&'s str> {
        subject.strip_prefix(&self.read)?.strip_prefix('.')
    }
}

/// A missing stream as status, watch, keys and history report it.
pub fn bucket_gone(bucket: &str, error: Error) -> Error {
    match error.kind {
        Kind::StreamNotFound => {
            Error::new(Kind::BucketNotFoundBare, format!("Bucket {bucket} not found"))
        }
        _ => error,
    }
}

struct Places<'i> {
    read: String,
    write: String,
    written: String,
    /// The stream that is written, and the API that knows it.
    origin: String,
    api: &'i str,
}

/// Where the keys of a bucket are, where they are written to, and who has them there. A mirror has
/// them under the subjects of its origin, or under those that it gives them; writes go to the origin.
fn places<'i>(name: &str, infos: &'i [Value], api_prefix: &'i str) -> Places<'i> {
    let mut origin = name;
    let own = stream_of(name);
    let mut stream = own.as_str();
    let mut transformed = None;
    let mut foreign = None;
    for mirror in infos.iter().map_while(mirror_of) {
        stream = mirror.get("name").and_then(Value::as_str).unwrap_or(stream);
        origin = bucket_of(stream);
        transformed = transformed.or_else(|| destination(mirror));
        foreign = external_api(mirror);
        if foreign.is_some() {
            break;
        }
    }
    let subjects = format!("$KV.{origin}");
    let write = match foreign {
        Some(api) => format!("{api}.{subjects}"),
        None => prefixed(api_prefix, &subjects),
    };
    Places {
        read: transformed.unwrap_or_else(|| subjects.clone()),
        write,
        written: subjects,
        origin: stream.to_owned(),
        api: foreign.unwrap_or(api_prefix),
    }
}

/// The stream of the same account that the stream of this info mirrors.
pub fn mirrored(info: &Value) -> Option<&str> {
    let mirror = mirror_of(info)?;
    if external_api(mirror).is_some() {
        return None;
    }
    mirror.get("name").and_then(Value::as_str)
}

pub fn mirror_of(info: &Value) -> Option<&Value> {
    info.get("config")?.get("mirror").filter(|mirror| mirror.is_object())
}

/// The name of a bucket from that of its stream, which `create_kv_mirror` gives no prefix.
pub fn bucket_of(stream: &str) -> &str {
    stream.strip_prefix("KV_").unwrap_or(stream)
}

/// The prefix under which a mirror keeps what it takes, if it is another one.
fn destination(mirror: &Value) -> Option<String> {
    let transforms = mirror.get("subject_transforms")?.as_array()?;
    let mut tokens = transforms.first()?.get("dest")?.as_str()?.split('.');
    match (tokens.next(), tokens.next(), tokens.next()) {
        (Some("$KV"), Some(bucket), Some(_)) => Some(format!("$KV.{bucket}")),
        _ => None,
    }
}

pub fn external_api(mirror: &Value) -> Option<&str> {
    let api = mirror.get("external")?.get("api")?.as_str()?;
    (!api.is_empty()).then_some(api)
}

/// Another domain is reached through its API prefix, publishing included.
fn prefixed(api_prefix: &str, subject: &str) -> String {
    if api_prefix == DEFAULT_API {
        return subject.to_owned();
    }
    format!("{api_prefix}.{subject}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bind(config: Value, api_prefix: &str) -> Bucket {
        let info = json!({"created": "2026-01-01T00:00:00Z", "config": config});
        Bucket::from_infos("B", &[info], api_prefix).expect("a bucket")
    }

    #[test]
    fn prefixes() {
        let plain = json!({"max_msgs_per_subject": 1, "allow_direct": true});
        let local = json!({"max_msgs_per_subject": 1, "mirror": {"name": "KV_O"}});
        let remote = json!({"max_msgs_per_subject": 1,
            "mirror": {"name": "KV_O", "external": {"api": "$JS.hub.API", "deliver": ""}}});
        for (config, api, read, write) in [
            (&plain, "$JS.API", "$KV.B", "$KV.B"),
            (&plain, "$JS.hub.API", "$KV.B", "$JS.hub.API.$KV.B"),
            (&local, "$JS.API", "$KV.O", "$KV.O"),
            (&local, "imported", "$KV.O", "imported.$KV.O"),
            (&remote, "$JS.API", "$KV.O", "$JS.hub.API.$KV.O"),
            (&remote, "imported", "$KV.O", "$JS.hub.API.$KV.O"),
        ] {
            let bucket = bind(config.clone(), api);
            assert_eq!((bucket.read.as_str(), bucket.write.as_str()), (read, write));
        }
        let bucket = bind(plain, "$JS.API");
        assert!(bucket.allow_direct);
        assert_eq!(bucket.stream, "KV_B");
        assert_eq!(bucket.key_of("$KV.B.a.b"), Some("a.b"));
        assert_eq!(bucket.key_of("$KV.BB.a"), None);
        assert_eq!(bucket.read_subject(">"), "$KV.B.>");
        assert_eq!(bucket.write_subject("k"), "$KV.B.k");
        assert!(!bind(local, "$JS.API").allow_direct);
    }

    #[test]
    fn mirrors_of_mirrors() {
        let info = |mirror: Value| json!({"config": {"max_msgs_per_subject": 1, "mirror": mirror}});
        let origin = json!({"config": {"max_msgs_per_subject": 1, "subjects": ["$KV.O.>"]}});
        let of = |name: &str| info(json!({"name": name}));
        let hub = info(json!({"name": "KV_O", "external": {"api": "$JS.hub.API"}}));
        let moved = info(json!({"name": "KV_O",
            "subject_transforms": [{"src": "$KV.O.a.>", "dest": "$KV.C.a.>"}]}));
        for (infos, next, read, write) in [
            (vec![of("KV_O")], Some("KV_O"), "$KV.O", "$KV.O"),
            (vec![of("M")], Some("M"), "$KV.M", "$KV.M"),
            (vec![of("KV_O"), origin.clone()], None, "$KV.O", "$KV.O"),
            (vec![of("M"), of("KV_C"), of("KV_O"), origin.clone()], None, "$KV.O", "$KV.O"),
            (vec![of("KV_C"), hub.clone()], None, "$KV.O", "$JS.hub.API.$KV.O"),
            (vec![moved.clone()], Some("KV_O"), "$KV.C", "$KV.O"),
            (vec![of("KV_C"), moved, origin], None, "$KV.C", "$KV.O"),
        ] {
            let bucket = Bucket::from_infos("B", &infos, "$JS.API").expect("a bucket");
            assert_eq!((&*bucket.read, &*bucket.write), (read, write), "{infos:?}");
            assert_eq!(mirrored(infos.last().expect("one")), next);
        }
        assert_eq!(mirrored(&hub), None);
    }

    #[test]
    fn a_stream_that_is_no_bucket() {
        for config in [json!({}), json!({"max_msgs_per_subject": -1})] {
            let error = Bucket::from_infos("B", &[json!({"config": config})], "$JS.API");
            assert_eq!(error, Err(not_found("B")));
        }
    }
}
