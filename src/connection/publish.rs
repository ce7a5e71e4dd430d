//! `publish` and `publish_msg`.

use super::Connection;
use super::outgoing::MessageArgs;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Result, Return};
use std::borrow::Cow;

fn publish(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let mut args = MessageArgs::new(call.arg(0)?, call.arg(1)?);
    match call.args().get(2..).unwrap_or_default() {
        [] => {}
        // The calling form of the first releases: the reply subject by itself.
        [reply] => args.reply = Some(reply.text()).filter(|reply| !reply.is_empty()),
        words => {
            const OPTIONS: &[options::Spec] =
                &[("reply", Type::Str), ("header", Type::Dict), ("check_subj", Type::Bool)];
            let given = options::parse(call.interp, OPTIONS, words)?;
            args.reply = given.non_empty("reply").map(|reply| Cow::Owned(reply.string()));
            args.header = given.get("header").cloned();
            args.check_subject = given.get("check_subj").is_none() || given.flag("check_subj");
        }
    }
    send(&this, call.interp, args)
}

fn publish_msg(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let fields = this.delivery.format.fields(call.interp, call.arg(0)?)?;
    let mut args = MessageArgs::new(&fields.subject, &fields.data);
    args.header = Some(fields.header);
    args.reply = Some(fields.reply.text()).filter(|reply| !reply.is_empty());
    send(&this, call.interp, args)
}

fn send(this: &Connection, interp: Interp<'_>, args: MessageArgs<'_>) -> Result<Return> {
    this.check_open()?;
    let out = this.outgoing(interp, args)?;
    this.send(out)?;
    Ok(Return::Empty)
}

pub const METHODS: &[Method] = &[
    Method { name: "publish", usage: "subject message ?arg ...?", min: 2, max: ANY, body: publish },
    Method { name: "publish_msg", usage: "msg", min: 1, max: 1, body: publish_msg },
];
