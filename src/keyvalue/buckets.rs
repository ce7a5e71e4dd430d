//! The methods of `nats::jet_stream` that manage Key-Value buckets.

use super::abilities::Abilities;
use super::binding::Binding;
use super::bucket::{Bucket, mirrored};
use super::config::{self, aggregate_stream, bucket_stream, mirror_stream, origin};
use super::names::{check_mirror, stream_of};
use super::object::create as create_object;
use crate::bucket::names::{check_bucket, not_found};
use crate::error::{Error, Kind};
use crate::jetstream::api::{Api, Op};
use crate::jetstream::context::JetStream;
use crate::jetstream::ordered::watched;
use crate::jetstream::stream::config::TABLE as STREAM;
use crate::jetstream::stream::create;
use crate::json;
use crate::options;
use crate::schema::{self, Given, Record};
use crate::tcl::call::{self, ANY};
use crate::tcl::{Call, Interp, List, Method, Obj, Result, Return, oo};
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;

/// `ErrStreamNotFound` in the words of a bucket.
pub(super) fn bucket_missing(bucket: &str) -> impl Fn(Error) -> Error {
    let bucket = bucket.to_owned();
    move |error| match error.kind {
        Kind::StreamNotFound => not_found(&bucket),
        _ => error,
    }
}

/// The options of everything that creates a bucket of this name.
pub(super) fn bucket_options(
    call: &Call<'_>,
    js: &JetStream,
    bucket: &str,
    words: &[Obj],
) -> Result<Record> {
    let given = schema::strict(call.interp, &config::TABLE, words)?;
    bucket_record(call, bucket, given, |given| given.record(call.interp, &|v| js.serves(v)))
}

/// The options of a bucket, of which `make` makes a record.
pub(super) fn bucket_record(
    call: &Call<'_>,
    bucket: &str,
    given: Given,
    make: impl FnOnce(Given) -> Result<Record>,
) -> Result<Record> {
    let origins = given.get(config::SOURCES).filter(|origins| !origins.is_empty()).cloned();
    let mut record = make(given)?;
    if let Some(origins) = origins {
        let origins = read_origins(call.interp, &origins)?;
        record.set(config::SOURCES, config::sources(bucket, &origins)?);
    }
    Ok(record)
}

pub(super) fn bucket_object(
    interp: Interp<'_>,
    js: &Rc<JetStream>,
    name: &str,
    infos: &[Value],
) -> Result<Return> {
    bound_object(interp, js, name, infos, Binding::default())
}

fn bound_object(
    interp: Interp<'_>,
    js: &Rc<JetStream>,
    name: &str,
    infos: &[Value],
    binding: Binding,
) -> Result<Return> {
    let bucket = Bucket::from_infos(name, infos, &js.prefix)?;
    // The stream that is written to. If that was not seen a mirror of it tells what it can: of atomic batches
    // and markers no mirror has any, and messages that must not expire are refused by the origin.
    let abilities = Abilities::from_info(infos.last());
    Ok(create_object(interp, js, bucket, abilities, binding)?.into())
}

/// A mirror of a mirror of a mirror.
const DEEPEST: usize = 8;

/// How long an answer about an origin may take. Without it the name of the origin says what it can.
const ORIGIN_WAIT: Duration = Duration::from_secs(2);

/// The info of a stream and of those that it mirrors, if there are any.
pub(super) async fn with_origins(mut api: Api, info: Value) -> Vec<Value> {
    api.timeout = Some(api.timeout.map_or(ORIGIN_WAIT, |timeout| timeout.min(ORIGIN_WAIT)));
    let mut infos = vec![info];
    while infos.len() < DEEPEST
        && let Some(origin) = infos.last().and_then(mirrored)
    {
        match api.call(Op::StreamInfo(origin), "").await {
            Ok(info) => infos.push(info),
            Err(_) => break,
        }
    }
    infos
}

fn bind_kv_bucket(call: &Call<'_>) -> Result<Return> {
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let binding = match &call.args()[1..] {
        // Before there were options it was one argument too many.
        [_] => return Err(call.wrong_args(BIND.usage)),
        words => Binding::parse(call.interp, words)?,
    };
    let js = call.data::<JetStream>()?;
    let stream = stream_of(&name);
    let infos = |api: Api| async move {
        let info = api.call(Op::StreamInfo(&stream), "").await?;
        Ok(with_origins(api, info).await)
    };
    js.clone().run(call.interp, infos, move |interp, outcome| {
        let infos = outcome.map_err(bucket_missing(&name))?;
        bound_object(interp, &js, &name, &infos, binding)
    })
}

/// Creates the stream of what the program calls `what`.
pub(super) async fn create_stream(
    api: &Api,
    stream: &str,
    what: String,
    config: &Value,
) -> crate::error::Result<Value> {
    create::create(api, stream, &what, config, &[&config::TABLE, &STREAM]).await
}

/// Creates the stream behind a bucket; `name` is that of the bucket.
fn create_bucket(
    interp: Interp<'_>,
    js: Rc<JetStream>,
    name: String,
    config: Value,
) -> Result<Return> {
    let (stream, what) = (stream_of(&name), format!("bucket {name}"));
    let infos = |api: Api| async move {
        let info = create_stream(&api, &stream, what, &config).await?;
        Ok(with_origins(api, info).await)
    };
    js.clone().run(interp, infos, move |interp, outcome| {
        let infos = outcome?;
        watched::made(&stream_of(&name));
        bucket_object(interp, &js, &name, &infos)
    })
}

fn create_kv_bucket(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let stream = bucket_stream(&name, bucket_options(call, &js, &name, &call.args()[1..])?)?;
    create_bucket(call.interp, js, name, stream)
}

fn create_kv_aggregate(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let writable = call.arg(1)?.text();
    let writable = options::boolean(&writable)
        .ok_or_else(|| Error::invalid(format!("writable = {writable} is not a boolean")))?;
    let origins = read_origins(call.interp, call.arg(2)?)?;
    if origins.is_empty() {
        return Err(Error::invalid("List of KV origins is required").into());
    }
    let options = bucket_options(call, &js, &name, &call.args()[3..])?;
    let stream = aggregate_stream(&name, writable, &origins, options)?;
    create_bucket(call.interp, js, name, stream)
}

fn create_kv_mirror(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let name = call.arg(0)?.string();
    check_mirror(&name)?;
    let origin = read_origin(call.interp, call.arg(1)?)?;
    let options = bucket_options(call, &js, &name, &call.args()[2..])?;
    let config = mirror_stream(&name, &origin, options)?;
    let create = |api: Api| async move {
        let what = format!("stream {name}");
        create_stream(&api, &name, what, &config).await
    };
    js.run(call.interp, create, |_, outcome| {
        outcome?;
        Ok(Return::Empty)
    })
}

fn delete_kv_bucket(call: &Call<'_>) -> Result<Return> {
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let (js, stream) = (call.data::<JetStream>()?, stream_of(&name));
    js.call(call.interp, Op::StreamDelete(&stream), None, move |_, outcome| {
        outcome.map_err(bucket_missing(&name))?;
        Ok(Obj::word(true).into())
    })
}

fn empty_kv_bucket(call: &Call<'_>) -> Result<Return> {
    let (js, stream) = (call.data::<JetStream>()?, stream_of(&call.arg(0)?.text()));
    let emptied = stream.clone();
    js.call(call.interp, Op::StreamPurge(&stream), None, move |_, outcome| {
        let purged = outcome?.get("purged").and_then(Value::as_i64).unwrap_or_default();
        watched::emptied(&emptied);
        Ok(Obj::int(purged).into())
    })
}

fn kv_buckets(call: &Call<'_>) -> Result<Return> {
    let names = |api: Api| async move { api.stream_names(None).await };
    call.data::<JetStream>()?.run(call.interp, names, |_, outcome| {
        let mut list = List::new();
        for name in outcome?.iter().filter_map(Value::as_str) {
            if let Some(bucket) = name.strip_prefix("KV_") {
                list.push(&Obj::new(bucket));
            }
        }
        Ok(list.into())
    })
}

fn make_kv_origin(call: &Call<'_>) -> Result<Return> {
    let given = schema::strict(call.interp, &origin::TABLE, call.args())?;
    if given.get(origin::DOMAIN).is_some() && given.get(origin::API).is_some() {
        return Err(Error::invalid("-domain and -api are mutually exclusive").into());
    }
    // No server is asked, so none is too old.
    let mut origin = given.record(call.interp, &|_| true)?;
    if let Some(domain) = origin.text(origin::DOMAIN) {
        let api = format!("$JS.{domain}.API");
        origin.set(origin::API, api);
    }
    Ok(json::to_dict(&origin.into_map()).into())
}

/// The dict that `make_kv_origin` returns.
fn read_origin(interp: Interp<'_>, dict: &Obj) -> Result<Record> {
    schema::dict(interp, &origin::TABLE, dict)?.record(interp, &|_| true)
}

fn read_origins(interp: Interp<'_>, list: &Obj) -> Result<Vec<Record>> {
    list.elements(interp)?.iter().map(|origin| read_origin(interp, origin)).collect()
}

const BIND: Method = Method {
    name: "bind_kv_bucket",
    usage: "bucket ?arg ...?",
    min: 1,
    max: ANY,
    body: bind_kv_bucket,
};

const METHODS: &[Method] = &[
    BIND,
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
    call::create(interp, &MAKE_KV_ORIGIN)
}
