//! What becomes of the machine's actions.

use super::action::{Action, Event, Kind, Reason};
use super::driver::{Driver, Unsent, lost};
use super::observer::KeyObserver;
use super::seen::{Seen, WRITER};
use crate::bridge::Promise;
use crate::bucket::names::not_found;
use crate::error::{Kind as ErrorKind, Result};
use crate::jetstream::api::{reply, request_error};
use crate::jetstream::ordered::consumer::OrderedConsumer;
use crate::jetstream::stored::StoredMessage;
use crate::keyvalue::lifetime;
use crate::keyvalue::store::{expecting, gone, purging};
use crate::lock::lock;
use crate::transport::{Headers, How, Outgoing, Patience, RequestResult};
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;

impl Driver {
    /// Does it.
    pub(super) fn perform(&mut self, action: Action) -> Option<Unsent> {
        match action {
            Action::Write { number, expected } => {
                let mut headers = expecting(expected, Headers::new());
                // No earlier value may come back to life when this one expires.
                lifetime::roll_up(&mut headers);
                headers.set(WRITER, self.wanted.identity.of_write(number));
                self.write(number, headers, self.wanted.out.payload.clone())
            }
            Action::Delete { number, expected } => {
                // The deletion goes by itself, too: names of locks leave nothing behind.
                self.write(number, expecting(expected, purging()), Bytes::new())
            }
            Action::Look { number } => {
                self.look(number).err().map(|error| Unsent::Look(number, error))
            }
            Action::Watch { number } => {
                self.watch(number);
                None
            }
            Action::Unwatch => {
                self.consumer = None;
                None
            }
            Action::Tell(event) => {
                self.tell(event);
                None
            }
        }
    }

    fn write(&mut self, number: u64, mut headers: Headers, payload: Bytes) -> Option<Unsent> {
        self.wanted.lifetime.add_to(&mut headers);
        let subject = self.wanted.out.subject.clone();
        // Not refused for lack of room: there is no more than one of them at a time.
        let out = Outgoing { subject, reply: None, headers, payload, refusable: false };
        let (me, abilities) = (self.me.clone(), self.wanted.store.abilities.clone());
        let sent = self.wanted.store.write(out, move |outcome| {
            let outcome = outcome.map_err(|error| abilities.explain(error));
            if let Some(driver) = me.upgrade() {
                let mut driver = lock(&driver);
                driver.note(&outcome);
                driver.input(|machine, now, out| machine.written(number, outcome, now, out));
            }
        });
        sent.err().map(|error| Unsent::Write(number, error))
    }

    /// Asks the leader of the stream that is written, whose answer tells who has written, too.
    fn look(&self, number: u64) -> Result<()> {
        let (store, me) = (&self.wanted.store, self.me.clone());
        let bucket = store.bucket.clone();
        let subject = format!("{}.{}", bucket.written, self.wanted.key);
        let question =
            Outgoing::new(bucket.write_get.clone(), json!({"last_by_subj": subject}).to_string());
        let patience = Patience::Asking {
            question: bucket.write_info.clone(),
            judge: Arc::new({
                let bucket = bucket.clone();
                move |info| gone(&bucket, reply::parse(info))
            }),
            doubts_silence: false,
        };
        let how = How { timeout: store.timeout, patience: Some(patience), ..How::default() };
        let identity = self.wanted.identity.clone();
        store.link.request_as(question, how, move |answer| {
            let read = |answer: RequestResult| -> Result<Seen> {
                let message = match answer {
                    Ok(message) => message,
                    Err(error) => return Err(request_error(&bucket.write_get, error)),
                };
                match reply::parse(message.payload()) {
                    Ok(stored) => {
                        let stored = StoredMessage::from_reply(&stored)?;
                        Ok(Seen::read(&identity, stored.seq, &stored, &stored.data))
                    }
                    Err(error) if error.kind == ErrorKind::MsgNotFound => Ok(Seen::NOTHING),
                    Err(error) if error.kind == ErrorKind::StreamNotFound => {
                        Err(not_found(&bucket.name))
                    }
                    Err(error) => Err(error),
                }
            };
            let seen = read(answer);
            if let Some(driver) = me.upgrade() {
                let mut driver = lock(&driver);
                if let Err(error) = &seen {
                    driver.last_error = Some(error.clone());
                }
                driver.input(|machine, now, out| machine.looked(number, seen, now, out));
            }
        })?;
        Ok(())
    }

    fn watch(&mut self, number: u64) {
        let observer = KeyObserver::new(self, number);
        let (me, bucket) = (self.me.clone(), self.wanted.store.bucket.clone());
        let done = Box::new(move |outcome: Result<()>| {
            let outcome = outcome.map_err(|error| match error.kind {
                ErrorKind::StreamNotFound => not_found(&bucket.name),
                _ => error,
            });
            if let Some(driver) = me.upgrade() {
                lock(&driver).input(|machine, now, out| {
                    machine.watch_started(number, outcome, now, out);
                });
            }
        });
        let (api, config) = (self.wanted.api.clone(), self.wanted.watch.clone());
        self.consumer = Some(OrderedConsumer::start(api, config, Box::new(observer), done));
    }

    fn tell(&mut self, event: Event) {
        let candidate = self.wanted.kind == Kind::Forever;
        match &event {
            Event::Refused(error) => return self.begun(Err(error.clone())),
            Event::Watching => return self.begun(Ok(())),
            Event::Acquired(_) if !candidate => return self.begun(Ok(())),
            Event::Stored(version) => {
                for (_, out, promise) in self.changed(*version) {
                    self.stored = out;
                    promise.complete(Ok(()));
                }
                return;
            }
            Event::Unstored(version, error) => {
                for (_, _, promise) in self.changed(*version) {
                    promise.complete(Err(error.clone()));
                }
                if self.changes.is_empty() {
                    self.wanted.out = self.stored.clone();
                }
                return;
            }
            Event::Released(outcome) => {
                self.forsake();
                for promise in self.releases.drain(..) {
                    promise.complete(outcome.clone());
                }
                return;
            }
            // Follows from what is told next.
            Event::Lost(Reason::Resigned) => {}
            Event::Lost(_) => {
                self.forsake();
                // Too late: its time was over.
                self.releases.drain(..).for_each(|promise| promise.complete(Ok(false)));
            }
            Event::Acquired(_) | Event::Led(_) => {}
        }
        self.events.send(event);
    }

    fn begun(&mut self, outcome: Result<()>) {
        if let Some(done) = self.done.take() {
            done.complete(outcome);
        }
    }

    /// Takes out the changes up to this version.
    fn changed(&mut self, version: u64) -> Vec<(u64, Outgoing, Promise<()>)> {
        let (done, waiting) = self.changes.drain(..).partition(|(waits, ..)| *waits <= version);
        self.changes = waiting;
        done
    }

    /// Nothing more is stored.
    fn forsake(&mut self) {
        self.changes.drain(..).for_each(|(_, _, promise)| promise.complete(Err(lost())));
    }
}
