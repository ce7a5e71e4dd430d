//! The configuration of buckets, and the streams behind buckets, aggregates and mirrors.

use crate::bucket::names::check_bucket;
use serde_json::Value;

use super::names::{check_pattern, stream_of};
use crate::error::{Error, Result};
use crate::jetstream::stream::config::{self as stream, external, source, transform};
use crate::options::Type;
use crate::schema::{Record, list, table, valid_str};

/// In ns; a time to live that is shorter counts.
const DUPLICATE_WINDOW: i64 = 120_000_000_000;

/// In ns.
const SHORTEST_MARKER: i64 = 1_000_000_000;

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
    LIMIT_MARKER_TTL:  stream::SUBJECT_DELETE_MARKER_TTL.called("limit_marker_ttl").typed(Type::PosInt);
    REPUBLISH:         stream::REPUBLISH;
    PLACEMENT:         stream::PLACEMENT;
    ATOMIC:            stream::ALLOW_ATOMIC.called("atomic");
    // Given as what `make_kv_origin` returns; see `sources`.
    SOURCES:           stream::SOURCES.typed(Type::List).since(2, 10, 0);
    PERSIST:           stream::PERSIST_MODE.called("persist");
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
    let mirror = mirror_of(&options)?;
    let mut config = base_stream(stream_of(bucket), options)?;
    match mirror {
        Some(mirror) => mirrors(&mut config, mirror),
        None => config.set(stream::SUBJECTS, vec![format!("$KV.{bucket}.>")]),
    }
    Ok(config.into())
}

/// What the options of a mirror say of its origin.
pub fn mirror_of(options: &Record) -> Result<Option<Record>> {
    let Some(name) = options.text(MIRROR_NAME) else { return Ok(None) };
    check_bucket(name)?;
    let mut mirror = Record::new(&source::TABLE);
    mirror.set(source::NAME, stream_of(name));
    if let Some(domain) = options.text(MIRROR_DOMAIN) {
        mirror.set(source::EXTERNAL, foreign(&format!("$JS.{domain}.API"), None));
    }
    Ok(Some(mirror))
}

/// The stream of `create_kv_aggregate`.
pub fn aggregate_stream(
    bucket: &str,
    writable: bool,
    origins: &[Record],
    options: Record,
) -> Result<Value> {
    no_origin_options(&options)?;
    let mut config = base_stream(stream_of(bucket), options)?;
    if writable {
        config.set(stream::SUBJECTS, vec![format!("$KV.{bucket}.>")]);
    }
    config.set(stream::SOURCES, sources(bucket, origins)?);
    Ok(config.into())
}

/// Where a bucket collects its entries from. They get its subjects (ADR-57).
pub fn sources(bucket: &str, origins: &[Record]) -> Result<Value> {
    let source = |origin: &Record| {
        let from = origin.text(origin::BUCKET).unwrap_or_default();
        let keys = keys(origin)?;
        let keys = if keys.is_empty() { vec![">"] } else { keys };
        let name = origin.text(origin::STREAM).map(str::to_owned);
        Ok(Value::from(taken_from(name, origin, transforms(&keys, from, bucket))))
    };
    origins.iter().map(source).collect()
}

/// The stream of `create_kv_mirror`, whose name has no `KV_` in front.
pub fn mirror_stream(name: &str, origin: &Record, options: Record) -> Result<Value> {
    no_origin_options(&options)?;
    let mut config = base_stream(name.to_owned(), options)?;
    let from = origin.text(origin::BUCKET).unwrap_or_default();
    mirrors(&mut config, taken_from(None, origin, transforms(&keys(origin)?, from, from)));
    Ok(config.into())
}

/// Where the entries come from is said in another way.
fn no_origin_options(options: &Record) -> Result<()> {
    if options.get(MIRROR_NAME).is_some() || options.get(MIRROR_DOMAIN).is_some() {
        return Err(Error::invalid("-mirror_name and -mirror_domain are not allowed"));
    }
    if options.get(SOURCES).is_some() {
        return Err(Error::invalid("-sources is not allowed"));
    }
    Ok(())
}

/// The values that a bucket cannot have.
pub fn check(options: &Record) -> Result<()> {
    let number = |field| options.get(field).and_then(Value::as_i64);
    if number(HISTORY).is_some_and(|history| !(1..=64).contains(&history)) {
        return Err(Error::invalid("History must be between 1 and 64"));
    }
    if number(LIMIT_MARKER_TTL).is_some_and(|ttl| ttl < SHORTEST_MARKER) {
        return Err(Error::invalid("-limit_marker_ttl must be at least 1000"));
    }
    Ok(())
}

/// Takes out the option that there shall be no markers. Whether it was there.
pub fn without_markers(options: &mut Record) -> bool {
    let none = options.get(LIMIT_MARKER_TTL).and_then(Value::as_i64) == Some(0);
    if none {
        options.remove(LIMIT_MARKER_TTL);
    }
    none
}

/// The duplicate window of a bucket with this time to live, both in ns.
pub fn window(ttl: i64) -> i64 {
    if ttl > 0 { ttl.min(DUPLICATE_WINDOW) } else { DUPLICATE_WINDOW }
}

/// What the streams of all kinds of buckets have.
fn base_stream(name: String, mut options: Record) -> Result<Record> {
    check(&options)?;
    let ttl = options.get(TTL).and_then(Value::as_i64).unwrap_or_default();
    if ttl == 0 {
        // For ever: it limits nothing.
        options.remove(TTL);
    }
    let mut config = Record::new(&stream::TABLE);
    config.set(stream::NAME, name);
    config.set(stream::DUPLICATE_WINDOW, window(ttl));
    if options.get(LIMIT_MARKER_TTL).is_some() {
        config.set(stream::ALLOW_MSG_TTL, true);
    }
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
mod tests;
