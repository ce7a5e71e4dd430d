//! `publish` and `publish_msg`.

use super::options::{PUBLISH_OPTIONS, headers, retries};
use super::window::{End, Slot, Wait, within};
use super::{Publishing, ack, error_dict, warn_of_reply};
use crate::connection::{MessageArgs, OutcomeReader, RequestOutcome};
use crate::error::{Error, Kind};
use crate::jetstream::context::JetStream;
use crate::options::{self, Options};
use crate::tcl::call::ANY;
use crate::tcl::wait::in_coroutine;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return};
use crate::transport::{How, Outgoing};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

fn publish(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<JetStream>()?;
    let args = MessageArgs::new(call.arg(0)?, call.arg(1)?);
    let words = call.args().get(2..).unwrap_or_default();
    let given = options::parse(call.interp, &PUBLISH_OPTIONS, words)?;
    send(&this, call.interp, args, &given)
}

fn publish_msg(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<JetStream>()?;
    let words = call.args().get(1..).unwrap_or_default();
    let given = options::parse(call.interp, &PUBLISH_OPTIONS, words)?;
    let fields = this.connection.format().fields(call.interp, call.arg(0)?)?;
    // The word is that of nats-tcl.
    warn_of_reply(&this.connection, "request_msg", &fields.reply);
    let mut args = MessageArgs::new(&fields.subject, &fields.data);
    args.header = Some(fields.header.clone());
    send(&this, call.interp, args, &given)
}

fn send(
    this: &Rc<JetStream>,
    interp: Interp<'_>,
    mut args: MessageArgs<'_>,
    given: &Options,
) -> Result<Return> {
    args.set = headers(this, given)?;
    let callback = match given.get("callback") {
        Some(callback) => callback.elements(interp)?,
        None => Vec::new(),
    };
    let connection = &this.connection;
    connection.check_open()?;
    let out = connection.outgoing(interp, args)?;
    let timeout = given.time_limit("timeout", this.timeout().unwrap_or_default());
    let how = How { timeout, patience: retries(given), ..How::default() };
    if callback.is_empty() {
        // Headers that the program writes itself it has written for nats-tcl, too.
        let is_old = |(name, _): (&str, _)| matches!(name, "timeout" | "callback" | "stream");
        wait(this, interp, out, how, given.given().all(is_old))
    } else {
        later(this, interp, out, how, callback)
    }
}

/// Waits for the acknowledgement. `is_old`: the call is one of nats-tcl, and so are its errors.
fn wait(
    this: &Rc<JetStream>,
    interp: Interp<'_>,
    out: Outgoing,
    how: How,
    is_old: bool,
) -> Result<Return> {
    let link = this.connection.link()?;
    let publishing = this.publishing.clone();
    this.request(
        interp,
        &link,
        |promise| {
            let subject = out.subject.clone();
            let finish = move |reply| promise.complete(reply);
            let complete = this.connection.in_order(how.timeout, finish);
            link.request_as(out, how, move |reply| {
                complete(ack::with_body(&subject, reply, |body| Ok(Box::<[u8]>::from(body))));
            })
        },
        move |_, reply| {
            let ack = publishing.acknowledgement(&reply?);
            let as_called = |error: Error| if is_old { error.into_nats_tcl() } else { error };
            Ok(ack.map_err(as_called)?.into())
        },
    )
}

/// Tells the acknowledgement to a callback. When too many are missing, it waits until there is a
/// place for this one.
fn later(
    this: &Rc<JetStream>,
    interp: Interp<'_>,
    out: Outgoing,
    how: How,
    callback: Vec<Obj>,
) -> Result<Return> {
    if let Some(slot) = this.publishing.window.take(Wait::InOrder) {
        return send_later(this, out, how, callback, slot);
    }
    let wait = if in_coroutine(interp)? { Wait::InOrder } else { Wait::First };
    let deadline = how.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    when_free(this, interp, deadline, wait, Held { out, how, callback })
}

/// A publish that has no place yet.
struct Held {
    out: Outgoing,
    how: How,
    callback: Vec<Obj>,
}

/// Sends it as soon as there is a place. Somebody else may be quicker when there is one; then it waits
/// on, before those who came later.
fn when_free(
    this: &Rc<JetStream>,
    interp: Interp<'_>,
    deadline: Option<Instant>,
    wait: Wait,
    held: Held,
) -> Result<Return> {
    let window = this.publishing.window.clone();
    if let Some(slot) = window.take(wait) {
        return send_later(this, held.out, held.how, held.callback, slot);
    }
    let subject = held.out.subject.clone();
    let late = move || Error::new(Kind::Timeout, format!("Request to {subject} timed out"));
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let sender = this.clone();
    this.run(
        interp,
        |_| within(left, window.turn(wait), late),
        move |interp, turn| {
            let turn = turn?;
            let slot = sender.publishing.window.take(Wait::First);
            drop(turn);
            match slot {
                Some(slot) => send_later(&sender, held.out, held.how, held.callback, slot),
                None => when_free(&sender, interp, deadline, Wait::First, held),
            }
        },
    )
}

fn send_later(
    this: &JetStream,
    out: Outgoing,
    how: How,
    callback: Vec<Obj>,
    slot: Slot,
) -> Result<Return> {
    let link = this.connection.link()?;
    let publishing = this.publishing.clone();
    let reader = AckReader { publishing, slot: Cell::new(Some(slot)), words: RefCell::default() };
    this.connection.request_read(&link, out, how, callback, Box::new(reader))
}

/// Makes the words of a callback from what becomes of a publish.
struct AckReader {
    publishing: Rc<Publishing>,
    slot: Cell<Option<Slot>>,
    words: RefCell<Option<Vec<Obj>>>,
}

impl AckReader {
    /// How the publish ended, and what is told: `timedOut pubAck pubError`.
    fn read(&self, outcome: &RequestOutcome) -> Option<(End, [Obj; 3])> {
        let nothing = |end| Some((end, [Obj::int(1), Obj::empty(), Obj::empty()]));
        let message = match outcome {
            RequestOutcome::Message(message) => message,
            RequestOutcome::NoResponders(report) if !report.payload().is_empty() => report,
            RequestOutcome::NoResponders(_) | RequestOutcome::Denied => {
                return nothing(End::Failed);
            }
            RequestOutcome::Timeout | RequestOutcome::Lost => return nothing(End::TimedOut),
            RequestOutcome::Closed | RequestOutcome::Queued | RequestOutcome::Complete => {
                return None;
            }
        };
        Some(match self.publishing.acknowledgement(message.payload()) {
            Ok(ack) => (End::Acknowledged, [Obj::int(0), ack, Obj::empty()]),
            Err(error) => (End::Failed, [Obj::int(0), Obj::empty(), error_dict(&error).into()]),
        })
    }
}

impl OutcomeReader for AckReader {
    fn come(&self, outcome: &RequestOutcome) {
        // Its place is free now, even if the callback is busy.
        let Some(slot) = self.slot.take() else { return };
        if let Some((end, words)) = self.read(outcome) {
            slot.settle(end);
            *self.words.borrow_mut() = Some(words.into());
        }
    }

    fn words(&self) -> Option<Vec<Obj>> {
        self.words.take().filter(|_| self.publishing.alive.get())
    }
}

pub const METHODS: &[Method] = &[
    Method { name: "publish", usage: "subject data ?arg ...?", min: 2, max: ANY, body: publish },
    Method { name: "publish_msg", usage: "msg ?arg ...?", min: 1, max: ANY, body: publish_msg },
];
