//! The JSON of what is in the configuration of a stream: sources, transforms, republishing.

use super::config::{external, republish, source, transform};
use crate::schema::{self, Record};
use crate::tcl::call::{self, ANY};
use crate::tcl::{Call, Interp, Method, Obj, Result, Return};
use serde_json::Value;

mod options {
    use crate::jetstream::stream::config::source;
    use crate::schema::{table, valid_str};

    table! {
        NAME:               source::NAME;
        OPT_START_SEQ:      source::OPT_START_SEQ;
        OPT_START_TIME:     source::OPT_START_TIME;
        FILTER_SUBJECT:     source::FILTER_SUBJECT;
        EXTERNAL:           source::EXTERNAL;
        SUBJECT_TRANSFORMS: source::SUBJECT_TRANSFORMS;
        CONSUMER:           source::CONSUMER;
        API:                valid_str("api").of_method();
        DELIVER:            valid_str("deliver").of_method();
    }
}

fn make_stream_source(call: &Call<'_>) -> Result<Return> {
    // No server is asked, so none is too old.
    let given = schema::strict(call.interp, &options::TABLE, call.args())?;
    let given = given.record(call.interp, &|_| true)?;
    let mut made = Record::new(&source::TABLE);
    if let Some(api) = given.text(options::API) {
        let mut external = Record::new(&external::TABLE);
        external.set(external::API, api);
        if let Some(deliver) = given.text(options::DELIVER) {
            external.set(external::DELIVER, deliver);
        }
        made.merge(given);
        made.set(source::EXTERNAL, external);
    } else {
        made.merge(given);
    }
    Ok(Obj::new(&Value::from(made).to_string()).into())
}

/// The JSON of an object; as in nats-tcl, nothing is made of nothing.
fn make(call: &Call<'_>, table: &'static schema::Table) -> Result<Return> {
    let made = schema::lenient(table, call.args())?.record(call.interp, &|_| true)?;
    Ok(made.request().map_or(Return::Empty, |json| Obj::new(&json.to_string()).into()))
}

fn make_subject_transform(call: &Call<'_>) -> Result<Return> {
    make(call, &transform::TABLE)
}

fn make_republish(call: &Call<'_>) -> Result<Return> {
    make(call, &republish::TABLE)
}

static COMMANDS: [Method; 3] = [
    Method {
        name: "::nats::make_stream_source",
        usage: "?arg ...?",
        min: 0,
        max: ANY,
        body: make_stream_source,
    },
    Method {
        name: "::nats::make_subject_transform",
        usage: "?arg ...?",
        min: 0,
        max: ANY,
        body: make_subject_transform,
    },
    Method {
        name: "::nats::make_republish",
        usage: "?arg ...?",
        min: 0,
        max: ANY,
        body: make_republish,
    },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    COMMANDS.iter().try_for_each(|command| call::create(interp, command))
}
