//! The methods of `nats::jet_stream` that manage streams.

pub mod config;
pub mod differences;

use super::api::Op;
use super::context::JetStream;
use crate::json;
use crate::tcl::{Call, Interp, Method, Result, Return, oo};

fn stream_info(call: &Call<'_>) -> Result<Return> {
    let stream = call.arg(0)?.text();
    call.data::<JetStream>()?.call(call.interp, Op::StreamInfo(&stream), None, |_, outcome| {
        let mut info = outcome?;
        config::reply::TABLE.show(&mut info);
        Ok(json::to_obj(&info).into())
    })
}

const METHODS: &[Method] =
    &[Method { name: "stream_info", usage: "stream", min: 1, max: 1, body: stream_info }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
