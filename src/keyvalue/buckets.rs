//! The methods of `nats::jet_stream` that manage Key-Value buckets.

use super::bucket::{Bucket, not_found};
use super::config::{BucketConfig, Origin, aggregate_stream, bucket_stream, mirror_stream};
use super::names::check_bucket;
use super::object::create as create_object;
use crate::bridge;
use crate::error::{Error, Kind};
use crate::jetstream::context::JetStream;
use crate::options::{self, Options, Type};
use crate::tcl::call::{ANY, create};
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use serde_json::Value;
use std::rc::Rc;

/// `ErrStreamNotFound` in the words of a bucket.
fn bucket_missing(bucket: &str) -> impl Fn(Error) -> Error {
    let bucket = bucket.to_owned();
    move |error| match error.kind {
        Kind::StreamNotFound => not_found(&bucket),
        _ => error,
    }
}

const CONFIG_OPTIONS: &[options::Spec] = &[
    ("description", Type::ValidStr),
    ("max_value_size", Type::Int),
    ("history", Type::PosInt),
    ("ttl", Type::PosInt),
    ("max_bucket_size", Type::PosInt),
    ("storage", Type::Enum(&["memory", "file"])),
    ("num_replicas", Type::Int),
    ("compression", Type::Enum(&["none", "s2"])),
    ("metadata", Type::Metadata),
    ("mirror_name", Type::ValidStr),
    ("mirror_domain", Type::ValidStr),
];

fn bucket_config(interp: Interp<'_>, given: &Options) -> Result<BucketConfig> {
    let count = |name: &str| given.int(name).and_then(|n| u64::try_from(n).ok());
    let metadata = match given.get("metadata") {
        None => None,
        Some(dict) => {
            let pairs = dict.pairs(interp)?;
            Some(pairs.iter().map(|(key, value)| (key.string(), value.string())).collect())
        }
    };
    Ok(BucketConfig {
        description: given.string("description"),
        max_value_size: given.int("max_value_size"),
        history: count("history"),
        ttl_ms: count("ttl"),
        max_bucket_size: count("max_bucket_size"),
        storage: given.string("storage"),
        num_replicas: given.int("num_replicas"),
        compression: given.string("compression"),
        metadata,
        mirror_name: given.string("mirror_name"),
        mirror_domain: given.string("mirror_domain"),
    })
}

fn bucket_object(
    interp: Interp<'_>,
    js: &Rc<JetStream>,
    name: &str,
    info: &Value,
) -> Result<Return> {
    let bucket = Bucket::from_info(name, info, &js.prefix)?;
    Ok(create_object(interp, js, bucket)?.into())
}

fn bind_kv_bucket(call: &Call<'_>) -> Result<Return> {
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let js = call.data::<JetStream>()?;
    let operation = format!("STREAM.INFO.KV_{name}");
    js.clone().request(call.interp, &operation, None, move |interp, outcome| {
        let info = outcome.map_err(bucket_missing(&name))?;
        bucket_object(interp, &js, &name, &info)
    })
}

/// Creates the stream behind a bucket; `name` is that of the bucket.
fn create_bucket(
    interp: Interp<'_>,
    js: Rc<JetStream>,
    name: String,
    stream: &Value,
) -> Result<Return> {
    let operation = format!("STREAM.CREATE.KV_{name}");
    js.clone().request(interp, &operation, Some(stream), move |interp, outcome| {
        bucket_object(interp, &js, &name, &outcome?)
    })
}

fn create_kv_bucket(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let given = options::parse(call.interp, CONFIG_OPTIONS, &call.args()[1..])?;
    let stream = bucket_stream(&name, &bucket_config(call.interp, &given)?)?;
    create_bucket(call.interp, js, name, &stream)
}

fn create_kv_aggregate(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let writable = call.arg(1)?.text();
    let writable = options::boolean(&writable)
        .ok_or_else(|| Error::invalid(format!("writable = {writable} is not a boolean")))?;
    let mut origins = Vec::new();
    for origin in call.arg(2)?.elements(call.interp)? {
        origins.push(read_origin(call.interp, &origin)?);
    }
    let given = options::parse(call.interp, CONFIG_OPTIONS, &call.args()[3..])?;
    let config = bucket_config(call.interp, &given)?;
    let stream = aggregate_stream(&name, writable, &origins, &config)?;
    create_bucket(call.interp, js, name, &stream)
}

fn create_kv_mirror(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let name = call.arg(0)?.string();
    let origin = read_origin(call.interp, call.arg(1)?)?;
    let given = options::parse(call.interp, CONFIG_OPTIONS, &call.args()[2..])?;
    let stream = mirror_stream(&name, &origin, &bucket_config(call.interp, &given)?)?;
    let operation = format!("STREAM.CREATE.{name}");
    js.request(call.interp, &operation, Some(&stream), |_, outcome| {
        outcome?;
        Ok(Return::Empty)
    })
}

fn delete_kv_bucket(call: &Call<'_>) -> Result<Return> {
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let operation = format!("STREAM.DELETE.KV_{name}");
    call.data::<JetStream>()?.request(call.interp, &operation, None, move |_, outcome| {
        outcome.map_err(bucket_missing(&name))?;
        Ok(Obj::word(true).into())
    })
}

fn empty_kv_bucket(call: &Call<'_>) -> Result<Return> {
    let operation = format!("STREAM.PURGE.KV_{}", call.arg(0)?.text());
    call.data::<JetStream>()?.request(call.interp, &operation, None, |_, outcome| {
        let purged = outcome?.get("purged").and_then(Value::as_i64).unwrap_or_default();
        Ok(Obj::int(purged).into())
    })
}

fn kv_buckets(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let (api, traces) = js.api()?;
    let link = api.link.clone();
    let (promise, answer) = bridge::promise(call.interp);
    link.spawn(async move { promise.complete(api.stream_names(None).await) });
    answer.wait(call.interp, move |_, outcome| {
        js.log(&traces);
        let list = Obj::list(&[]);
        let names = outcome.map_err(|error| js.connection.ended(error))?;
        for name in names.iter().filter_map(Value::as_str) {
            if let Some(bucket) = name.strip_prefix("KV_") {
                list.push(&Obj::new(bucket));
            }
        }
        Ok(list.into())
    })
}

const ORIGIN_OPTIONS: &[options::Spec] = &[
    ("stream", Type::ValidStr),
    ("bucket", Type::ValidStr),
    ("keys", Type::List),
    ("domain", Type::ValidStr),
    ("api", Type::ValidStr),
    ("deliver", Type::ValidStr),
];

fn make_kv_origin(call: &Call<'_>) -> Result<Return> {
    let given = options::parse(call.interp, ORIGIN_OPTIONS, call.args())?;
    if given.get("bucket").is_none() {
        return Err(Error::invalid("Option bucket is required").into());
    }
    if given.get("domain").is_some() && given.get("api").is_some() {
        return Err(Error::invalid("-domain and -api are mutually exclusive").into());
    }
    let dict = Obj::dict();
    for name in ["stream", "bucket", "keys"] {
        if let Some(value) = given.get(name) {
            dict.put(name, value);
        }
    }
    if let Some(domain) = given.string("domain") {
        dict.put("api", &Obj::new(&format!("$JS.{domain}.API")));
    }
    for name in ["api", "deliver"] {
        if let Some(value) = given.get(name) {
            dict.put(name, value);
        }
    }
    Ok(dict.into())
}

/// The dict that `make_kv_origin` returns.
fn read_origin(interp: Interp<'_>, dict: &Obj) -> Result<Origin> {
    let text = |name: &str| -> Result<Option<String>> {
        Ok(dict.dict_get(interp, name)?.map(|value| value.string()))
    };
    let bucket =
        text("bucket")?.ok_or_else(|| Error::new(Kind::InvalidArg, "Option bucket is required"))?;
    let keys = match dict.dict_get(interp, "keys")? {
        None => Vec::new(),
        Some(list) => list.elements(interp)?.iter().map(Obj::string).collect(),
    };
    Ok(Origin {
        stream: text("stream")?,
        bucket,
        keys,
        api: text("api")?,
        deliver: text("deliver")?,
    })
}

const METHODS: &[Method] = &[
    Method { name: "bind_kv_bucket", usage: "bucket", min: 1, max: 1, body: bind_kv_bucket },
    Method {
        name: "create_kv_aggregate",
        usage: "bucket writable origins ?arg ...?",
        min: 3,
        max: ANY,
        body: create_kv_aggregate,
    },
    Method {
        name: "create_kv_bucket",
        usage: "bucket ?arg ...?",
        min: 1,
        max: ANY,
        body: create_kv_bucket,
    },
    Method {
        name: "create_kv_mirror",
        usage: "name origin ?arg ...?",
        min: 2,
        max: ANY,
        body: create_kv_mirror,
    },
    Method { name: "delete_kv_bucket", usage: "bucket", min: 1, max: 1, body: delete_kv_bucket },
    Method { name: "empty_kv_bucket", usage: "bucket", min: 1, max: 1, body: empty_kv_bucket },
    Method { name: "kv_buckets", usage: "", min: 0, max: 0, body: kv_buckets },
];

static MAKE_KV_ORIGIN: Method = Method {
    name: "::nats::make_kv_origin",
    usage: "?arg ...?",
    min: 0,
    max: ANY,
    body: make_kv_origin,
};

/// Adds the methods to the class of JetStream objects.
pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)?;
    create(interp, &MAKE_KV_ORIGIN)
}
