//! Stream configurations behind buckets, aggregates and mirrors.

use serde_json::{Map, Value, json};

use super::names::check_bucket;
use crate::error::{Error, Result};

const DUPLICATE_WINDOW_MS: u64 = 120_000;

/// The options shared by everything that creates a bucket; `None` is "not given".
#[derive(Clone, Debug, Default)]
pub struct BucketConfig {
    pub description: Option<String>,
    pub max_value_size: Option<i64>,
    /// 1…64, by default 1.
    pub history: Option<u64>,
    pub ttl_ms: Option<u64>,
    pub max_bucket_size: Option<u64>,
    /// `memory` or `file`, by default `file`.
    pub storage: Option<String>,
    pub num_replicas: Option<i64>,
    /// `none` or `s2`.
    pub compression: Option<String>,
    pub metadata: Option<Vec<(String, String)>>,
    /// Plain buckets only.
    pub mirror_name: Option<String>,
    pub mirror_domain: Option<String>,
}

/// Where an aggregate or a mirror takes its entries from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub stream: Option<String>,
    pub bucket: String,
    /// Patterns of keys; none means all.
    pub keys: Vec<String>,
    pub api: Option<String>,
    pub deliver: Option<String>,
}

/// What differs between the kinds of buckets.
#[derive(Default)]
struct Shape {
    name: String,
    subjects: Option<String>,
    mirror: Option<Value>,
    sources: Option<Value>,
}

/// The stream of `create_kv_bucket`.
pub fn bucket_stream(bucket: &str, config: &BucketConfig) -> Result<Value> {
    check_bucket(bucket)?;
    let name = format!("KV_{bucket}");
    let Some(mirror_name) = &config.mirror_name else {
        let subjects = Some(format!("$KV.{bucket}.>"));
        return stream(Shape { name, subjects, ..Shape::default() }, config);
    };
    check_bucket(mirror_name)?;
    let mut mirror = Map::new();
    mirror.insert("name".to_owned(), format!("KV_{mirror_name}").into());
    if let Some(domain) = &config.mirror_domain {
        mirror.insert("external".to_owned(), json!({"api": format!("$JS.{domain}.API")}));
    }
    stream(Shape { name, mirror: Some(mirror.into()), ..Shape::default() }, config)
}

/// The stream of `create_kv_aggregate`.
pub fn aggregate_stream(
    bucket: &str,
    writable: bool,
    origins: &[Origin],
    config: &BucketConfig,
) -> Result<Value> {
    check_bucket(bucket)?;
    no_mirror_options(config)?;
    if origins.is_empty() {
        return Err(Error::invalid("List of KV origins is required"));
    }
    let all = [">".to_owned()];
    let sources = origins.iter().map(|origin| {
        let keys = if origin.keys.is_empty() { all.as_slice() } else { &origin.keys };
        let name = match &origin.stream {
            Some(stream) => stream.clone(),
            None => format!("KV_{}", origin.bucket),
        };
        source(name, origin, transforms(keys, &origin.bucket, bucket))
    });
    let shape = Shape {
        name: format!("KV_{bucket}"),
        subjects: writable.then(|| format!("$KV.{bucket}.>")),
        sources: Some(sources.collect()),
        ..Shape::default()
    };
    stream(shape, config)
}

/// The stream of `create_kv_mirror`, whose name has no `KV_` in front.
pub fn mirror_stream(name: &str, origin: &Origin, config: &BucketConfig) -> Result<Value> {
    check_bucket(name)?;
    if name.starts_with("KV_") {
        return Err(Error::invalid("Mirror name must not be KV"));
    }
    no_mirror_options(config)?;
    let transforms = transforms(&origin.keys, &origin.bucket, &origin.bucket);
    let mirror = source(format!("KV_{}", origin.bucket), origin, transforms);
    stream(Shape { name: name.to_owned(), mirror: Some(mirror), ..Shape::default() }, config)
}

fn no_mirror_options(config: &BucketConfig) -> Result<()> {
    if config.mirror_name.is_some() || config.mirror_domain.is_some() {
        return Err(Error::invalid("-mirror_name and -mirror_domain are not allowed"));
    }
    Ok(())
}

fn transforms(keys: &[String], from: &str, to: &str) -> Vec<Value> {
    keys.iter()
        .map(|key| json!({"src": format!("$KV.{from}.{key}"), "dest": format!("$KV.{to}.{key}")}))
        .collect()
}

fn source(name: String, origin: &Origin, transforms: Vec<Value>) -> Value {
    let mut source = Map::new();
    source.insert("name".to_owned(), name.into());
    if let Some(api) = &origin.api {
        let mut external = Map::new();
        external.insert("api".to_owned(), api.as_str().into());
        if let Some(deliver) = &origin.deliver {
            external.insert("deliver".to_owned(), deliver.as_str().into());
        }
        source.insert("external".to_owned(), external.into());
    }
    if !transforms.is_empty() {
        source.insert("subject_transforms".to_owned(), transforms.into());
    }
    source.into()
}

/// The keys come in the order of the options of `add_stream`.
fn stream(shape: Shape, config: &BucketConfig) -> Result<Value> {
    let history = config.history.unwrap_or(1);
    if !(1..=64).contains(&history) {
        return Err(Error::invalid("History must be between 1 and 64"));
    }
    let mut stream = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            stream.insert(key.to_owned(), value);
        }
    };
    let text = |value: &Option<String>| value.as_deref().map(Value::from);
    // A ttl of 0 is "for ever" and limits nothing.
    let ttl = config.ttl_ms.filter(|ttl| *ttl > 0);
    let window = ttl.map_or(DUPLICATE_WINDOW_MS, |ttl| ttl.min(DUPLICATE_WINDOW_MS));
    let is_mirror = shape.mirror.is_some();

    set("name", Some(shape.name.into()));
    set("description", text(&config.description));
    set("subjects", shape.subjects.map(|subject| vec![subject].into()));
    set("retention", Some("limits".into()));
    set("max_bytes", config.max_bucket_size.map(Value::from));
    set("discard", Some("new".into()));
    set("max_age", ttl.map(nanoseconds).transpose()?);
    set("max_msgs_per_subject", Some(history.into()));
    set("max_msg_size", config.max_value_size.map(Value::from));
    set("storage", Some(text(&config.storage).unwrap_or_else(|| "file".into())));
    set("num_replicas", Some(config.num_replicas.unwrap_or(1).into()));
    set("duplicate_window", Some(nanoseconds(window)?));
    set("mirror", shape.mirror);
    set("sources", shape.sources);
    set("deny_delete", Some(true.into()));
    set("deny_purge", Some(false.into()));
    set("allow_rollup_hdrs", Some(true.into()));
    set("compression", text(&config.compression));
    set("allow_direct", Some(true.into()));
    set("mirror_direct", is_mirror.then(|| true.into()));
    set(
        "metadata",
        config.metadata.as_ref().map(|pairs| {
            let pair = |(key, value): &(String, String)| (key.clone(), Value::from(value.as_str()));
            pairs.iter().map(pair).collect::<Map<_, _>>().into()
        }),
    );
    Ok(stream.into())
}

fn nanoseconds(ms: u64) -> Result<Value> {
    // The server counts in signed 64 bits.
    let ns = i64::try_from(ms).ok().and_then(|ms| ms.checked_mul(1_000_000));
    ns.map(Value::from)
        .ok_or_else(|| Error::invalid(format!("Invalid value for the pos_int option ttl : {ms}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn refused(result: Result<Value>) -> String {
        let error = result.expect_err("refused");
        assert_eq!(error.kind, Kind::InvalidArg);
        error.message.into_owned()
    }

    #[test]
    fn a_plain_bucket() {
        let stream = bucket_stream("B", &BucketConfig::default()).expect("a stream");
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
        let config = BucketConfig {
            description: Some("d".into()),
            max_value_size: Some(1024),
            history: Some(64),
            ttl_ms: Some(60_000),
            max_bucket_size: Some(104_857_600),
            storage: Some("memory".into()),
            num_replicas: Some(3),
            compression: Some("s2".into()),
            metadata: Some(vec![("b".into(), "2".into()), ("a".into(), "1".into())]),
            ..BucketConfig::default()
        };
        let stream = bucket_stream("B", &config).expect("a stream");
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
        let config = BucketConfig { ttl_ms: Some(3_600_000), ..BucketConfig::default() };
        let stream = bucket_stream("B", &config).expect("a stream");
        assert_eq!(stream["duplicate_window"], json!(120_000_000_000_u64));
        let config = BucketConfig { ttl_ms: Some(0), ..BucketConfig::default() };
        let stream = bucket_stream("B", &config).expect("a stream");
        assert_eq!(stream["duplicate_window"], json!(120_000_000_000_u64));
        assert!(stream.get("max_age").is_none());
    }

    #[test]
    fn mirrors() {
        let config = BucketConfig {
            mirror_name: Some("O".into()),
            mirror_domain: Some("hub".into()),
            ..BucketConfig::default()
        };
        let stream = bucket_stream("B", &config).expect("a stream");
        assert!(stream.get("subjects").is_none());
        assert_eq!(
            stream["mirror"].to_string(),
            r#"{"name":"KV_O","external":{"api":"$JS.hub.API"}}"#
        );
        assert_eq!(stream["mirror_direct"], json!(true));

        let mut origin = Origin {
            stream: Some("ignored".into()),
            bucket: "HUB".into(),
            api: Some("$JS.hub.API".into()),
            ..Origin::default()
        };
        let stream = mirror_stream("X", &origin, &BucketConfig::default()).expect("a stream");
        assert_eq!(stream["name"], json!("X"));
        assert_eq!(
            stream["mirror"].to_string(),
            r#"{"name":"KV_HUB","external":{"api":"$JS.hub.API"}}"#
        );
        origin.keys = vec!["a.>".into()];
        origin.api = None;
        origin.deliver = Some("only with an api".into());
        let stream = mirror_stream("X", &origin, &BucketConfig::default()).expect("a stream");
        assert_eq!(
            stream["mirror"].to_string(),
            r#"{"name":"KV_HUB","subject_transforms":[{"src":"$KV.HUB.a.>","dest":"$KV.HUB.a.>"}]}"#
        );
    }

    #[test]
    fn aggregates() {
        let origins = [
            Origin {
                bucket: "HUB".into(),
                keys: vec!["a".into(), "b.>".into()],
                api: Some("$JS.hub.API".into()),
                deliver: Some("d".into()),
                ..Origin::default()
            },
            Origin { stream: Some("M".into()), bucket: "N".into(), ..Origin::default() },
        ];
        let config = BucketConfig::default();
        let stream = aggregate_stream("AG", false, &origins, &config).expect("a stream");
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
        let stream = aggregate_stream("AG", true, &origins, &config).expect("a stream");
        assert_eq!(stream["subjects"], json!(["$KV.AG.>"]));
    }

    #[test]
    fn checks() {
        let plain = BucketConfig::default();
        let origin = Origin { bucket: "O".into(), ..Origin::default() };
        assert_eq!(refused(bucket_stream("a.b", &plain)), "Invalid bucket name a.b");
        for history in [0, 65] {
            let config = BucketConfig { history: Some(history), ..BucketConfig::default() };
            assert_eq!(refused(bucket_stream("B", &config)), "History must be between 1 and 64");
        }
        assert_eq!(
            refused(aggregate_stream("B", true, &[], &plain)),
            "List of KV origins is required"
        );
        assert_eq!(refused(mirror_stream("KV_X", &origin, &plain)), "Mirror name must not be KV");
        assert_eq!(refused(mirror_stream("a b", &origin, &plain)), "Invalid bucket name a b");
        let config = BucketConfig { mirror_name: Some("O".into()), ..BucketConfig::default() };
        let text = "-mirror_name and -mirror_domain are not allowed";
        assert_eq!(refused(mirror_stream("X", &origin, &config)), text);
        assert_eq!(refused(aggregate_stream("B", true, &[origin], &config)), text);
        let config = BucketConfig { mirror_name: Some("a.b".into()), ..BucketConfig::default() };
        assert_eq!(refused(bucket_stream("B", &config)), "Invalid bucket name a.b");
        let config = BucketConfig { ttl_ms: Some(u64::MAX), ..BucketConfig::default() };
        assert!(refused(bucket_stream("B", &config)).contains("ttl"));
    }
}
