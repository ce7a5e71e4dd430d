//! `stream_get_batch` and `stream_get_last`: many messages in one call. They cross the threads together.

use super::batch::{self, Batch};
use super::dict;
use super::last::{self, UpTo};
use crate::error::Error;
use crate::jetstream::api::Api;
use crate::jetstream::context::JetStream;
use crate::jetstream::stored::StoredMessage;
use crate::options::{self, Type};
use crate::schema::{self, Version};
use crate::subject;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, List, Method, Obj, Result, Return};
use std::future::Future;
use std::rc::Rc;

const SINCE: Version = (2, 11, 0);
/// How many messages `stream_get_batch` returns unless it is told.
const COUNT: u64 = 100;

fn stream_get_batch(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[
        ("seq", Type::PosInt),
        ("start_time", options::TIME),
        ("next_by_subj", Type::ValidStr),
        ("batch", Type::PosInt),
        ("max_bytes", Type::PosInt),
    ];
    let js = call.data::<JetStream>()?;
    let stream = call.arg(0)?.string();
    let given = options::parse(call.interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    let number = |name| given.get(name).and_then(options::unsigned);
    let (seq, start_time) = (number("seq"), given.string("start_time"));
    if seq.is_some() && start_time.is_some() {
        return Err(Error::invalid("-seq and -start_time are mutually exclusive").into());
    }
    let batch = Batch {
        // The server counts from 1.
        seq: seq.unwrap_or(1).max(1),
        start_time,
        next_by_subj: given.string("next_by_subj"),
        count: number("batch").unwrap_or(COUNT).max(1),
        bytes: number("max_bytes").map(|bytes| bytes.max(1)),
    };
    gather(call.interp, &js, "stream_get_batch", |api| batch::gather(api, stream, batch))
}

fn stream_get_last(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("up_to_seq", Type::PosInt), ("up_to_time", options::TIME)];
    let js = call.data::<JetStream>()?;
    let stream = call.arg(0)?.string();
    let given = options::parse(call.interp, OPTIONS, call.args().get(2..).unwrap_or_default())?;
    let up_to_seq = given.get("up_to_seq").and_then(options::unsigned);
    let up_to = match (up_to_seq, given.string("up_to_time")) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("-up_to_seq and -up_to_time are mutually exclusive").into());
        }
        (Some(seq), None) => UpTo::Seq(seq),
        (None, Some(time)) => UpTo::Time(time),
        (None, None) => UpTo::Now,
    };
    let subjects = subjects(call.interp, call.arg(1)?)?;
    gather(call.interp, &js, "stream_get_last", |api| last::gather(api, stream, subjects, up_to))
}

/// A list of subjects, which may have wildcards.
pub fn subjects(interp: Interp<'_>, words: &Obj) -> Result<Vec<String>> {
    let words = options::check(interp, "subjects", Type::List, words.clone())?.elements(interp)?;
    let subjects: Vec<String> = words.iter().map(Obj::string).collect();
    subjects.iter().try_for_each(|subject| subject::check_subscribe(subject))?;
    Ok(subjects)
}

fn gather<F>(
    interp: Interp<'_>,
    js: &Rc<JetStream>,
    command: &str,
    work: impl FnOnce(Api) -> F,
) -> Result<Return>
where
    F: Future<Output = crate::error::Result<Vec<StoredMessage>>> + Send + 'static,
{
    if !js.serves(SINCE) {
        return Err(schema::too_old(command, SINCE).into());
    }
    let this = js.clone();
    js.run(interp, work, move |_, found| {
        let (mut list, sub_id) = (List::new(), Obj::int(this.connection.inbox_id()));
        for message in found? {
            list.push(&dict(&this, &message, &sub_id));
        }
        Ok(list.into())
    })
}

pub const METHODS: &[Method] = &[
    Method {
        name: "stream_get_batch",
        usage: "stream ?arg ...?",
        min: 1,
        max: ANY,
        body: stream_get_batch,
    },
    Method {
        name: "stream_get_last",
        usage: "stream subjects ?arg ...?",
        min: 2,
        max: ANY,
        body: stream_get_last,
    },
];
