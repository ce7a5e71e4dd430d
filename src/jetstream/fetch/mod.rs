//! `fetch`: some messages of a consumer, by one pull request.
//!
//! | file | what it is |
//! |---|---|
//! | `plan` | the options, and the request that they make |
//! | `pins` | who is served, of clients that stand by for each other |
//! | `pull` | the request on the runtime thread |
//! | `end` | how requests end |
//! | `waiting` | a fetch that is waited for |
//! | `fetches` | those of a connection, and the way of messages to callbacks |
//! | `running` | those that are under way, for what becomes of their connection |

mod end;
mod fetches;
mod pins;
mod plan;
mod pull;
mod running;
mod waiting;

use self::end::End;
use self::fetches::Fetches;
use self::pins::Pin;
use self::plan::Plan;
use self::pull::{Ask, Pull, Source};
use self::waiting::{Outcome, Waiting};
use super::api::Op;
use super::context::JetStream;
use super::delivery::Dicts;
use super::names;
use crate::bridge;
use crate::connection::log::Level;
use crate::error::{Error, Kind};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, List, Method, Obj, Result, Return, oo};
use serde_json::Value;

fn fetch(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let (stream, consumer) = (&*call.arg(0)?.text(), &*call.arg(1)?.text());
    names::check_stream(stream)?;
    names::check_consumer(consumer)?;
    let words = call.args().get(2..).unwrap_or_default();
    let mut plan = Plan::read(call.interp, &js, words)?;
    let api = js.api()?;
    let callback =
        plan.callback.take().map(|callback| callback.elements(call.interp)).transpose()?;
    let op = Op::MessageNext { stream, consumer };
    let subject = op.checked_subject(&js.prefix)?;
    let source = Source { stream: stream.to_owned(), consumer: consumer.to_owned() };
    let fetches = Fetches::of(&js.connection);
    let pin = plan.group().map(|group| fetches.pins.of(source.clone(), group));
    plan.set_pin(pin.as_ref().and_then(Pin::id));
    let bytes = plan.max_bytes();
    let body = Value::from(plan.request).to_string().into_bytes();
    api.trace_request(&subject, &body);
    js.log_trace();
    let Plan { batch, timeout, silence, .. } = plan;
    let subject_asked = subject.clone();
    let ask = Ask {
        source: source.clone(),
        subject: subject_asked,
        body,
        pin,
        batch,
        bytes,
        timeout,
        silence,
    };
    if let Some(callback) = callback {
        let id = fetches.start(&js.connection, &api, ask, callback)?;
        return Ok(Obj::new(&id).into());
    }
    let (promise, pending) = bridge::promise(call.interp);
    let waiting = Waiting::new(&api, source, batch, promise);
    let pull = Pull::start(&api, ask, Box::new(waiting))?;
    let id = fetches.running(&api.link, &pull);
    let pending = pending.or_cancel(move || {
        pull.give_up();
    });
    let this = js.clone();
    js.wait(call.interp, pending, move |_, outcome| this.fetched(outcome?, id, &subject))
}

fn cancel_pull_request(call: &Call<'_>) -> Result<Return> {
    let js = call.data::<JetStream>()?;
    let id = call.arg(0)?.text();
    if !Fetches::of(&js.connection).cancel(&id) {
        return Err(Error::invalid(format!("Invalid fetch ID {id}")).into());
    }
    js.connection.logger.log(Level::Debug, &format!("Cancelled request {id}"));
    Ok(Return::Empty)
}

impl JetStream {
    /// The result of a fetch that was waited for.
    fn fetched(&self, outcome: Outcome, id: u64, subject: &str) -> Result<Return> {
        let Outcome { batch, end, reason } = outcome;
        let in_vain = batch.is_empty();
        end.log(&self.connection.logger, &format!("Sync pull request {id}"), in_vain);
        if in_vain {
            if let Some(error) = reason.or_else(|| end.refusal()) {
                return Err(error.into());
            }
            if let End::Nobody | End::Timeout(_) = end {
                let text = format!("Sync pull request timeout, subject={subject}");
                return Err(Error::new(Kind::Timeout, text).into());
            }
        }
        let dicts = Dicts::new(&self.connection);
        let mut list = List::new();
        for message in batch.take() {
            list.push(&dicts.dict(&message));
        }
        Ok(list.into())
    }
}

const METHODS: &[Method] = &[
    Method { name: "fetch", usage: "stream consumer ?arg ...?", min: 2, max: ANY, body: fetch },
    Method { name: "consume", usage: "stream consumer ?arg ...?", min: 2, max: ANY, body: fetch },
    Method {
        name: "cancel_pull_request",
        usage: "fetchID",
        min: 1,
        max: 1,
        body: cancel_pull_request,
    },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, METHODS)
}
