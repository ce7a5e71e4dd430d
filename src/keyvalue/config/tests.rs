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
    let mut options = with(LIMIT_MARKER_TTL, 2_000_000_000_i64);
    options.set(REPUBLISH, json!({"src": ">", "dest": "kv.>"}));
    options.set(PLACEMENT, json!({"cluster": "C"}));
    options.set(ATOMIC, true);
    options.set(PERSIST, "async");
    options.set(SOURCES, sources("B", &[origin(&[(origin::BUCKET, "O".into())])]).expect("one"));
    let stream = bucket_stream("B", options).expect("a stream");
    for (field, value) in [
        ("allow_msg_ttl", json!(true)),
        ("subject_delete_marker_ttl", json!(2_000_000_000)),
        ("republish", json!({"src": ">", "dest": "kv.>"})),
        ("placement", json!({"cluster": "C"})),
        ("allow_atomic", json!(true)),
        ("persist_mode", json!("async")),
        ("subjects", json!(["$KV.B.>"])),
        (
            "sources",
            json!([{"name": "KV_O", "subject_transforms":
                [{"src": "$KV.O.>", "dest": "$KV.B.>"}]}]),
        ),
    ] {
        assert_eq!(stream[field], value, "{field}");
    }
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
    assert_eq!(stream["mirror"].to_string(), r#"{"name":"KV_O","external":{"api":"$JS.hub.API"}}"#);
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
    let reference = include_str!("../../../doc/kv.md");
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
    let short = refused(bucket_stream("B", with(LIMIT_MARKER_TTL, 999_999_999)));
    assert_eq!(short, "-limit_marker_ttl must be at least 1000");
    let sourced = with(SOURCES, json!([]));
    assert_eq!(refused(mirror_stream("X", &from, sourced)), "-sources is not allowed");
    let text = "-mirror_name and -mirror_domain are not allowed";
    assert_eq!(refused(mirror_stream("X", &from, with(MIRROR_NAME, "O"))), text);
    let options = with(MIRROR_DOMAIN, "O");
    assert_eq!(refused(aggregate_stream("B", true, &[from], options)), text);
    let refused = refused(bucket_stream("B", with(MIRROR_NAME, "a.b")));
    assert_eq!(refused, "Invalid bucket name a.b");
}
