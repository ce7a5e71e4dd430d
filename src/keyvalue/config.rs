//! The configuration of buckets, and the streams behind buckets, aggregates and mirrors.

use serde_json::Value;

use super::names::{check_bucket, check_pattern, stream_of};
use crate::error::{Error, Result};
use crate::jetstream::stream::config::{self as stream, external, source, transform};
use crate::options::Type;
use crate::schema::{Record, list, table, valid_str};

/// In ns; a time to live that is shorter counts.
const DUPLICATE_WINDOW: i64 = 120_000_000_000;

// Options first, then what is the same for every bucket.
table! {
    DESCRIPTION:       stream::DESCRIPTION;
    MAX_VALUE_SIZE:    stream::MAX_MSG_SIZE.called("max_value_size");
    HISTORY:           stream::MAX_MSGS_PER_SUBJECT.called("history").typed(Type::PosInt).or_int(1);
    TTL:               stream::MAX_AGE.called("ttl").typed(Type::PosInt);
    MAX_BUCKET_SIZE:   stream::MAX_BYTES.called("max_bucket_size").typed(Type::PosInt);
    STORAGE:           stream::STORAGE;
    NUM_REPLICAS:      stream::NUM_REPLICAS.or_int(1);
    COMPRESSION:       stream::COMPRESSION;
    METADATA:          stream::METADATA;
    MIRROR_NAME:       valid_str("mirror_name").of_method();
    MIRROR_DOMAIN:     valid_str("mirror_domain").of_method();

    RETENTION:         stream::RETENTION.fixed().or("limits");
    DISCARD:           stream::DISCARD.fixed().or("new");
    DENY_DELETE:       stream::DENY_DELETE.fixed().or_flag(true);
    DENY_PURGE:        stream::DENY_PURGE.fixed().or_flag(false);
    ALLOW_ROLLUP_HDRS: stream::ALLOW_ROLLUP_HDRS.fixed().or_flag(true);
    ALLOW_DIRECT:      stream::ALLOW_DIRECT.fixed().or_flag(true);
}

/// Where an aggregate or a mirror takes its entries from: what `make_kv_origin` returns.
pub mod origin {
    use super::{list, table, valid_str};

    table! {
        STREAM:  valid_str("stream");
        BUCKET:  valid_str("bucket").required();
        // Patterns; none means all.
        KEYS:    list("keys");
        DOMAIN:  valid_str("domain").of_method();
        API:     valid_str("api");
        DELIVER: valid_str("deliver");
    }
}

/// The stream of `create_kv_bucket`.
pub fn bucket_stream(bucket: &str, options: Record) -> Result<Value> {
    let mirror = match options.text(MIRROR_NAME) {
        None => None,
        Some(name) => {
            check_bucket(name)?;
            let domain = options.text(MIRROR_DOMAIN);
            let mut mirror = Record::new(&source::TABLE);
            mirror.set(source::NAME, stream_of(name));
            if let Some(domain) = domain {
                mirror.set(source::EXTERNAL, foreign(&format!("$JS.{domain}.API"), None));
            }
            Some(mirror)
        }
    };
    let mut config = base_stream(stream_of(bucket), options)?;
    match mirror {
        Some(mirror) => mirrors(&mut config, mirror),
        None => config.set(stream::SUBJECTS, vec![format!("$KV.{bucket}.>")]),
    }
    Ok(config.into())
}

/// The stream of `create_kv_aggregate`.
pub fn aggregate_stream(
    bucket: &str,
    writable: bool,
    origins: &[Record],
    options: Record,
) -> Result<Value> {
    no_mirror_options(&options)?;
    let mut config = base_stream(stream_of(bucket), options)?;
    if writable {
        config.set(stream::SUBJECTS, vec![format!("$KV.{bucket}.>")]);
    }
    let source = |origin: &Record| {
        let from = origin.text(origin::BUCKET).unwrap_or_default();
        let keys = keys(origin)?;
        let keys = if keys.is_empty() { vec![">"] } else { keys };
        let name = origin.text(origin::STREAM).map(str::to_owned);
        Ok(Value::from(taken_from(name, origin, transforms(&keys, from, bucket))))
    };
    config.set(stream::SOURCES, origins.iter().map(source).collect::<Result<Value>>()?);
    Ok(config.into())
}

/// The stream of `create_kv_mirror`, whose name has no `KV_` in front.
pub fn mirror_stream(name: &str, origin: &Record, options: Record) -> Result<Value> {
    no_mirror_options(&options)?;
    let mut config = base_stream(name.to_owned(), options)?;
    let from = origin.text(origin::BUCKET).unwrap_or_default();
    mirrors(&mut config, taken_from(None, origin, transforms(&keys(origin)?, from, from)));
    Ok(config.into())
}

fn no_mirror_options(options: &Record) -> Result<()> {
    if options.get(MIRROR_NAME).is_some() || options.get(MIRROR_DOMAIN).is_some() {
        return Err(Error::invalid("-mirror_name and -mirror_domain are not allowed"));
    }
    Ok(())
}

/// What the streams of all kinds of buckets have.
fn base_stream(name: String, mut options: Record) -> Result<Record> {
    let history = options.get(HISTORY).and_then(Value::as_u64).unwrap_or_default();
    if !(1..=64).contains(&history) {
        return Err(Error::invalid("History must be between 1 and 64"));
    }
    let ttl = options.get(TTL).and_then(Value::as_i64).unwrap_or_default();
    if ttl == 0 {
        // For ever: it limits nothing.
        options.remove(TTL);
    }
    let window = if ttl > 0 { ttl.min(DUPLICATE_WINDOW) } else { DUPLICATE_WINDOW };
    let mut config = Record::new(&stream::TABLE);
    config.set(stream::NAME, name);
    config.set(stream::DUPLICATE_WINDOW, window);
    config.merge(options);
    Ok(config)
}

fn mirrors(config: &mut Record, origin: Record) {
    config.set(stream::MIRROR, origin);
    config.set(stream::MIRROR_DIRECT, true);
}

fn keys(origin: &Record) -> Result<Vec<&str>> {
    let keys = origin.get(origin::KEYS).and_then(Value::as_array);
    let keys: Vec<&str> = keys.into_iter().flatten().filter_map(Value::as_str).collect();
    keys.iter().try_for_each(|key| check_pattern(key))?;
    Ok(keys)
}

fn transforms(keys: &[&str], from: &str, to: &str) -> Vec<Value> {
    let transform = |key: &&str| {
        let mut transform = Record::new(&transform::TABLE);
        transform.set(transform::SRC, format!("$KV.{from}.{key}"));
        transform.set(transform::DEST, format!("$KV.{to}.{key}"));
        transform.into()
    };
    keys.iter().map(transform).collect()
}

/// A source or a mirror: the stream, by default that of the origin's bucket, and the way to it.
fn taken_from(stream: Option<String>, origin: &Record, transforms: Vec<Value>) -> Record {
    let bucket = origin.text(origin::BUCKET).unwrap_or_default();
    let mut taken = Record::new(&source::TABLE);
    taken.set(source::NAME, stream.unwrap_or_else(|| stream_of(bucket)));
    if let Some(api) = origin.text(origin::API) {
        taken.set(source::EXTERNAL, foreign(api, origin.text(origin::DELIVER)));
    }
    if !transforms.is_empty() {
        taken.set(source::SUBJECT_TRANSFORMS, transforms);
    }
    taken
}

fn foreign(api: &str, deliver: Option<&str>) -> Record {
    let mut external = Record::new(&external::TABLE);
    external.set(external::API, api);
    if let Some(deliver) = deliver {
        external.set(external::DELIVER, deliver);
    }
    external
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::schema::{Field, testing};
    use serde_json::json;

    fn refused(result: Result<Value>) -> String {
        let error = result.expect_err("refused");
        assert_eq!(error.kind, Kind::InvalidArg);
        error.message.into_owned()
    }

    fn plain() -> Record {
        Record::new(&TABLE)
    }

    fn with(field: Field, value: impl Into<Value>) -> Record {
        let mut options = plain();
        options.set(field, value);
        options
    }

    fn origin(fields: &[(Field, Value)]) -> Record {
        let mut origin = Record::new(&origin::TABLE);
        for (field, value) in fields {
            origin.set(*field, value.clone());
        }
        origin
    }

    #[test]
    fn every_option_is_a_field_of_the_stream() {
        let mut all = plain();
        TABLE.0.iter().for_each(|field| all.set(*field, true));
        let mut config = Record::new(&stream::TABLE);
        // A field that the stream does not have would panic in a test.
        config.merge(all);
        // Name of the mirror and its domain are not merged, retention and storage have defaults.
        assert_eq!(config.into_map().len(), TABLE.0.len() - 2);
    }

    #[test]
    fn a_plain_bucket() {
        let stream = bucket_stream("B", plain()).expect("a stream");
        assert_eq!(
            stream.to_string(),
            concat!(
                r#"{"name":"KV_B","subjects":["$KV.B.>"],"retention":"limits","discard":"new","#,
                r#""max_msgs_per_subject":1,"storage":"file","num_replicas":1,"#,
                r#""duplicate_window":120000000000,"deny_delete":true,"deny_purge":false,"#,
                r#""allow_rollup_hdrs":true,"allow_direct":true}"#
            )
        );
    }

    #[test]
    fn every_option() {
        let mut options = plain();
        options.set(METADATA, json!({"b": "2", "a": "1"}));
        options.set(COMPRESSION, "s2");
        options.set(NUM_REPLICAS, 3);
        options.set(STORAGE, "memory");
        options.set(MAX_BUCKET_SIZE, 104_857_600);
        options.set(TTL, 60_000_000_000_i64);
        options.set(HISTORY, 64);
        options.set(MAX_VALUE_SIZE, 1024);
        options.set(DESCRIPTION, "d");
        let stream = bucket_stream("B", options).expect("a stream");
        assert_eq!(
            stream.to_string(),
            concat!(
                r#"{"name":"KV_B","description":"d","subjects":["$KV.B.>"],"retention":"limits","#,
                r#""max_bytes":104857600,"discard":"new","max_age":60000000000,"#,
                r#""max_msgs_per_subject":64,"max_msg_size":1024,"storage":"memory","#,
                r#""num_replicas":3,"duplicate_window":60000000000,"deny_delete":true,"#,
                r#""deny_purge":false,"allow_rollup_hdrs":true,"compression":"s2","#,
                r#""allow_direct":true,"metadata":{"b":"2","a":"1"}}"#
            )
        );
        let stream = bucket_stream("B", with(TTL, 3_600_000_000_000_i64)).expect("a stream");
        assert_eq!(stream["duplicate_window"], json!(120_000_000_000_u64));
        let stream = bucket_stream("B", with(TTL, 0)).expect("a stream");
        assert_eq!(stream["duplicate_window"], json!(120_000_000_000_u64));
        assert!(stream.get("max_age").is_none());
    }

    #[test]
    fn mirrors_of_buckets() {
        let mut options = with(MIRROR_NAME, "O");
        options.set(MIRROR_DOMAIN, "hub");
        let stream = bucket_stream("B", options).expect("a stream");
        assert!(stream.get("subjects").is_none() && stream.get("mirror_name").is_none());
        assert_eq!(
            stream["mirror"].to_string(),
            r#"{"name":"KV_O","external":{"api":"$JS.hub.API"}}"#
        );
        assert_eq!(stream["mirror_direct"], json!(true));

        let from = origin(&[
            (origin::STREAM, "ignored".into()),
            (origin::BUCKET, "HUB".into()),
            (origin::API, "$JS.hub.API".into()),
        ]);
        let stream = mirror_stream("X", &from, plain()).expect("a stream");
        assert_eq!(stream["name"], json!("X"));
        assert_eq!(
            stream["mirror"].to_string(),
            r#"{"name":"KV_HUB","external":{"api":"$JS.hub.API"}}"#
        );
        let from = origin(&[
            (origin::BUCKET, "HUB".into()),
            (origin::KEYS, json!(["a.>"])),
            (origin::DELIVER, "only with an api".into()),
        ]);
        let stream = mirror_stream("X", &from, plain()).expect("a stream");
        assert_eq!(
            stream["mirror"].to_string(),
            r#"{"name":"KV_HUB","subject_transforms":[{"src":"$KV.HUB.a.>","dest":"$KV.HUB.a.>"}]}"#
        );
    }

    #[test]
    fn aggregates() {
        let origins = [
            origin(&[
                (origin::BUCKET, "HUB".into()),
                (origin::KEYS, json!(["a", "b.>"])),
                (origin::API, "$JS.hub.API".into()),
                (origin::DELIVER, "d".into()),
            ]),
            origin(&[(origin::STREAM, "M".into()), (origin::BUCKET, "N".into())]),
        ];
        let stream = aggregate_stream("AG", false, &origins, plain()).expect("a stream");
        assert!(stream.get("subjects").is_none() && stream.get("mirror_direct").is_none());
        assert_eq!(
            stream["sources"].to_string(),
            concat!(
                r#"[{"name":"KV_HUB","external":{"api":"$JS.hub.API","deliver":"d"},"#,
                r#""subject_transforms":[{"src":"$KV.HUB.a","dest":"$KV.AG.a"},"#,
                r#"{"src":"$KV.HUB.b.>","dest":"$KV.AG.b.>"}]},"#,
                r#"{"name":"M","subject_transforms":[{"src":"$KV.N.>","dest":"$KV.AG.>"}]}]"#
            )
        );
        let stream = aggregate_stream("AG", true, &origins, plain()).expect("a stream");
        assert_eq!(stream["subjects"], json!(["$KV.AG.>"]));
    }

    #[test]
    fn every_option_is_in_the_reference() {
        let reference = include_str!("../../doc/kv.md");
        for option in testing::options(&TABLE).chain(testing::options(&origin::TABLE)) {
            assert!(reference.contains(&format!("`-{option}`")), "{option}");
        }
    }

    #[test]
    fn checks() {
        let from = origin(&[(origin::BUCKET, "O".into())]);
        for history in [0, 65] {
            let refused = refused(bucket_stream("B", with(HISTORY, history)));
            assert_eq!(refused, "History must be between 1 and 64");
        }
        let text = "-mirror_name and -mirror_domain are not allowed";
        assert_eq!(refused(mirror_stream("X", &from, with(MIRROR_NAME, "O"))), text);
        let options = with(MIRROR_DOMAIN, "O");
        assert_eq!(refused(aggregate_stream("B", true, &[from], options)), text);
        let refused = refused(bucket_stream("B", with(MIRROR_NAME, "a.b")));
        assert_eq!(refused, "Invalid bucket name a.b");
    }
}
