//! What a watcher, of keys or of objects, has of the consumer that it watches by, once that is being made.

use super::consumer::OrderedConsumer;
use super::object::ConsumerObject;
use crate::bridge::Receiver;
use crate::error::Kind;
use crate::jetstream::context::JetStream;
use crate::tcl::{Interp, InterpHandle, Obj, Result};
use std::cell::OnceCell;
use std::rc::Rc;

struct Parts<E: Send + 'static> {
    consumer: Rc<OrderedConsumer>,
    object: ConsumerObject,
    events: Receiver<E>,
}

pub struct Watching<E: Send + 'static>(OnceCell<Parts<E>>);

impl<E: Send + 'static> Default for Watching<E> {
    fn default() -> Self {
        Watching(OnceCell::new())
    }
}

impl<E: Send + 'static> Watching<E> {
    /// Nothing is delivered before [`Watching::deliver`].
    pub fn begin(
        &self,
        interp: Interp<'_>,
        js: &Rc<JetStream>,
        consumer: OrderedConsumer,
        events: Receiver<E>,
    ) -> Result<()> {
        let consumer = Rc::new(consumer);
        let object = ConsumerObject::of_watcher(interp, js, consumer.clone())?;
        consumer.follow(js);
        // A watcher is started once.
        let _ = self.0.set(Parts { consumer, object, events });
        Ok(())
    }

    pub fn deliver(&self) {
        if let Some(parts) = self.0.get() {
            parts.events.start();
        }
    }

    /// So many messages have come to the program.
    pub fn consumed(&self, count: u64) {
        if let Some(parts) = self.0.get() {
            parts.consumer.consumed(count);
        }
    }

    pub fn last_error(&self, kind: Kind, text: String) {
        if let Some(parts) = self.0.get() {
            parts.object.last_error(kind, text);
        }
    }

    pub fn shown_error(&self) -> Obj {
        self.0.get().map_or_else(Obj::empty, |parts| parts.object.shown_error())
    }

    /// The command of the consumer's object.
    pub fn command(&self, interp: Interp<'_>) -> Obj {
        self.0.get().map_or_else(Obj::empty, |parts| parts.object.command(interp))
    }

    pub fn end(&self, interp_handle: &InterpHandle) {
        let Some(parts) = self.0.get() else { return };
        parts.consumer.stop();
        if let Some(guard) = interp_handle.enter() {
            parts.object.destroy(guard.interp());
        }
    }
}
