//! Buckets that are changed: `update_kv_bucket` and `create_or_update_kv_bucket`.

use super::buckets::{bucket_missing, bucket_object, bucket_record, create_stream, with_origins};
use super::changes::changed;
use super::config::{self, bucket_stream, check, without_markers};
use super::names::stream_of;
use crate::bucket::names::{check_bucket, not_found};
use crate::error::{self, Kind};
use crate::jetstream::api::{Api, Op};
use crate::jetstream::context::JetStream;
use crate::jetstream::ordered::watched;
use crate::jetstream::stream::create::NAME_IN_USE;
use crate::schema::{self, Given, Record};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Result, Return, oo};
use serde_json::Value;
use std::rc::Rc;

fn given(call: &Call<'_>) -> Result<Given> {
    schema::strict_change(call.interp, &config::TABLE, &call.args()[1..])
}

/// The options that were given, and no others.
fn changes(call: &Call<'_>, js: &JetStream, name: &str) -> Result<Record> {
    let record = bucket_record(call, name, given(call)?, |given| {
        given.changes(call.interp, &|version| js.serves(version))
    })?;
    let mut wanted = record.clone();
    without_markers(&mut wanted);
    check(&wanted)?;
    Ok(record)
}

/// The same for a bucket that is made: what is empty is not there.
fn whole(call: &Call<'_>, js: &JetStream, name: &str) -> Result<Record> {
    let mut record = bucket_record(call, name, given(call)?, |given| {
        given.record(call.interp, &|version| js.serves(version))
    })?;
    without_markers(&mut record);
    Ok(record)
}

/// Changes the stream of a bucket that exists.
async fn change(api: &Api, name: &str, changes: Record) -> error::Result<Value> {
    let stream = stream_of(name);
    let info = api.call(Op::StreamInfo(&stream), "").await.map_err(bucket_missing(name))?;
    let config = info.get("config").unwrap_or(&Value::Null);
    let history = config.get("max_msgs_per_subject").and_then(Value::as_i64);
    if history.is_none_or(|history| history < 1) {
        return Err(not_found(name));
    }
    let config = changed(config, changes)?.to_string();
    api.call(Op::StreamUpdate(&stream), config).await.map_err(bucket_missing(name))
}

/// The same, or else makes it; once more if somebody has made it meanwhile.
async fn change_or_create(
    api: &Api,
    name: &str,
    changes: Record,
    config: &Value,
) -> error::Result<Value> {
    match change(api, name, changes.clone()).await {
        Err(error) if error.kind == Kind::BucketNotFound => {}
        other => return other,
    }
    let (stream, what) = (stream_of(name), format!("bucket {name}"));
    let in_use = match create_stream(api, &stream, what, config).await {
        Err(error) if error.api == Some(NAME_IN_USE) => error,
        other => return other,
    };
    match change(api, name, changes).await {
        // It is no bucket that has the name.
        Err(error) if error.kind == Kind::BucketNotFound => Err(in_use),
        other => other,
    }
}

/// The object of the bucket that has got another configuration.
fn finish(
    interp: Interp<'_>,
    js: &Rc<JetStream>,
    name: &str,
    outcome: error::Result<Vec<Value>>,
) -> Result<Return> {
    let infos = outcome?;
    let stream = stream_of(name);
    watched::made(&stream);
    // New limits may have removed entries.
    watched::emptied(&stream);
    bucket_object(interp, js, name, &infos)
}

fn update_kv_bucket(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let changes = changes(call, &js, &name)?;
    let bucket = name.clone();
    let work = |api: Api| async move {
        let info = change(&api, &bucket, changes).await?;
        Ok(with_origins(api, info).await)
    };
    js.clone().run(call.interp, work, move |interp, outcome| finish(interp, &js, &name, outcome))
}

fn create_or_update_kv_bucket(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let changes = changes(call, &js, &name)?;
    let config = bucket_stream(&name, whole(call, &js, &name)?)?;
    let bucket = name.clone();
    let work = |api: Api| async move {
        let info = change_or_create(&api, &bucket, changes, &config).await?;
        Ok(with_origins(api, info).await)
    };
    js.clone().run(call.interp, work, move |interp, outcome| finish(interp, &js, &name, outcome))
}

const METHODS: &[Method] = &[
    Method {
        name: "create_or_update_kv_bucket",
        usage: "bucket ?arg ...?",
        min: 1,
        max: ANY,
        body: create_or_update_kv_bucket,
    },
    Method {
        name: "update_kv_bucket",
        usage: "bucket ?arg ...?",
        min: 1,
        max: ANY,
        body: update_kv_bucket,
    },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
