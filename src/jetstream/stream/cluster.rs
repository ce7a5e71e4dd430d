//! The servers that a stream is on: its leader, its peers.

use crate::jetstream::api::Op;
use crate::jetstream::context::JetStream;
use crate::schema;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use serde_json::json;

mod stepdown {
    use super::wanted;
    use crate::schema::{object, table};

    table! {
        PLACEMENT: object("placement", &wanted::TABLE).since(2, 11, 0);
    }
}

/// Who shall be the leader.
mod wanted {
    use crate::jetstream::stream::config::placement;
    use crate::schema::{table, valid_str};

    table! {
        CLUSTER:   placement::CLUSTER;
        TAGS:      placement::TAGS;
        PREFERRED: valid_str("preferred");
    }
}

fn stream_stepdown(call: &Call<'_>) -> Result<Return> {
    let (js, stream) = (call.data::<JetStream>()?, call.arg(0)?.text());
    let given = schema::strict(call.interp, &stepdown::TABLE, &call.args()[1..])?;
    let body = js.record(call.interp, given)?.request();
    js.call(call.interp, Op::StreamStepdown(&stream), body.as_ref(), |_, outcome| {
        outcome?;
        Ok(Obj::word(true).into())
    })
}

fn stream_peer_remove(call: &Call<'_>) -> Result<Return> {
    let (stream, peer) = (call.arg(0)?.text(), call.arg(1)?.text());
    let (op, body) = (Op::StreamPeerRemove(&stream), json!({"peer": peer}));
    call.data::<JetStream>()?.call(call.interp, op, Some(&body), |_, outcome| {
        outcome?;
        Ok(Obj::word(true).into())
    })
}

const METHODS: &[Method] = &[
    Method {
        name: "stream_peer_remove",
        usage: "stream peer",
        min: 2,
        max: 2,
        body: stream_peer_remove,
    },
    Method {
        name: "stream_stepdown",
        usage: "stream ?arg ...?",
        min: 1,
        max: ANY,
        body: stream_stepdown,
    },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
