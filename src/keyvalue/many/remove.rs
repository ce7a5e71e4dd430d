//! `mdelete`, `purge_deletes`.

use super::failure::Outcome;
use super::get::{check_found, patterns, plan};
use super::pipeline::{API_WINDOW, WINDOW, pipelined};
use super::plan::{Patterns, Plan};
use crate::error::{Error, Kind};
use crate::jetstream::api::{Api, Op};
use crate::keyvalue::entry::{Entry, Operation};
use crate::keyvalue::object::KeyValue;
use crate::keyvalue::store::{Store, deleting, expecting, purging};
use crate::options::{self, Options, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Method, Obj, Result, Return};
use crate::transport::Outgoing;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// So many keys without wildcards are rather read than listed by a consumer, which leaves the values out.
const FEW: usize = 64;
/// How old a deletion is that everybody has heard of, in ms.
const OLD: i64 = 30 * 60 * 1000;

/// The answers by key, in the order of the keys.
type Answers<T> = (Vec<String>, Vec<crate::error::Result<T>>);

/// The time, in ms since the epoch, before which something is older than the option says.
fn limit(given: &Options, usual: i64) -> i64 {
    let age = given.int("older_than").unwrap_or(usual);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(age)
}

/// What is to be done to the keys that are there.
struct Removal {
    purge: bool,
    /// Only what was written before, in ms since the epoch. It is checked again by the server: what is
    /// written meanwhile is not that old.
    before: Option<i64>,
}

impl Removal {
    fn message(&self, store: &Store, entry: &Entry) -> Outgoing {
        let headers = if self.purge { purging() } else { deleting() };
        let headers = match self.before {
            Some(_) => expecting(entry.revision, headers),
            None => headers,
        };
        Outgoing { headers, ..Outgoing::new(store.bucket.write_subject(entry.key()), "") }
    }
}

async fn remove(store: Store, plan: Plan, removal: Removal) -> crate::error::Result<Answers<bool>> {
    let mut found = plan.find(|entry| !entry.operation.deletes()).await?;
    if let Some(before) = removal.before {
        found.retain(|entry| entry.created_ms < before);
    }
    let keys = found.iter().map(|entry| entry.key().to_owned()).collect();
    let (link, writer) = (store.link.clone(), store);
    let aged = removal.before.is_some();
    let answers = pipelined(link, found.len(), WINDOW, move |at, answer| {
        let entry = found.get(at).ok_or_else(Error::no_connection)?;
        let out = removal.message(&writer, entry);
        writer.write(out, move |revision| {
            answer.come(match revision {
                Ok(_) => Ok(true),
                // It is younger now.
                Err(error) if aged && error.kind == Kind::WrongLastSequence => Ok(false),
                Err(error) => Err(error),
            });
        })
    });
    Ok((keys, answers.await))
}

fn mdelete(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("purge", Type::Bool), ("older_than", Type::Timeout)];
    let kv = call.data::<KeyValue>()?;
    let given = options::parse(call.interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    let patterns = patterns(call.interp, &kv, call.arg(0)?)?;
    let odd = patterns.odd();
    kv.check_writable()?;
    let (store, js) = (kv.store()?, kv.js.clone());
    if patterns.all().next().is_none() {
        return Ok(Obj::int(0).into());
    }
    let before = given.get("older_than").map(|_| limit(&given, 0));
    let removal = Removal { purge: given.flag("purge"), before };
    let plan = plan(&kv, js.api()?, &patterns, FEW, true)?;
    js.run(
        call.interp,
        |_| remove(store, plan, removal),
        move |interp, answers| {
            let (keys, answers) = answers?;
            check_found(&odd, keys.is_empty())?;
            let keys = shown(&kv, &keys);
            let outcome = Outcome { keys: &keys, answers: &answers };
            outcome.check(interp, "removed", |removed| Obj::int((*removed).into()))?;
            Ok(count(&outcome, |removed| *removed).into())
        },
    )
}

fn shown(kv: &KeyValue, keys: &[String]) -> Vec<String> {
    keys.iter().map(|key| kv.codecs.key_out(&kv.js, key).string()).collect()
}

fn count<T>(outcome: &Outcome<'_, T>, counts: impl Fn(&T) -> bool) -> Obj {
    let count = outcome.done().filter(|(_, value)| counts(value)).count();
    Obj::uint(count as u64)
}

/// Takes the markers of deletions away that were set before, and what lies below the others.
async fn compact(
    api: Api,
    store: Store,
    plan: Plan,
    before: i64,
) -> crate::error::Result<Answers<bool>> {
    let mut found = plan.find(|entry| entry.operation.deletes()).await?;
    // Below a purge there is nothing.
    found.retain(|entry| entry.created_ms < before || entry.operation == Operation::Delete);
    let keys = found.iter().map(|entry| entry.key().to_owned()).collect();
    let link = api.link.clone();
    let answers = pipelined(link, found.len(), API_WINDOW, move |at, answer| {
        let entry = found.get(at).ok_or_else(Error::no_connection)?;
        let old = entry.created_ms < before;
        // Up to here and not further: the key may have been made again meanwhile.
        let end = if old { entry.revision.saturating_add(1) } else { entry.revision };
        let body = json!({"filter": store.bucket.read_subject(entry.key()), "seq": end});
        let op = Op::StreamPurge(&store.bucket.stream);
        api.request(op, body.to_string(), api.timeout, move |reply| {
            let purged = reply.map(|reply| reply.get("purged").and_then(Value::as_u64));
            answer.come(purged.map(|count| old && count != Some(0)));
        })
    });
    Ok((keys, answers.await))
}

fn purge_deletes(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("older_than", Type::Timeout)];
    let kv = call.data::<KeyValue>()?;
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    // Those that are set this very moment, too.
    let before = match limit(&given, OLD) {
        _ if given.int("older_than") == Some(0) => i64::MAX,
        before => before,
    };
    kv.check_writable()?;
    let js = kv.js.clone();
    let (store, everything) = (kv.store()?, Patterns::new([">".to_owned()]));
    let plan = plan(&kv, js.api()?, &everything, FEW, true)?;
    js.run(
        call.interp,
        |api| compact(api, store, plan, before),
        move |interp, answers| {
            let (keys, answers) = answers?;
            let keys = shown(&kv, &keys);
            let outcome = Outcome { keys: &keys, answers: &answers };
            outcome.check(interp, "removed", |removed| Obj::int((*removed).into()))?;
            Ok(count(&outcome, |removed| *removed).into())
        },
    )
}

pub const METHODS: &[Method] = &[
    Method { name: "mdelete", usage: "patterns ?arg ...?", min: 1, max: ANY, body: mdelete },
    Method { name: "purge_deletes", usage: "?arg ...?", min: 0, max: ANY, body: purge_deletes },
];
