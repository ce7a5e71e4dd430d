//! Which consumers there are, what they are like, and their end.

use super::config;
use crate::jetstream::api::{Api, Op};
use crate::jetstream::context::JetStream;
use crate::jetstream::stream::info::listing;
use crate::json;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use serde_json::{Map, Value};

/// What is shown of a reply that holds a configuration.
pub(super) fn show(mut info: Value) -> Return {
    config::reply::TABLE.show(&mut info);
    json::to_obj(&info).into()
}

fn consumer_info(call: &Call<'_>) -> Result<Return> {
    let (stream, consumer) = (call.arg(0)?.text(), call.arg(1)?.text());
    let op = Op::ConsumerInfo { stream: &stream, consumer: &consumer };
    call.data::<JetStream>()?.call(call.interp, op, None, |_, outcome| Ok(show(outcome?)))
}

fn consumer_names(call: &Call<'_>) -> Result<Return> {
    let stream = call.arg(0)?.string();
    let names = |api: Api| async move { api.consumer_names(&stream).await };
    call.data::<JetStream>()?
        .run(call.interp, names, |_, outcome| Ok(json::to_obj(&Value::Array(outcome?)).into()))
}

fn consumer_list(call: &Call<'_>) -> Result<Return> {
    let stream = call.arg(0)?.string();
    let list = |api: Api| async move {
        api.list(Op::ConsumerList(&stream), "consumers", Map::new()).await
    };
    call.data::<JetStream>()?.run(call.interp, list, |_, outcome| {
        let mut list = outcome?;
        list.infos.iter_mut().for_each(|info| config::reply::TABLE.show(info));
        Ok(listing("consumers", list).into())
    })
}

fn delete_consumer(call: &Call<'_>) -> Result<Return> {
    let (stream, consumer) = (call.arg(0)?.text(), call.arg(1)?.text());
    let op = Op::ConsumerDelete { stream: &stream, consumer: &consumer };
    call.data::<JetStream>()?.call(call.interp, op, None, |_, outcome| {
        outcome?;
        Ok(Obj::word(true).into())
    })
}

const METHODS: &[Method] = &[
    Method { name: "consumer_info", usage: "stream consumer", min: 2, max: 2, body: consumer_info },
    Method { name: "consumer_list", usage: "stream", min: 1, max: 1, body: consumer_list },
    Method { name: "consumer_names", usage: "stream", min: 1, max: 1, body: consumer_names },
    Method {
        name: "delete_consumer",
        usage: "stream consumer",
        min: 2,
        max: 2,
        body: delete_consumer,
    },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
