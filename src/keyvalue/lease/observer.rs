//! What the watch of a key tells its driver, on the runtime thread.

use super::driver::Driver;
use super::seen::{Identity, Seen};
use crate::bucket::names::not_found;
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::ConsumerState;
use crate::jetstream::ordered::consumer::Observer;
use crate::jetstream::roll::Roll;
use crate::jetstream::stored::StoredMessage;
use crate::lock::lock;
use crate::transport::Message;
use std::sync::{Arc, Mutex, Weak};

pub struct KeyObserver {
    driver: Weak<Mutex<Driver>>,
    /// That of the watch.
    number: u64,
    identity: Identity,
    /// What the key is read from.
    subject: String,
    bucket: String,
    error: Option<Error>,
}

impl KeyObserver {
    pub fn new(driver: &Driver, number: u64) -> KeyObserver {
        let bucket = &driver.wanted.store.bucket;
        KeyObserver {
            driver: driver.me.clone(),
            number,
            identity: driver.wanted.identity.clone(),
            subject: bucket.read_subject(&driver.wanted.key),
            bucket: bucket.name.clone(),
            error: None,
        }
    }

    /// Unless the driver has another watch by now, or none.
    fn with(&self, body: impl FnOnce(&mut Driver)) {
        let Some(driver) = self.driver.upgrade() else { return };
        let mut driver = lock(&driver);
        if driver.machine.is_watch(self.number) {
            body(&mut driver);
        }
    }

    fn seen(&self, seen: &Seen) {
        self.with(|driver| {
            if let Some(consumer) = &driver.consumer {
                consumer.consumed(1);
            }
            driver.input(|machine, now, out| machine.seen(seen, now, out));
        });
    }
}

impl Observer for KeyObserver {
    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        self.seen(&Seen::read(&self.identity, meta.stream_seq, message, message.payload()));
    }

    fn stored(&mut self, stored: &StoredMessage) {
        self.seen(&Seen::read(&self.identity, stored.seq, stored, &stored.data));
    }

    fn end_of_data(&mut self) {
        self.with(|driver| driver.input(|machine, now, out| machine.end_of_data(now, out)));
    }

    fn roll_call(&mut self, roll: Arc<Roll>) {
        if !roll.has(&self.subject) {
            let last = roll.last_seq;
            self.with(|driver| driver.input(|machine, now, out| machine.vanished(last, now, out)));
        }
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        self.error = Some(match kind {
            Kind::StreamNotFound => not_found(&self.bucket),
            Kind::ConnectionClosed => Error::connection_closed(),
            _ => Error::new(kind, text),
        });
    }

    fn state(&mut self, state: ConsumerState) {
        match state {
            ConsumerState::Recreated => self.with(|driver| driver.machine.recreated()),
            ConsumerState::Stopped => {
                let error = self.error.clone().unwrap_or_else(Error::connection_closed);
                let number = self.number;
                self.with(|driver| {
                    driver.input(|machine, now, out| machine.watch_ended(number, error, now, out));
                });
            }
            _ => {}
        }
    }
}
