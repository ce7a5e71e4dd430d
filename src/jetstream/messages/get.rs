//! `stream_msg_get` asks the leader of a stream, by JSON; `stream_direct_get` any replica or mirror, which
//! answers with the message itself.

use super::{dict, direct};
use crate::jetstream::api::{Api, Op};
use crate::jetstream::context::JetStream;
use crate::jetstream::stored::StoredMessage;
use crate::options::TIME;
use crate::schema::{boolean, int, lenient, strict, table, valid_str};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Method, Obj, Result, Return};
use crate::transport::{How, Outgoing, PackedMessage, Resend};
use serde_json::{Value, json};

table! {
    LAST_BY_SUBJ: valid_str("last_by_subj");
    NEXT_BY_SUBJ: valid_str("next_by_subj");
    SEQ:          int("seq");
    START_TIME:   valid_str("start_time").typed(TIME).since(2, 11, 0);
    NO_HDR:       boolean("no_hdr").since(2, 12, 0);
}

fn stream_msg_get(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let stream = call.arg(0)?.text();
    let given = lenient(&TABLE, call.args().get(1..).unwrap_or_default())?;
    let body = js.record(call.interp, given)?.request();
    let this = js.clone();
    js.call(call.interp, Op::MessageGet(&stream), body.as_ref(), move |_, outcome| {
        let message = StoredMessage::from_reply(&outcome?)?;
        Ok(dict(&this, &message, &Obj::empty()).into())
    })
}

fn stream_direct_get(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let stream = call.arg(0)?.string();
    let given = strict(call.interp, &TABLE, call.args().get(1..).unwrap_or_default())?;
    let record = js.record(call.interp, given)?;
    let last = record.text(LAST_BY_SUBJ).map(str::to_owned);
    let bare = record.get(NO_HDR) == Some(&Value::Bool(true));
    let json = record.request().map(|body| body.to_string()).unwrap_or_default();
    let api = js.api()?;
    let by_subject = last.as_deref().map(|subject| Op::DirectGetLast { stream: &stream, subject });
    let (subject, out) = match by_subject {
        Some(op) if !bare => api.outgoing(op, Vec::new())?,
        by_subject => {
            // It has to be one subject in either form.
            by_subject.map(|op| op.checked_subject(&api.prefix)).transpose()?;
            api.outgoing(Op::DirectGet(&stream), json.clone().into())?
        }
    };
    let again = if bare { None } else { Some(question_again(&api, &stream, &last, json)) };
    let how = How { timeout: api.timeout, again, ..How::default() };
    let (this, asked) = (js.clone(), subject.clone());
    js.request(
        call.interp,
        &api.link,
        |promise| {
            api.link.request_as(out, how, move |reply| {
                promise.complete(match bare {
                    false => direct::one(&subject, reply).map(Answer::Message),
                    true => direct::bare(&subject, reply).map(Answer::Payload),
                });
            })
        },
        move |_, outcome| Ok(shown(&this, &asked, last.as_deref(), &outcome?).into()),
    )
}

/// What is asked over a new connection: in the form of JSON, because it may be the answer that has
/// broken the old one, which the engine cannot read as a message.
fn question_again(api: &Api, stream: &str, last: &Option<String>, json: String) -> Resend {
    let subject = Op::MessageGet(stream).subject(&api.prefix);
    let question = match last {
        // As the form by subject, which looks at nothing else.
        Some(subject) => json!({"last_by_subj": subject}).to_string(),
        None => json,
    };
    Box::new(move || Outgoing::new(subject.clone(), question.clone()))
}

enum Answer {
    Message(StoredMessage),
    /// With `-no_hdr` the server says nothing of the message.
    Payload(PackedMessage),
}

fn shown(js: &JetStream, asked: &str, subject: Option<&str>, answer: &Answer) -> Obj {
    let sub_id = Obj::int(js.connection.inbox_id());
    let shown = match answer {
        Answer::Message(message) => dict(js, message, &sub_id),
        Answer::Payload(message) => {
            let subject = Obj::new(subject.unwrap_or_default());
            js.connection.format().dict(message, &subject, &sub_id)
        }
    };
    js.log_message(asked, &shown);
    shown
}

pub const METHODS: &[Method] = &[
    Method {
        name: "stream_msg_get",
        usage: "stream ?arg ...?",
        min: 1,
        max: ANY,
        body: stream_msg_get,
    },
    Method {
        name: "stream_direct_get",
        usage: "stream ?arg ...?",
        min: 1,
        max: ANY,
        body: stream_direct_get,
    },
];
