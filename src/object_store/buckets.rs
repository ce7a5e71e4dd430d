//! The methods of `nats::jet_stream` that manage object stores.

use super::bucket::{Bucket, missing};
use super::config::{self, bucket_stream};
use super::names::stream_of;
use super::object::create as create_object;
use crate::bucket::names::check_bucket;
use crate::jetstream::api::{Api, Op};
use crate::jetstream::context::JetStream;
use crate::jetstream::ordered::watched;
use crate::jetstream::stream::config::TABLE as STREAM;
use crate::jetstream::stream::create;
use crate::schema;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, List, Method, Obj, Result, Return, oo};
use serde_json::Value;
use std::rc::Rc;

fn object(interp: Interp<'_>, js: &Rc<JetStream>, name: &str, info: &Value) -> Result<Return> {
    Ok(create_object(interp, js, Bucket::from_info(name, info, &js.prefix)?)?.into())
}

fn create_object_store(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let options = schema::strict(call.interp, &config::TABLE, &call.args()[1..])?;
    let config = bucket_stream(&name, js.record(call.interp, options)?);
    let (stream, what) = (stream_of(&name), format!("bucket {name}"));
    let made = |api: Api| async move {
        create::create(&api, &stream, &what, &config, &[&config::TABLE, &STREAM]).await
    };
    js.clone().run(call.interp, made, move |interp, outcome| {
        let info = outcome?;
        watched::made(&stream_of(&name));
        object(interp, &js, &name, &info)
    })
}

fn bind_object_store(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let stream = stream_of(&name);
    js.clone().call(call.interp, Op::StreamInfo(&stream), None, move |interp, outcome| {
        let info = outcome.map_err(|error| missing(&name, error))?;
        object(interp, &js, &name, &info)
    })
}

fn delete_object_store(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let name = call.arg(0)?.string();
    check_bucket(&name)?;
    let stream = stream_of(&name);
    js.call(call.interp, Op::StreamDelete(&stream), None, move |_, outcome| {
        outcome.map_err(|error| missing(&name, error))?;
        Ok(Obj::word(true).into())
    })
}

fn object_stores(call: &Call<'_>) -> Result<Return> {
    let names = |api: Api| async move { api.stream_names(Some("$O.*.M.>")).await };
    call.data::<JetStream>()?.run(call.interp, names, |_, outcome| {
        let mut list = List::new();
        for name in outcome?.iter().filter_map(Value::as_str) {
            if let Some(bucket) = name.strip_prefix("OBJ_") {
                list.push(&Obj::new(bucket));
            }
        }
        Ok(list.into())
    })
}

const METHODS: &[Method] = &[
    Method { name: "bind_object_store", usage: "bucket", min: 1, max: 1, body: bind_object_store },
    Method {
        name: "create_object_store",
        usage: "bucket ?arg ...?",
        min: 1,
        max: ANY,
        body: create_object_store,
    },
    Method {
        name: "delete_object_store",
        usage: "bucket",
        min: 1,
        max: 1,
        body: delete_object_store,
    },
    Method { name: "object_stores", usage: "", min: 0, max: 0, body: object_stores },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
