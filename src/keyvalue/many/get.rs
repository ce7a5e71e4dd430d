//! `mget`.

use super::plan::{Patterns, Plan};
use super::read;
use crate::error::{Error, Kind};
use crate::jetstream::api::Api;
use crate::jetstream::context::JetStream;
use crate::jetstream::messages::last::UpTo;
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::keyvalue::consumer::ordered_config;
use crate::keyvalue::entry::Entry;
use crate::keyvalue::entry_dict::EntryWords;
use crate::keyvalue::names::{check_filter, without_match};
use crate::keyvalue::object::KeyValue;
use crate::keyvalue::patterns::patterns_of;
use crate::options::{self, Options, Type};
use crate::rfc3339;
use crate::schema::{self, Version};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Dict, Interp, Method, Obj, Result, Return};
use std::time::Duration;

/// The first server that answers for many keys at once.
const MANY: Version = (2, 11, 0);
/// The first one whose consumers have several filters.
const FILTERS: Version = (2, 10, 0);

/// A list of patterns of keys, as they are stored. An empty list is none at all.
pub fn patterns(interp: Interp<'_>, kv: &KeyValue, word: &Obj) -> Result<Patterns> {
    let mut given = patterns_of(interp, &kv.codecs, word)?;
    given.retain(|pattern| !pattern.is_empty() || !word.text().trim().is_empty());
    let stored = kv.codecs.patterns_in(given)?;
    stored.iter().try_for_each(|pattern| check_filter(pattern))?;
    Ok(Patterns::new(stored))
}

/// The error for patterns that nothing can match, if nothing does.
pub fn check_found(patterns: &[String], is_empty: bool) -> crate::error::Result<()> {
    let fault = patterns.iter().filter(|_| is_empty).find_map(|pattern| without_match(pattern));
    fault.map_or(Ok(()), Err)
}

/// How what matches is found without the help of newer servers.
pub fn plan(
    kv: &KeyValue,
    api: Api,
    patterns: &Patterns,
    few: usize,
    headers_only: bool,
) -> crate::error::Result<Plan> {
    let (policy, heartbeat) = (DeliverPolicy::LastPerSubject, Duration::from_secs(5));
    let all = ordered_config(kv, vec![">".to_owned()], policy, headers_only, heartbeat)?;
    let config = |filters: Vec<&str>| {
        let mut own = all.clone();
        own.config.filters = filters.iter().map(|key| kv.bucket.read_subject(key)).collect();
        own
    };
    Ok(Plan::new(kv.store()?, api, patterns, few, kv.js.serves(FILTERS), config))
}

/// As of when is read.
fn up_to(given: &Options) -> Result<UpTo> {
    let revision = given.get("revision").and_then(options::unsigned);
    Ok(match (revision, given.int("time")) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("-revision and -time are mutually exclusive").into());
        }
        (Some(revision), None) => UpTo::Seq(revision),
        (None, Some(ms)) => UpTo::Time(end_of(ms)),
        (None, None) => UpTo::Now,
    })
}

/// The end of a millisecond: the server takes what is older than the time that it is told.
fn end_of(ms: i64) -> String {
    const NS: i64 = 1_000_000;
    rfc3339::text(ms.saturating_add(1).saturating_mul(NS))
}

/// That the bucket can be read as it was.
fn check_snapshot(js: &JetStream, kv: &KeyValue, up_to: &UpTo) -> crate::error::Result<bool> {
    let (serves, direct) = (js.serves(MANY), kv.bucket.allow_direct);
    let what = match up_to {
        UpTo::Now => return Ok(serves && direct),
        UpTo::Seq(_) => "mget -revision",
        UpTo::Time(_) => "mget -time",
    };
    if !serves {
        return Err(schema::too_old(what, MANY));
    }
    if !direct {
        let text = format!("{what} needs a bucket with allow_direct");
        return Err(Error::new(Kind::NotSupported, text));
    }
    Ok(true)
}

fn mget(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[
        ("revision", Type::PosInt),
        ("time", Type::PosInt),
        ("entries", Type::Bool),
        ("consistent", Type::Bool),
    ];
    let kv = call.data::<KeyValue>()?;
    let js = kv.js.clone();
    let given = options::parse(call.interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    let patterns = patterns(call.interp, &kv, call.arg(0)?)?;
    let (up_to, entries) = (up_to(&given)?, given.flag("entries"));
    let consistent = given.flag("consistent");
    if consistent && !matches!(up_to, UpTo::Now) {
        let text = "-consistent reads what is there now: not with -revision or -time";
        return Err(Error::invalid(text).into());
    }
    let as_snapshot = check_snapshot(&js, &kv, &up_to)?;
    let no_later_than = given.int("time").unwrap_or(i64::MAX);
    if patterns.all().next().is_none() {
        return Ok(Return::Empty);
    }
    let odd = patterns.odd();
    let this = kv.clone();
    let finish = move |_: Interp<'_>, found: crate::error::Result<Vec<Entry>>| {
        let mut found = found?;
        // To a time before all that there is, servers say what there is now.
        found.retain(|entry| entry.created_ms <= no_later_than);
        check_found(&odd, found.is_empty())?;
        Ok(shown(&kv, &found, entries)?.into())
    };
    if consistent {
        let store = this.store()?;
        return js.run(call.interp, |api| read::consistent(store, api, patterns), finish);
    }
    if as_snapshot {
        let store = this.store()?;
        return js.run(call.interp, |api| read::snapshot(store, api, patterns, up_to), finish);
    }
    let plan = plan(&this, js.api()?, &patterns, usize::MAX, false)?;
    js.run(call.interp, |_| read::one_by_one(plan), finish)
}

fn shown(kv: &KeyValue, found: &[Entry], entries: bool) -> crate::error::Result<Dict> {
    let words = EntryWords::new(&kv.bucket.name);
    let mut dict = Dict::new();
    for entry in found {
        let key = kv.codecs.key_out(&kv.js, entry.key());
        let value = kv.codecs.value_out(&kv.js, entry)?;
        match entries {
            true => dict.put_by(&key, &words.dict(entry, &key, &value)),
            false => dict.put_by(&key, &value),
        }
    }
    Ok(dict)
}

pub const METHODS: &[Method] =
    &[Method { name: "mget", usage: "patterns ?arg ...?", min: 1, max: ANY, body: mget }];
