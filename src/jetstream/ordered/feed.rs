//! What an ordered consumer of the program has to tell, from the runtime thread to the callbacks.

use super::ConsumerState;
use super::consumer::{Observer, OrderedConsumer};
use super::object::ConsumerObject;
use crate::bridge::{self, LanePlace, Receiver, Rest, Sender};
use crate::connection::log::Level;
use crate::error::Kind;
use crate::jetstream::context::JetStream;
use crate::jetstream::delivery::{self, Delivered, Delivery, StoredDelivery};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::stored::StoredMessage;
use crate::rfc3339;
use crate::tcl::{Dict, Interp, InterpHandle, Obj, Prefix};
use crate::transport::{Message, PackedMessage};
use serde_json::Value;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens to the consumer, in order.
pub enum Event {
    Delivered(Delivered),
    /// For the log.
    Created(String),
    LastError(Kind, String),
    State(ConsumerState),
    /// The program hears of this when the coroutine that is told of it is not busy any more.
    Report(ConsumerState),
}

impl delivery::Event for Event {
    fn is_message(&self) -> bool {
        matches!(self, Event::Delivered(_))
    }

    fn into_message(self) -> Option<Delivered> {
        match self {
            Event::Delivered(message) => Some(message),
            _ => None,
        }
    }
}

/// Where the consumer is, as the runtime thread knows it.
#[derive(Default)]
struct Position {
    /// The last message of the stream that was handed over.
    stream_seq: AtomicU64,
    handed_over: AtomicU64,
}

/// The runtime thread's part.
pub struct FeedObserver {
    events: Sender<Event>,
    position: Arc<Position>,
    headers_only: bool,
    stream: String,
    consumer: String,
    filter: String,
    handed_over: u64,
    consumer_seq: u64,
    pending: u64,
}

/// How the consumer is called where it is shown.
pub struct Names {
    pub stream: String,
    pub filter: String,
    pub headers_only: bool,
}

impl FeedObserver {
    fn send(&mut self, stream_seq: u64, delivered: Delivered) {
        self.handed_over += 1;
        // Only this thread writes them.
        self.position.handed_over.store(self.handed_over, Ordering::Relaxed);
        self.position.stream_seq.store(stream_seq, Ordering::Relaxed);
        self.events.send(Event::Delivered(delivered));
    }
}

impl Observer for FeedObserver {
    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        self.consumer_seq = meta.consumer_seq;
        self.pending = meta.pending;
        self.send(meta.stream_seq, Delivered::Message(PackedMessage::copy(message)));
    }

    /// It has no place in any consumer: what its metadata says of one is what would come next.
    fn stored(&mut self, stored: &StoredMessage) {
        self.consumer_seq += 1;
        self.pending = self.pending.saturating_sub(1);
        let ns = rfc3339::nanoseconds(&stored.time).unwrap_or_default();
        let reply = format!(
            "$JS.ACK.{}.{}.1.{}.{}.{ns}.{}",
            self.stream, self.consumer, stored.seq, self.consumer_seq, self.pending
        );
        let mut message = stored.clone();
        if self.headers_only {
            let size = std::mem::take(&mut message.data).len();
            message.headers.push(("Nats-Msg-Size".to_owned(), size.to_string()));
        }
        let delivered = Delivered::Stored(Box::new(StoredDelivery { message, reply }));
        self.send(stored.seq, delivered);
    }

    fn created(&mut self, info: &Value) {
        let name = info.get("name").and_then(Value::as_str).unwrap_or_default();
        name.clone_into(&mut self.consumer);
        self.consumer_seq = 0;
        let delivered = info.get("delivered").and_then(|delivered| delivered.get("stream_seq"));
        let seq = delivered.and_then(Value::as_u64).unwrap_or_default();
        self.pending = info.get("num_pending").and_then(Value::as_u64).unwrap_or_default();
        self.events.send(Event::Created(format!(
            "Ordered consumer {name} subscribed to {}, stream_seq = {seq}, filter = {}",
            self.stream, self.filter
        )));
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        self.events.send(Event::LastError(kind, text));
    }

    fn state(&mut self, state: ConsumerState) {
        self.events.send(Event::State(state));
    }
}

/// The Tcl thread's part.
pub struct Feed {
    interp_handle: InterpHandle,
    js: Rc<JetStream>,
    delivery: Delivery<Event>,
    on_state: Option<Prefix>,
    stream: String,
    position: Arc<Position>,
    state: Cell<ConsumerState>,
    delivered: Cell<u64>,
    created: Cell<u64>,
    consumer: OnceCell<Rc<OrderedConsumer>>,
    /// The object, until it goes.
    object: RefCell<Option<Rc<ConsumerObject>>>,
    events: RefCell<Option<Receiver<Event>>>,
    state_lane: LanePlace<Event>,
}

impl Feed {
    pub fn new(
        interp: Interp<'_>,
        js: &Rc<JetStream>,
        names: Names,
        delivery: Delivery<Event>,
        on_state: Option<Prefix>,
    ) -> (Rc<Feed>, FeedObserver) {
        let position = Arc::new(Position::default());
        let feed = Rc::new(Feed {
            interp_handle: interp.handle(),
            js: js.clone(),
            delivery,
            on_state,
            stream: names.stream.clone(),
            position: position.clone(),
            state: Cell::new(ConsumerState::Live),
            delivered: Cell::new(0),
            created: Cell::new(0),
            consumer: OnceCell::new(),
            object: RefCell::default(),
            events: RefCell::default(),
            state_lane: LanePlace::new(),
        });
        let weak = Rc::downgrade(&feed);
        let (sender, events) = bridge::channel(interp.handle(), move |event, rest| {
            if let Some(feed) = weak.upgrade() {
                feed.event(event, rest);
            }
        });
        feed.events.replace(Some(events));
        let observer = FeedObserver {
            events: sender,
            position,
            headers_only: names.headers_only,
            stream: names.stream,
            consumer: String::new(),
            filter: names.filter,
            handed_over: 0,
            consumer_seq: 0,
            pending: 0,
        };
        (feed, observer)
    }

    /// Begins to deliver.
    pub fn start(&self, consumer: Rc<OrderedConsumer>, object: Rc<ConsumerObject>) {
        // A feed is started once.
        let _ = self.consumer.set(consumer);
        self.object.replace(Some(object));
        if let Some(events) = self.events.borrow().as_ref() {
            events.start();
        }
    }

    /// The object has gone: nothing is delivered any more.
    pub fn end(&self) {
        let gone = (self.object.take(), self.events.take());
        drop(gone);
    }

    pub fn status(&self) -> Obj {
        let mut dict = Dict::new();
        let delivered = self.delivered.get();
        let handed_over = self.position.handed_over.load(Ordering::Relaxed);
        dict.put("state", &Obj::new(word(self.state.get())));
        dict.put("stream", &Obj::new(&self.stream));
        dict.put("stream_seq", &Obj::uint(self.position.stream_seq.load(Ordering::Relaxed)));
        dict.put("delivered", &Obj::uint(delivered));
        dict.put("buffered", &Obj::uint(handed_over.saturating_sub(delivered)));
        dict.put("resets", &Obj::uint(self.created.get().saturating_sub(1)));
        let object = self.object.borrow().clone();
        dict.put("last_error", &object.map_or_else(Obj::empty, |object| object.shown_error()));
        dict.into()
    }

    fn event(&self, event: Event, rest: &Rest<'_, Event>) {
        let Some(object) = self.object.borrow().clone() else { return };
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        match event {
            Event::Delivered(_) => self.deliver(interp, event, rest),
            Event::Created(text) => {
                self.created.set(self.created.get() + 1);
                self.js.connection.logger.log(Level::Debug, &text);
            }
            Event::LastError(kind, text) => object.last_error(kind, text),
            // Before the program had an object, which it gets when the consumer is live.
            Event::State(ConsumerState::Initial) => {}
            Event::State(state) if state == self.state.replace(state) => {}
            Event::State(state) | Event::Report(state) => self.report(interp, state, rest),
        }
    }

    fn deliver(&self, interp: Interp<'_>, event: Event, rest: &Rest<'_, Event>) {
        let count = self.delivery.deliver(interp, event, rest);
        self.delivered.set(self.delivered.get() + count);
        if let Some(consumer) = self.consumer.get().filter(|_| count > 0) {
            consumer.consumed(count);
        }
    }

    fn report(&self, interp: Interp<'_>, state: ConsumerState, rest: &Rest<'_, Event>) {
        let Some(on_state) = &self.on_state else { return };
        let event = Event::Report(state);
        if rest.admit(interp, &self.state_lane, on_state.words(), event).is_none() {
            return;
        }
        on_state.call(interp, [Obj::new(word(state)), self.status()]);
        rest.delivered(&self.state_lane);
    }
}

fn word(state: ConsumerState) -> &'static str {
    match state {
        ConsumerState::Initial => "initial",
        ConsumerState::Live => "live",
        ConsumerState::Stale => "stale",
        ConsumerState::Resuming => "resuming",
        ConsumerState::Recreated => "recreated",
        ConsumerState::Stopped => "stopped",
    }
}
