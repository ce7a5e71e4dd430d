//! The methods of `nats::kv_binding`.

use super::bind::CLASS;
use super::feed::Event;
use super::form;
use super::object::Binding;
use crate::bridge;
use crate::error::Error;
use crate::jetstream::ordered::ConsumerState;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Dict, Interp, Method, Obj, Result, Return, oo};
use std::rc::Rc;
use std::time::Duration;

/// Waits until all changes are acknowledged, at most so long; `done` follows in any case.
fn wait_for_all(
    interp: Interp<'_>,
    this: &Rc<Binding>,
    limit: Option<Duration>,
    done: impl FnOnce(Interp<'_>, crate::error::Result<()>) -> Result<Return> + 'static,
) -> Result<Return> {
    this.look_again(interp);
    this.send_all(interp);
    let change = this.table.borrow().last_change();
    if this.table.borrow().settled(change) {
        return done(interp, Ok(()));
    }
    let link = match this.kv.js.connection.link() {
        Ok(link) => link,
        Err(error) => return done(interp, Err(error)),
    };
    let (promise, pending) = bridge::promise(interp);
    let id = this.flushes.add(change, promise);
    if let (Some(limit), Some(running)) = (limit, this.running.get()) {
        let sender = running.sender.clone();
        drop(link.spawn(async move {
            tokio::time::sleep(limit).await;
            sender.send(Event::Late(id));
        }));
    }
    let weak = Rc::downgrade(this);
    let cancel = move || {
        if let Some(this) = weak.upgrade() {
            this.flushes.cancel(id);
        }
    };
    this.kv.js.clone().wait(interp, pending.by_handler().or_cancel(cancel), done)
}

fn flush(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("timeout", Type::Timeout)];
    let this = call.data::<Binding>()?;
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    let limit = match given.duration("timeout") {
        Some(limit) => Some(limit).filter(|limit| !limit.is_zero()),
        None => this.kv.js.timeout(),
    };
    wait_for_all(call.interp, &this, limit, |_, outcome| {
        outcome?;
        Ok(Return::Empty)
    })
}

fn destroy(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Binding>()?;
    this.end_array(call.interp);
    let limit = this.kv.js.timeout();
    let binding = this.clone();
    wait_for_all(call.interp, &this, limit, move |interp, outcome| {
        if let Err(error) = outcome {
            // What has failed was told, or is among the rest.
            binding.abandon(&Error::new(error.kind, "it was not acknowledged in time"));
        }
        binding.reports.rest(interp);
        binding.handle.destroy(interp);
        Ok(Return::Empty)
    })
}

fn revision(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Binding>()?;
    let key = form::key_in(&this.kv, &call.arg(0)?.text())?;
    let revision = this.table.borrow().get(&key).map_or(0, |state| state.revision());
    Ok(Obj::uint(revision).into())
}

fn state_word(this: &Binding) -> &'static str {
    if this.lost.get() {
        return "lost";
    }
    if this.elements.is_gone() {
        return "ended";
    }
    match this.state.get() {
        None | Some(ConsumerState::Initial) => "initial",
        Some(ConsumerState::Live) => "live",
        Some(ConsumerState::Stale | ConsumerState::Resuming) => "stale",
        Some(ConsumerState::Recreated) => "recreated",
        Some(ConsumerState::Stopped) => "stopped",
    }
}

fn status(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Binding>()?;
    let table = this.table.borrow();
    let counts = table.counts();
    let mut dict = Dict::new();
    dict.put("state", &Obj::new(state_word(&this)));
    dict.put("bucket", &Obj::new(&this.kv.bucket.name));
    dict.put("array", &Obj::new(&this.elements.name));
    for (name, count) in [
        ("keys", table.len() as u64),
        ("pending", table.pending() as u64),
        ("in_flight", table.in_flight() as u64),
        ("written", counts.written),
        ("conflicts", counts.conflicts),
        ("failed", counts.failed),
    ] {
        dict.put(name, &Obj::uint(count));
    }
    Ok(dict.into())
}

/// Whatever destroys the object, the traces are taken off while there is a way to them.
fn destruct(call: &Call<'_>) -> Result<Return> {
    if let Ok(this) = call.data::<Binding>() {
        this.elements.end(call.interp);
    }
    Ok(Return::Empty)
}

static DESTRUCTOR: Method =
    Method { name: "destructor", usage: "", min: 0, max: 0, body: destruct };

const METHODS: &[Method] = &[
    Method { name: "destroy", usage: "", min: 0, max: 0, body: destroy },
    Method { name: "flush", usage: "?arg ...?", min: 0, max: ANY, body: flush },
    Method { name: "revision", usage: "key", min: 1, max: 1, body: revision },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, CLASS, None, Some(&DESTRUCTOR), METHODS)
}
