//! `nats::kv_binding`: what happens between its array and its bucket, on the Tcl thread.

use super::elements::Elements;
use super::feed::{Event, Writer};
use super::flush::Flushes;
use super::form::{self, Value};
use super::key::Loss;
use super::reports::Reports;
use super::table::{Output, Table};
use crate::bridge::{Receiver, Sender};
use crate::bucket::names::not_found;
use crate::connection::log::Level;
use crate::error::{Error, Kind};
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::consumer::OrderedConsumer;
use crate::keyvalue::entry::Entry;
use crate::keyvalue::lifetime::Lifetime;
use crate::keyvalue::object::KeyValue;
use crate::tcl::{Interp, InterpHandle, Native, ObjectHandle};
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// What a binding was asked for; patterns are those of stored keys.
pub struct Settings {
    pub patterns: Vec<String>,
    pub lifetime: Option<Lifetime>,
    pub delay: Duration,
}

pub struct Binding {
    pub interp_handle: InterpHandle,
    pub handle: ObjectHandle,
    pub kv: Rc<KeyValue>,
    pub settings: Settings,
    /// What a message of the stream may have, headers included.
    pub max_message: Cell<Option<usize>>,
    pub elements: Elements,
    pub table: RefCell<Table<Value>>,
    pub reports: Reports,
    pub flushes: Flushes,
    pub writer: Writer,
    pub running: OnceCell<Running>,
    /// Something is to be sent, in a later turn of the event loop.
    pub due: Cell<bool>,
    /// Elements that were set in this turn, and the last one by its name and value, until anything else
    /// happens: it is heard of a second time if it has a trace of its own.
    pub touched: RefCell<Vec<String>>,
    pub heard: RefCell<Option<(String, Value)>>,
    pub state: Cell<Option<ConsumerState>>,
    pub last_error: RefCell<Option<Error>>,
    /// The bucket was deleted.
    pub lost: Cell<bool>,
    pub ready: Cell<bool>,
}

/// What it has once its consumer is being made.
pub struct Running {
    pub consumer: Rc<OrderedConsumer>,
    pub sender: Sender<Event>,
    pub events: Receiver<Event>,
}

impl Binding {
    pub fn event(&self, event: Event) {
        // Destroyed in a callback further up the stack: nothing more comes.
        if !self.handle.is_alive() {
            return;
        }
        self.heard.take();
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let mut out = Vec::new();
        match event {
            Event::Entry(entry, own) => {
                self.entry(&entry, own, &mut out);
                self.apply(interp, out);
                self.consumed();
            }
            Event::Foreign => self.consumed(),
            Event::EndOfData => {
                if !self.ready.replace(true) {
                    self.reports.ready();
                }
            }
            Event::RollCallBegins => self.table.borrow_mut().roll_call_begins(),
            Event::RollCall(roll) => {
                let present = |key: &str| roll.has(&self.kv.bucket.read_subject(key));
                self.table.borrow_mut().roll_call(present, roll.first_seq, &mut out);
                self.apply(interp, out);
            }
            Event::State(state) => self.state(interp, state),
            Event::LastError(kind, text) => {
                self.kv.js.connection.logger.log(Level::Warn, &format!("Bound array: {text}"));
                *self.last_error.borrow_mut() = Some(Error::new(kind, text));
            }
            Event::Written { id, epoch, outcome } => {
                if epoch == self.table.borrow().epoch() {
                    self.written(id, outcome, &mut out);
                    self.apply(interp, out);
                }
            }
            Event::Read { id, epoch, outcome } => {
                if epoch == self.table.borrow().epoch() {
                    self.read(id, outcome, &mut out);
                    self.apply(interp, out);
                }
            }
            Event::Due => {
                self.due.set(false);
                self.look_again(interp);
            }
            Event::Again(id) => self.table.borrow_mut().unanswered(id),
            Event::Limit(limit) => self.max_message.set(limit),
            Event::Late(flush) => {
                self.flushes.late(flush, &self.elements.name);
            }
        }
        if self.handle.is_alive() {
            self.pump(interp);
            self.end_of_changes();
        }
    }

    fn consumed(&self) {
        if let Some(running) = self.running.get() {
            running.consumer.consumed(1);
        }
    }

    // --------------------------------------------------------------------------- from the bucket

    fn entry(&self, entry: &Entry, own: Option<u64>, out: &mut Vec<Output<Value>>) {
        let value = self.value_of(entry);
        self.table.borrow_mut().entry(entry.key(), entry.revision, value, own, out);
    }

    fn value_of(&self, entry: &Entry) -> Option<Value> {
        (!entry.operation.deletes()).then(|| form::value_out(&self.kv, entry))
    }

    fn written(&self, id: u64, outcome: crate::error::Result<u64>, out: &mut Vec<Output<Value>>) {
        let mut table = self.table.borrow_mut();
        match outcome {
            Ok(revision) => table.acknowledged(id, revision, out),
            Err(error) if error.kind == Kind::WrongLastSequence => {
                table.refused(id, met(&error), error, out);
            }
            Err(error) if is_open(&error) => {
                drop(table);
                self.send_again(id);
            }
            Err(error) => table.failed(id, error, out),
        }
    }

    fn read(&self, id: u64, outcome: crate::error::Result<Entry>, out: &mut Vec<Output<Value>>) {
        let answer = match outcome {
            // A codec of the program may run here.
            Ok(entry) => Ok((entry.revision, self.value_of(&entry))),
            Err(error) if error.kind == Kind::KeyNotFound => Ok((0, None)),
            Err(error) if is_open(&error) => return self.ask_again(Some(id)),
            Err(error) => Err(error),
        };
        self.table.borrow_mut().told(id, answer, out);
    }

    fn state(&self, interp: Interp<'_>, state: ConsumerState) {
        self.state.set(Some(state));
        match state {
            ConsumerState::Initial | ConsumerState::Live => {
                if !self.table.borrow().is_online() {
                    self.table.borrow_mut().set_online(true);
                    self.ask_again(None);
                }
            }
            ConsumerState::Recreated => {
                let mut out = Vec::new();
                self.table.borrow_mut().set_online(false);
                self.table.borrow_mut().remade(&mut out);
                self.apply(interp, out);
            }
            ConsumerState::Stopped if self.is_stream_gone() => {
                self.lost.set(true);
                let error = not_found(&self.kv.bucket.name);
                self.reports.bucket_lost(&error);
                self.abandon(&error);
            }
            ConsumerState::Stopped => {
                self.table.borrow_mut().set_online(false);
                // Disconnected, and with the link its timers have gone.
                self.due.set(false);
                self.flushes.fail(&Error::connection_closed());
            }
            _ => self.table.borrow_mut().set_online(false),
        }
    }

    fn is_stream_gone(&self) -> bool {
        self.last_error.borrow().as_ref().is_some_and(|error| error.kind == Kind::StreamNotFound)
    }

    /// Does what has come out. Traces of the program run here, and anything in them: so losses are noted
    /// before, though they are told after it, lest a binding that is destroyed by a trace keeps them to
    /// itself.
    pub fn apply(&self, interp: Interp<'_>, out: Vec<Output<Value>>) {
        let mut shown = Vec::new();
        for output in out {
            match output {
                Output::Show(key) => shown.push(key),
                Output::Lost(key, loss) => self.note_loss(&key, &loss),
                Output::Ask(key, id) => self.ask(&key, id, Duration::ZERO),
            }
        }
        for key in shown {
            self.show(interp, &key);
        }
    }

    fn note_loss(&self, key: &str, loss: &Loss<Value>) {
        let error = self.reports.lost(&self.kv, key, loss);
        self.flushes.failed(loss.change.number, &error);
    }

    fn show(&self, interp: Interp<'_>, key: &str) {
        // As it is now: something else may have come while traces ran.
        let now = |this: &Binding| {
            let table = this.table.borrow();
            let Some(state) = table.get(key) else { return Some(None) };
            state.is_clean().then(|| state.shown().cloned())
        };
        let Some(value) = now(self) else { return };
        let element = form::key_out(&self.kv, key);
        let shown = self.elements.show(interp, &element, value.as_ref());
        if let (Some(Some(value)), Some(shown)) = (now(self), shown)
            && value != shown
        {
            // A trace of the program has made it so.
            self.take_in(interp, &element);
        }
    }

    /// Once the array has gone only what was under way keeps the binding at work.
    fn end_of_changes(&self) {
        self.flushes.settled(&self.table.borrow());
        if self.elements.is_gone()
            && self.table.borrow().pending() == 0
            && let Some(running) = self.running.get()
        {
            running.consumer.stop();
        }
    }

    /// What has not been acknowledged is lost for this reason.
    pub fn abandon(&self, error: &Error) {
        let mut out = Vec::new();
        self.table.borrow_mut().abandon(error, &mut out);
        for output in out {
            if let Output::Lost(key, loss) = output {
                self.note_loss(&key, &loss);
                // It is what the element still has.
                if let Some(value) = &loss.change.value {
                    self.elements.leave(&form::key_out(&self.kv, &key), value);
                }
            }
        }
        self.flushes.settled(&self.table.borrow());
    }
}

impl Native for Binding {
    fn gone(&self) {
        self.kv.js.release(&self.handle);
        if let Some(running) = self.running.get() {
            running.consumer.stop();
        }
        self.flushes.end();
        let Some(guard) = self.interp_handle.enter() else { return };
        self.elements.end(guard.interp());
        self.abandon(&Error::new(Kind::ConnectionClosed, "the binding was destroyed"));
        self.reports.rest(guard.interp());
    }
}

/// The revision that a write has met, if the server says which.
fn met(error: &Error) -> Option<u64> {
    error.message.rsplit_once("wrong last sequence: ")?.1.parse().ok()
}

/// Whether nobody knows what has become of it, or it may be done later.
fn is_open(error: &Error) -> bool {
    // The last one is what a cluster says that has no leader.
    matches!(error.kind, Kind::Timeout | Kind::NoResponders | Kind::ConnectionClosed)
        || error.api == Some((503, 10008))
}
