//! `$kv watch`: makes a watcher.

use super::bucket::bucket_gone;
use super::consumer::ordered_config;
use super::names::check_pattern;
use super::object::KeyValue;
use super::patterns::patterns_of;
use super::watcher::{Watcher, Wishes};
use crate::bridge;
use crate::bucket::unfinished::Unfinished;
use crate::error::{self, Error};
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use std::time::Duration;

/// What a watch is asked for.
struct Wanted {
    wishes: Wishes,
    /// The name of the array that is to follow the bucket.
    array: Option<Obj>,
    policy: DeliverPolicy,
    meta_only: bool,
    heartbeat: Duration,
}

/// The revision that `-from_revision` names.
pub fn start_of(given: &options::Options) -> Result<Option<u64>> {
    let Some(word) = given.get("from_revision") else { return Ok(None) };
    match options::unsigned(word).filter(|revision| *revision > 0) {
        Some(revision) => Ok(Some(revision)),
        None => Err(options::refused("from_revision", Type::Int, word)
            .with_hint("an integer, 1 or more")
            .into()),
    }
}

impl Wanted {
    fn parse(interp: Interp<'_>, args: &[Obj]) -> Result<Wanted> {
        const OPTIONS: &[options::Spec] = &[
            ("callback", Type::Str),
            ("values_array", Type::Str),
            ("include_history", Type::Bool),
            ("meta_only", Type::Bool),
            ("ignore_deletes", Type::Bool),
            ("updates_only", Type::Bool),
            ("idle_heartbeat", Type::Ms),
            ("from_revision", Type::Int),
            ("batch", Type::Bool),
            ("overflow", Type::Enum(&["wait", "latest"])),
            ("state", Type::Str),
        ];
        let given = options::parse(interp, OPTIONS, args)?;
        let conflict = |one: &str, other: &str| {
            Err(Error::invalid(format!("-{one} conflicts with -{other}")).into())
        };
        let (history, updates) = (given.flag("include_history"), given.flag("updates_only"));
        let policy = match (start_of(&given)?, history, updates) {
            (_, true, true) => return conflict("include_history", "updates_only"),
            (Some(_), true, _) => return conflict("from_revision", "include_history"),
            (Some(_), _, true) => return conflict("from_revision", "updates_only"),
            (Some(revision), ..) => DeliverPolicy::ByStartSequence(revision),
            (None, true, false) => DeliverPolicy::All,
            (None, false, true) => DeliverPolicy::New,
            (None, false, false) => DeliverPolicy::LastPerSubject,
        };
        let heartbeat = match given.get("idle_heartbeat").and_then(options::milliseconds) {
            Some(ns) => Duration::from_nanos(ns.max(0) as u64),
            None => Duration::from_secs(5),
        };
        let prefix =
            |name| given.non_empty(name).map(|prefix: &Obj| prefix.elements(interp)).transpose();
        let wishes = Wishes {
            callback: prefix("callback")?,
            on_state: prefix("state")?,
            to_array: given.non_empty("values_array").is_some(),
            ignore_deletes: given.flag("ignore_deletes"),
            batch: given.flag("batch"),
            latest: given.get("overflow").is_some_and(|word| word.tcl_bytes() == b"latest"),
        };
        Ok(Wanted {
            wishes,
            array: given.non_empty("values_array").cloned(),
            policy,
            meta_only: given.flag("meta_only"),
            heartbeat,
        })
    }
}

fn watch(call: &Call<'_>) -> Result<Return> {
    let interp = call.interp;
    let kv = call.data::<KeyValue>()?;
    let patterns = kv.codecs.patterns_in(patterns_of(interp, &kv.codecs, call.arg(0)?)?)?;
    patterns.iter().try_for_each(|pattern| check_pattern(pattern))?;
    let Wanted { wishes, array, policy, meta_only, heartbeat } =
        Wanted::parse(interp, &call.args()[1..])?;
    let api = kv.js.api()?;
    let delivers = wishes.callback.is_some() || array.is_some();
    let mut config = ordered_config(&kv, patterns, policy, meta_only, heartbeat)?;
    // Nothing has to be known of vanished keys by a watch that is not interested in deletions.
    config.roll_call = !wishes.ignore_deletes;
    config.end_before_news = true;
    config.never_waits = wishes.latest;

    let watcher = Watcher::create(interp, &kv, wishes)?;
    let unfinished = Unfinished::new(interp, watcher.handle());
    if let (Some(name), Some(array)) = (&array, watcher.array()) {
        link_array(interp, name, array)?;
    }
    let (promise, pending) = bridge::promise(interp);
    let bucket = kv.bucket.clone();
    let done = Box::new(move |created: error::Result<()>| {
        promise.complete(created.map_err(|error| bucket_gone(&bucket.name, error)));
    });
    watcher.start(interp, api, config, meta_only, done)?;
    unfinished.wait(interp, &kv.js, pending, watcher, move |watcher| {
        if !delivers {
            return Err(Error::invalid("-callback or -values_array is required"));
        }
        watcher.deliver();
        Ok(())
    })
}

/// Makes `array` another name of the variable that `name` is for the caller.
fn link_array(interp: Interp<'_>, name: &Obj, array: &Obj) -> Result<()> {
    if let Err(failure) = interp.link_var(name, &array.text()) {
        let code = interp.raised_code();
        if code.is_some_and(|code| code.tcl_bytes() == b"TCL UPVAR INVERTED") {
            // Tcl's text is about how it is done here; its code stays.
            interp.set_result(&Obj::new("-values_array must not be a local variable"));
        }
        return Err(failure);
    }
    if interp.get_var(array, None).is_some() {
        let text = format!("-values_array {} is a variable but not an array", name.text());
        return Err(Error::invalid(text).into());
    }
    Ok(())
}

const METHODS: &[Method] =
    &[Method { name: "watch", usage: "patterns ?arg ...?", min: 1, max: ANY, body: watch }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, METHODS)
}
