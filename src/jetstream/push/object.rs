//! `nats::push_consumer`: messages that a server pushes, and what becomes of their consumer.

use super::driver::{Event, PushConsumer};
use super::machine::{Consumer, State};
use crate::bridge::{self, LanePlace, Receiver, Rest};
use crate::connection::Follower;
use crate::connection::log::Level;
use crate::error::{Error, Kind};
use crate::error_code::error_code;
use crate::jetstream::api::Api;
use crate::jetstream::context::JetStream;
use crate::jetstream::delivery::{Delivered, Delivery};
use crate::tcl::{
    Call, Dict, Interp, InterpHandle, Method, Native, Obj, ObjectHandle, Prefix, Result, Return, oo,
};
use crate::transport::{Link, Outgoing};
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

pub struct PushObject {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    js: Rc<JetStream>,
    stream: String,
    name: String,
    /// Whether somebody else can have what was not delivered.
    acknowledged: bool,
    delivery: Delivery<Event>,
    on_state: Option<Prefix>,
    state_lane: LanePlace<Event>,
    consumer: OnceCell<Rc<PushConsumer>>,
    events: OnceCell<Receiver<Event>>,
    state: Cell<Shown>,
    delivered: Cell<u64>,
    warnings: Cell<u64>,
    last_error: RefCell<Obj>,
}

/// The states that the program knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Live,
    Stale,
    Draining,
    Stopped,
}

impl Shown {
    fn word(self) -> &'static str {
        match self {
            Shown::Live => "live",
            Shown::Stale => "stale",
            Shown::Draining => "draining",
            Shown::Stopped => "stopped",
        }
    }
}

/// What the program wants.
pub struct Wanted {
    pub stream: String,
    pub name: String,
    pub acknowledged: bool,
    pub callback: Vec<Obj>,
    pub batch: bool,
    pub on_state: Option<Prefix>,
}

impl Follower for PushConsumer {
    fn leave(&self, _link: &Link) {}

    fn resume(&self, link: &Link) {
        PushConsumer::resume(self, link);
    }
}

impl PushObject {
    /// Makes the object, and begins to deliver.
    pub fn create(
        interp: Interp<'_>,
        js: &Rc<JetStream>,
        api: Api,
        wanted: Wanted,
        consumer: Consumer,
    ) -> Result<Rc<PushObject>> {
        let Wanted { stream, name, acknowledged, callback, batch, on_state } = wanted;
        let this = oo::instantiate(interp, "::nats::push_consumer", |handle| {
            Rc::new(PushObject {
                interp_handle: interp.handle(),
                handle,
                js: js.clone(),
                stream,
                name,
                acknowledged,
                delivery: Delivery::new(&js.connection, callback, batch),
                on_state,
                state_lane: LanePlace::new(),
                consumer: OnceCell::new(),
                events: OnceCell::new(),
                state: Cell::new(Shown::Live),
                delivered: Cell::new(0),
                warnings: Cell::new(0),
                last_error: RefCell::new(Obj::empty()),
            })
        })?;
        js.adopt(interp, &this.handle)?;
        match this.start(interp, api, consumer) {
            Ok(()) => Ok(this),
            Err(error) => {
                this.handle.destroy(interp);
                Err(error.into())
            }
        }
    }

    fn start(
        self: &Rc<Self>,
        interp: Interp<'_>,
        api: Api,
        consumer: Consumer,
    ) -> crate::error::Result<()> {
        let weak = Rc::downgrade(self);
        let (sender, events) = bridge::channel(interp.handle(), move |event, rest| {
            if let Some(this) = weak.upgrade() {
                this.event(event, rest);
            }
        });
        let (stream, name) = (self.stream.clone(), self.name.clone());
        let consumer = Rc::new(PushConsumer::start(api, stream, name, consumer, sender)?);
        let follower: Rc<dyn Follower> = consumer.clone();
        self.js.connection.follow(Rc::downgrade(&follower));
        events.start();
        // An object is started once.
        let _ = self.consumer.set(consumer);
        let _ = self.events.set(events);
        Ok(())
    }

    pub fn command(&self, interp: Interp<'_>) -> Obj {
        self.handle.command(interp)
    }

    fn event(&self, event: Event, rest: &Rest<'_, Event>) {
        if !self.handle.is_alive() {
            return;
        }
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        match event {
            Event::Delivered(message) if self.state.get() == Shown::Stopped => {
                self.refuse(&message)
            }
            Event::Delivered(_) => {
                let count = self.delivery.deliver(interp, event, rest);
                self.delivered.set(self.delivered.get() + count);
                if let Some(consumer) = self.consumer.get().filter(|_| count > 0) {
                    consumer.consumed(count);
                }
            }
            Event::Report(word) => self.report(interp, word, rest),
            Event::Warning(kind, text) => {
                self.warnings.set(self.warnings.get() + 1);
                self.note(kind, &text);
                self.report(interp, "warning", rest);
            }
            Event::State(state, error) => self.changed(interp, state, error, rest),
            Event::Drained => {
                self.end();
                self.show(interp, Shown::Stopped, rest);
            }
        }
    }

    fn changed(
        &self,
        interp: Interp<'_>,
        state: State,
        error: Option<(Kind, String)>,
        rest: &Rest<'_, Event>,
    ) {
        let gone = error.as_ref().is_some_and(|(kind, _)| *kind != Kind::ConnectionClosed);
        if let Some((kind, text)) = error {
            self.note(kind, &text);
        }
        let shown = match state {
            State::Stopped => Shown::Stopped,
            // What the program has begun is not taken back.
            _ if self.state.get() == Shown::Draining => return,
            State::Live => Shown::Live,
            State::Stale => Shown::Stale,
        };
        // One that was being drained does not come back with another connection.
        if shown == Shown::Stopped && (gone || self.state.get() == Shown::Draining) {
            self.end();
        }
        self.show(interp, shown, rest);
    }

    fn note(&self, kind: Kind, text: &str) {
        let warning = format!("Push consumer {} of {}: {text}", self.name, self.stream);
        self.js.connection.logger.log(Level::Warn, &warning);
        let mut dict = Dict::new();
        dict.put("code", &error_code(&Error::new(kind, "")));
        dict.put("errorMessage", &Obj::new(text));
        self.last_error.replace(dict.into());
    }

    fn show(&self, interp: Interp<'_>, state: Shown, rest: &Rest<'_, Event>) {
        if self.state.replace(state) != state {
            self.report(interp, state.word(), rest);
        }
    }

    fn report(&self, interp: Interp<'_>, word: &'static str, rest: &Rest<'_, Event>) {
        let Some(on_state) = &self.on_state else { return };
        let event = Event::Report(word);
        if rest.admit(interp, &self.state_lane, on_state.words(), event).is_some() {
            on_state.call(interp, [Obj::new(word), self.status()]);
            rest.delivered(&self.state_lane);
        }
    }

    /// Nothing more is received, whatever becomes of the connection.
    fn end(&self) {
        if let Some(consumer) = self.consumer.get() {
            consumer.stop();
        }
    }

    /// Ends it now. What was not delivered goes to others, or comes again.
    fn stop(&self) {
        self.end();
        if let Some(events) = self.events.get() {
            // What is held back for a busy coroutine came first.
            for event in self.delivery.take_held().into_iter().chain(events.take_all()) {
                if let Event::Delivered(message) = event {
                    self.refuse(&message);
                }
            }
        }
    }

    fn refuse(&self, message: &Delivered) {
        let Delivered::Message(message) = message else { return };
        let Some(reply) = message.reply().filter(|_| self.acknowledged) else { return };
        let reply = String::from_utf8_lossy(reply).into_owned();
        if let Ok(link) = self.js.connection.link() {
            // Without a connection it comes again by itself.
            let _ = link.publish(Outgoing::new(reply, "-NAK"));
        }
    }

    fn status(&self) -> Obj {
        let delivered = self.delivered.get();
        let handed_over = self.consumer.get().map_or(0, |consumer| consumer.handed_over());
        let waiting = match self.state.get() {
            Shown::Stopped => 0,
            _ => handed_over.saturating_sub(delivered),
        };
        let mut dict = Dict::new();
        dict.put("state", &Obj::new(self.state.get().word()));
        dict.put("stream", &Obj::new(&self.stream));
        dict.put("consumer", &Obj::new(&self.name));
        dict.put("delivered", &Obj::uint(delivered));
        dict.put("buffered", &Obj::uint(waiting));
        dict.put("warnings", &Obj::uint(self.warnings.get()));
        dict.put("last_error", &self.last_error.borrow());
        dict.into()
    }
}

impl Native for PushObject {
    fn gone(&self) {
        self.js.release(&self.handle);
        self.stop();
    }
}

fn status(call: &Call<'_>) -> Result<Return> {
    Ok(call.data::<PushObject>()?.status().into())
}

fn drain(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<PushObject>()?;
    match this.state.get() {
        Shown::Draining => {}
        // Perhaps only because the connection was closed.
        Shown::Stopped => this.end(),
        Shown::Live | Shown::Stale => {
            this.state.set(Shown::Draining);
            if let Some(consumer) = this.consumer.get() {
                consumer.drain();
            }
        }
    }
    Ok(Return::Empty)
}

fn stop(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<PushObject>()?;
    this.stop();
    if let Some(consumer) = this.consumer.get().filter(|_| this.state.get() != Shown::Stopped) {
        // For the program to hear of the end from the event loop.
        consumer.say_drained();
    }
    Ok(Return::Empty)
}

const METHODS: &[Method] = &[
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
    Method { name: "drain", usage: "", min: 0, max: 0, body: drain },
    Method { name: "stop", usage: "", min: 0, max: 0, body: stop },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::push_consumer", None, None, METHODS)
}
