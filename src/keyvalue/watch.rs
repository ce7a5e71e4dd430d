//! `$kv watch`: makes a watcher.

use super::bucket::bucket_gone;
use super::consumer::ordered_config;
use super::names::check_pattern;
use super::object::KeyValue;
use super::watcher::Watcher;
use crate::bridge;
use crate::error::Error;
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// What a watch is asked for.
struct Wanted {
    callback: Option<Vec<Obj>>,
    /// The name of the array that is to follow the bucket.
    array: Option<Obj>,
    policy: DeliverPolicy,
    meta_only: bool,
    ignore_deletes: bool,
    heartbeat: Duration,
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
        ];
        let given = options::parse(interp, OPTIONS, args)?;
        let policy = match (given.flag("include_history"), given.flag("updates_only")) {
            (true, true) => {
                return Err(Error::invalid("-include_history conflicts with -updates_only").into());
            }
            (true, false) => DeliverPolicy::All,
            (false, true) => DeliverPolicy::New,
            (false, false) => DeliverPolicy::LastPerSubject,
        };
        let heartbeat = match given.get("idle_heartbeat").and_then(options::milliseconds) {
            Some(ns) => Duration::from_nanos(ns.max(0) as u64),
            None => Duration::from_secs(5),
        };
        let callback = given.non_empty("callback").map(|prefix| prefix.elements(interp));
        Ok(Wanted {
            callback: callback.transpose()?,
            array: given.non_empty("values_array").cloned(),
            policy,
            meta_only: given.flag("meta_only"),
            ignore_deletes: given.flag("ignore_deletes"),
            heartbeat,
        })
    }
}

/// A watcher whose creation is not complete: it goes if nobody finishes it.
struct Unfinished(Weak<Watcher>);

impl Unfinished {
    /// The creation is complete: the watcher stays.
    fn finish(&mut self) {
        self.0 = Weak::new();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(watcher) = self.0.upgrade() {
            watcher.destroy();
        }
    }
}

fn watch(call: &Call<'_>) -> Result<Return> {
    let interp = call.interp;
    let kv = call.data::<KeyValue>()?;
    let pattern = call.arg(0)?.string();
    check_pattern(&pattern)?;
    let wanted = Wanted::parse(interp, &call.args()[1..])?;
    let api = kv.js.api()?;
    let delivers = wanted.callback.is_some() || wanted.array.is_some();
    let mut config =
        ordered_config(&kv, &pattern, wanted.policy, wanted.meta_only, wanted.heartbeat);
    // Nothing has to be known of vanished keys by a watch that is not interested in deletions.
    config.roll_call = !wanted.ignore_deletes;
    config.end_before_news = true;

    let watcher = Watcher::create(
        interp,
        &kv,
        wanted.callback,
        wanted.array.is_some(),
        wanted.ignore_deletes,
    )?;
    let mut unfinished = Unfinished(Rc::downgrade(&watcher));
    if let (Some(name), Some(array)) = (&wanted.array, watcher.array()) {
        link_array(interp, name, array)?;
    }
    let (promise, pending) = bridge::promise(interp);
    let done = Box::new(move |created| promise.complete(created));
    watcher.start(interp, api, config, wanted.meta_only, done)?;
    drop(watcher);

    let bucket = kv.bucket.clone();
    kv.js.wait(interp, pending, move |interp, created| {
        created.map_err(|error| bucket_gone(&bucket.name, error))?;
        let Some(watcher) = unfinished.0.upgrade() else {
            return Err(Error::invalid("The watcher was destroyed").into());
        };
        if !delivers {
            return Err(Error::invalid("-callback or -values_array is required").into());
        }
        watcher.deliver();
        unfinished.finish();
        Ok(watcher.command(interp).into())
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
    &[Method { name: "watch", usage: "key ?arg ...?", min: 1, max: ANY, body: watch }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, METHODS)
}
