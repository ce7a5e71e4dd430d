//! `account_info`: what the account may use of JetStream, and what it uses.

use super::api::Op;
use super::context::JetStream;
use crate::json;
use crate::schema::{hidden, table};
use crate::tcl::{Call, Interp, Method, Result, Return, oo};

table! {
    TYPE: hidden("type");
}

fn account_info(call: &Call<'_>) -> Result<Return> {
    call.data::<JetStream>()?.call(call.interp, Op::AccountInfo, None, |_, outcome| {
        let mut info = outcome?;
        TABLE.show(&mut info);
        Ok(json::to_obj(&info).into())
    })
}

const METHODS: &[Method] =
    &[Method { name: "account_info", usage: "", min: 0, max: 0, body: account_info }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
