//! Which streams there are, and what they are like.

use super::config;
use crate::error::{Error, Kind};
use crate::jetstream::api::{Api, Listing, Op};
use crate::jetstream::context::JetStream;
use crate::json;
use crate::schema::{self, Record, Table};
use crate::subject;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Dict, Interp, Method, Obj, Result, Return, oo};
use serde_json::Value;

mod details {
    use crate::schema::{boolean, table, valid_str};

    table! {
        DELETED_DETAILS: boolean("deleted_details");
        SUBJECTS_FILTER: valid_str("subjects_filter").since(2, 7, 2);
    }
}

mod of_subject {
    use crate::schema::{table, valid_str};

    table! {
        SUBJECT: valid_str("subject");
    }
}

fn options(call: &Call<'_>, table: &'static Table, words: &[Obj]) -> Result<Record> {
    let js = call.data::<JetStream>()?;
    js.record(call.interp, schema::strict(call.interp, table, words)?)
}

/// What is shown of a reply that holds a configuration.
pub(super) fn show(mut info: Value) -> Return {
    config::reply::TABLE.show(&mut info);
    json::to_obj(&info).into()
}

fn stream_info(call: &Call<'_>) -> Result<Return> {
    let stream = call.arg(0)?.string();
    let fields = options(call, &details::TABLE, &call.args()[1..])?.into_map();
    let info = |api: Api| async move { api.stream_info(&stream, fields).await };
    call.data::<JetStream>()?.run(call.interp, info, |_, outcome| Ok(show(outcome?)))
}

fn stream_names(call: &Call<'_>) -> Result<Return> {
    let options = options(call, &of_subject::TABLE, call.args())?;
    let names = |api: Api| async move { api.stream_names(options.text(of_subject::SUBJECT)).await };
    call.data::<JetStream>()?
        .run(call.interp, names, |_, outcome| Ok(json::to_obj(&Value::Array(outcome?)).into()))
}

fn stream_by_subject(call: &Call<'_>) -> Result<Return> {
    let subject = call.arg(0)?.string();
    // Without any the server would name all streams.
    subject::check_subscribe(&subject)?;
    let names = |api: Api| async move { api.stream_names(Some(&subject)).await };
    call.data::<JetStream>()?.run(call.interp, names, |_, outcome| match outcome?.first() {
        Some(name) => Ok(json::to_obj(name).into()),
        None => Err(Error::new(Kind::StreamNotFound, "stream not found").into()),
    })
}

fn stream_list(call: &Call<'_>) -> Result<Return> {
    let fields = options(call, &of_subject::TABLE, call.args())?.into_map();
    let list = |api: Api| async move { api.list(Op::StreamList, "streams", fields).await };
    call.data::<JetStream>()?.run(call.interp, list, |_, outcome| {
        let mut list = outcome?;
        list.infos.iter_mut().for_each(|info| config::reply::TABLE.show(info));
        Ok(listing("streams", list).into())
    })
}

/// A list with what is not in it.
pub fn listing(key: &str, list: Listing) -> Dict {
    let mut dict = Dict::new();
    dict.put(key, &json::to_obj(&Value::Array(list.infos)));
    dict.put("missing", &json::to_obj(&Value::Array(list.missing)));
    dict.put("offline", &json::to_dict(&list.offline));
    dict
}

const METHODS: &[Method] = &[
    Method { name: "stream_by_subject", usage: "subject", min: 1, max: 1, body: stream_by_subject },
    Method { name: "stream_info", usage: "stream ?arg ...?", min: 1, max: ANY, body: stream_info },
    Method { name: "stream_list", usage: "?arg ...?", min: 0, max: ANY, body: stream_list },
    Method { name: "stream_names", usage: "?arg ...?", min: 0, max: ANY, body: stream_names },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
