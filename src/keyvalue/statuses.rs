//! The status of a bucket, and those of all: `status` and `kv_statuses`.

use super::bucket::bucket_gone;
use super::object::KeyValue;
use super::status::describe;
use crate::error::{self, Error, Kind};
use crate::jetstream::api::{Api, Listing, Op};
use crate::jetstream::context::JetStream;
use crate::jetstream::stream::config::reply;
use crate::json;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Dict, Interp, List, Method, Obj, Result, Return, oo};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// The dict of a status, from the info of the stream.
fn dict(name: &str, mut info: Value) -> Dict {
    reply::TABLE.show(&mut info);
    let mut dict = Dict::new();
    for (field, value) in describe(name, &info) {
        dict.put(field, &json::to_obj(&value));
    }
    dict
}

fn status(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let bucket = this.bucket.clone();
    this.js.clone().call(call.interp, Op::StreamInfo(&bucket.stream), None, move |_, outcome| {
        let name = &this.bucket.name;
        Ok(dict(name, outcome.map_err(|error| bucket_gone(name, error))?).into())
    })
}

fn name_of(info: &Value) -> &str {
    let name = info.get("config").and_then(|config| config.get("name"));
    name.and_then(Value::as_str).unwrap_or_default()
}

/// All streams of buckets, and perhaps others. Those that nobody can write to (mirrors, and aggregates
/// of that kind) listen to no subject by which they could be asked for: if there are any, all streams
/// are asked for.
async fn list(api: Api) -> error::Result<Listing> {
    let subject = Map::from_iter([("subject".to_owned(), "$KV.*.>".into())]);
    let list = api.list(Op::StreamList, "streams", subject).await?;
    let names = api.stream_names(None).await?;
    let silent = list.missing.iter().filter_map(Value::as_str);
    let known = list.infos.iter().map(name_of).chain(silent);
    let known: HashSet<&str> = known.chain(list.offline.keys().map(String::as_str)).collect();
    let mut buckets = names.iter().filter_map(Value::as_str).filter(|name| name.starts_with("KV_"));
    match buckets.all(|name| known.contains(name)) {
        true => Ok(list),
        false => api.list(Op::StreamList, "streams", Map::new()).await,
    }
}

/// The bucket whose stream has this name, if it is wanted.
fn wanted<'n>(interp: Interp<'_>, glob: Option<&Obj>, stream: &'n str) -> Result<Option<&'n str>> {
    let Some(bucket) = stream.strip_prefix("KV_") else { return Ok(None) };
    let Some(glob) = glob else { return Ok(Some(bucket)) };
    let mut words = [Obj::new("::tcl::string::match"), glob.clone(), Obj::new(bucket)];
    let matches = interp.call(&mut words)?.as_int() == Some(1);
    Ok(matches.then_some(bucket))
}

fn kv_statuses(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("match", Type::Str)];
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    let glob = given.get("match").cloned();
    call.data::<JetStream>()?.run(call.interp, list, move |interp, outcome| {
        let mut list = outcome?;
        for name in list.missing.iter().filter_map(Value::as_str) {
            if let Some(bucket) = wanted(interp, glob.as_ref(), name)? {
                let text = format!("No answer about bucket {bucket}");
                return Err(Error::new(Kind::Timeout, text).into());
            }
        }
        for (name, why) in &list.offline {
            if let Some(bucket) = wanted(interp, glob.as_ref(), name)? {
                let why = why.as_str().unwrap_or_default();
                let text = format!("Bucket {bucket} is offline: {why}");
                return Err(Error::new(Kind::NotSupported, text).into());
            }
        }
        list.infos.sort_by(|a, b| name_of(a).cmp(name_of(b)));
        let mut statuses = List::new();
        for info in list.infos {
            let history = info.get("config").and_then(|config| config.get("max_msgs_per_subject"));
            if history.and_then(Value::as_i64).is_none_or(|history| history < 1) {
                continue;
            }
            if let Some(bucket) = wanted(interp, glob.as_ref(), name_of(&info))? {
                let bucket = bucket.to_owned();
                statuses.push(&dict(&bucket, info).into());
            }
        }
        Ok(statuses.into())
    })
}

const OF_BUCKETS: &[Method] = &[Method { name: "status", usage: "", min: 0, max: 0, body: status }];

const OF_JET_STREAMS: &[Method] =
    &[Method { name: "kv_statuses", usage: "?arg ...?", min: 0, max: ANY, body: kv_statuses }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, OF_BUCKETS)?;
    oo::define(interp, "::nats::jet_stream", None, None, OF_JET_STREAMS)
}
