//! `$kv keys` and `$kv history`: what they are asked for, and how they show it.

use super::entry::key_not_found;
use super::entry_dict::EntryWords;
use super::gather::{Show, Wanted, gather};
use super::lister::list;
use super::names::{check_filter, check_pattern, without_match};
use super::object::KeyValue;
use super::patterns::patterns_of;
use super::watch::start_of;
use crate::error::{Error, Kind};
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::options::{self, Options, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use std::rc::Rc;

fn callback_of(interp: Interp<'_>, given: &Options) -> Result<Option<Vec<Obj>>> {
    given.non_empty("callback").map(|prefix| prefix.elements(interp)).transpose()
}

/// Entries as dicts. If they are `current`, each is the newest of its key, as `get` shows it.
fn entries(kv: &Rc<KeyValue>, current: bool) -> Show {
    let (words, kv) = (EntryWords::new(&kv.bucket.name), kv.clone());
    Box::new(move |entry| {
        let value = kv.codecs.value_out(&kv.js, entry)?;
        let key = kv.codecs.key_out(&kv.js, entry.key());
        let delta = if current { 0 } else { entry.delta };
        Ok(Some(words.dict_with(entry, &key, &value, delta)))
    })
}

fn keys(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("callback", Type::Str), ("entries", Type::Bool)];
    let interp = call.interp;
    let kv = call.data::<KeyValue>()?;
    // Options come in pairs, so that a pattern may begin with a dash.
    let (patterns, words) = match call.args() {
        [patterns, words @ ..] if words.len() % 2 == 0 => {
            (patterns_of(interp, &kv.codecs, patterns)?, words)
        }
        words => (vec![">".to_owned()], words),
    };
    let patterns = kv.codecs.patterns_in(patterns)?;
    patterns.iter().try_for_each(|pattern| check_pattern(pattern))?;
    let given = options::parse(interp, OPTIONS, words)?;
    let wanted = Wanted {
        patterns,
        policy: DeliverPolicy::LastPerSubject,
        headers_only: !given.flag("entries"),
        keys: true,
        what: "keys",
    };
    let dicts = entries(&kv, true);
    let (shown, with_entries) = (kv.clone(), given.flag("entries"));
    let show: Show = Box::new(move |entry| {
        if entry.operation.deletes() {
            return Ok(None);
        }
        match with_entries {
            true => dicts(entry),
            false => Ok(Some(shown.codecs.key_out(&shown.js, entry.key()))),
        }
    });
    match callback_of(interp, &given)? {
        Some(callback) => list(interp, &kv, wanted, show, callback),
        None => gather(interp, &kv, wanted, show, |bucket| {
            Error::new(Kind::KeyNotFound, format!("No keys found in bucket {}", bucket.name))
        }),
    }
}

fn history(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("callback", Type::Str), ("from_revision", Type::Int)];
    let interp = call.interp;
    let kv = call.data::<KeyValue>()?;
    let words = call.args().get(1..).unwrap_or_default();
    if words.len() == 1 {
        // Before there were options it was one argument too many.
        return Err(call.wrong_args(HISTORY.usage));
    }
    let text = call.arg(0)?.string();
    let patterns = kv.codecs.patterns_in(patterns_of(interp, &kv.codecs, call.arg(0)?)?)?;
    patterns.iter().try_for_each(|pattern| check_filter(pattern))?;
    let given = options::parse(interp, OPTIONS, words)?;
    let start = start_of(&given)?;
    let odd = patterns.iter().find_map(|pattern| without_match(pattern));
    let wanted = Wanted {
        patterns,
        policy: start.map_or(DeliverPolicy::All, DeliverPolicy::ByStartSequence),
        headers_only: false,
        keys: false,
        what: "history",
    };
    let (from, dicts) = (start.unwrap_or(0), entries(&kv, false));
    // What is written meanwhile may be older, if the bucket has not come so far.
    let show: Show = Box::new(move |entry| match entry.revision < from {
        true => Ok(None),
        false => dicts(entry),
    });
    match callback_of(interp, &given)? {
        Some(callback) => list(interp, &kv, wanted, show, callback),
        None => gather(interp, &kv, wanted, show, move |bucket| {
            // Not before: others may have made such a key.
            odd.unwrap_or_else(|| key_not_found(&bucket.name, &text))
        }),
    }
}

const HISTORY: Method =
    Method { name: "history", usage: "patterns ?arg ...?", min: 1, max: ANY, body: history };

const METHODS: &[Method] = &[
    HISTORY,
    Method { name: "keys", usage: "?patterns? ?arg ...?", min: 0, max: ANY, body: keys },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, METHODS)
}
