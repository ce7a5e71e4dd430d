//! The machine's actions become subscriptions, requests, timers and calls to the observer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::create::CreateRequest;
use super::driver::{Attachment, Driver, Inbox, Questions, SharedDriver, input};
use super::machine::Action;
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::Op;
use crate::jetstream::consumer::config::reply;
use crate::jetstream::unreadable::next_message;
use crate::lock::lock;
use crate::transport::{How, Outgoing, RequestError, RequestId, RequestResult};

/// For how long a refusal is of interest.
const ANSWER_REFUSED: Duration = Duration::from_secs(5);

impl Driver {
    pub(super) fn perform(&mut self, mut attachment: Attachment<'_>, actions: &mut Vec<Action>) {
        // What could not even be sent; told to the machine when all else has been done.
        let mut failed: Option<(u64, Error)> = None;
        let mut count = false;
        for action in actions.drain(..) {
            match action {
                Action::Deliver => {
                    if let Attachment::Message(message, meta) = &attachment {
                        self.observer.entry(message, meta);
                    }
                }
                Action::Repeated => self.observer.heard(),
                Action::DeliverStored => {
                    if let Attachment::Stored(stored) = &attachment {
                        self.observer.stored(stored);
                    }
                }
                Action::EndOfData => self.observer.end_of_data(),
                Action::State(state) => self.observer.state(state),
                Action::LastError(kind, text) => {
                    self.publish_name();
                    self.observer.last_error(kind, text);
                }
                Action::Created => self.created(attachment.take()),
                Action::Failed(error) => self.finish(Err(error)),
                Action::RollCalled => self.roll_called(attachment.take()),
                Action::SetTimer(at) => self.set_timer(at),
                Action::Publish { incarnation, subject } => self.answer(incarnation, subject),
                Action::Count => count = true,
                Action::Subscribe { incarnation, inbox } => {
                    let subscribed = self.subscribe(incarnation, &inbox);
                    failed = subscribed.err().map(|error| (incarnation, error)).or(failed);
                }
                Action::Unsubscribe => self.unsubscribe(),
                Action::Discard { consumer } => self.discard(&consumer),
                Action::Create { incarnation, request, timeout } => {
                    let sent = self.create(incarnation, request, timeout);
                    failed = sent.err().map(|error| (incarnation, error)).or(failed);
                }
                Action::AskCreated { incarnation, consumer, timeout } => {
                    self.ask_created(incarnation, &consumer, timeout);
                }
                Action::AskConsumer { token, consumer } => self.ask_consumer(token, &consumer),
                Action::AskStream { token, timeout } => self.ask_stream(token, timeout),
                Action::AskMessage { token, seq, filters } => self.ask_message(token, seq, filters),
                Action::CallRoll { token, filters, report } => {
                    self.call_roll(token, filters, report);
                }
            }
        }
        if self.machine.is_stopped() {
            // For the task to end.
            self.signals.wake.notify_one();
        }
        if count {
            self.settle_credit();
        }
        if let Some((incarnation, error)) = failed {
            self.machine.create_failed(incarnation, error, Instant::now(), actions);
            self.perform(Attachment::Nothing, actions);
        }
    }

    // ------------------------------------------------------------------- reports to the observer

    fn created(&mut self, attachment: Attachment<'_>) {
        let Attachment::Info(mut info) = attachment else { return };
        reply::TABLE.show(&mut info);
        let info = Arc::new(info);
        lock(&self.signals.public).info = Some(info.clone());
        self.publish_name();
        self.observer.created(&info);
        self.finish(Ok(()));
    }

    /// The outcome of the first creation; the others are no news.
    fn finish(&mut self, outcome: Result<()>) {
        if let Some(done) = self.done.take() {
            done(outcome);
        }
    }

    fn roll_called(&mut self, attachment: Attachment<'_>) {
        if let Attachment::Present(roll) = attachment {
            self.observer.roll_call(roll);
        }
    }

    fn publish_name(&self) {
        let name = self.machine.name();
        let mut public = lock(&self.signals.public);
        name.clone_into(&mut public.name);
        if !name.is_empty() {
            public.consumer = Some(name.to_owned());
        }
    }

    // ------------------------------------------------------------------- the consumer's deliveries

    fn set_timer(&mut self, at: Instant) {
        self.timer = Some(at);
        self.signals.wake.notify_one();
    }

    fn subscribe(&mut self, incarnation: u64, inbox: &str) -> Result<()> {
        let Some(driver) = self.me.upgrade() else { return Ok(()) };
        let sink = Box::new(Inbox { driver, incarnation });
        self.subscription = Some(self.api.link.subscribe(inbox, None, None, sink)?);
        Ok(())
    }

    /// Answers a flow control request. There is no reply, so that it was in vain can be known only
    /// from a server that does not allow it, or finds nobody who listens.
    fn answer(&mut self, incarnation: u64, subject: String) {
        let me = self.me.clone();
        let how = How { timeout: Some(ANSWER_REFUSED), quiet: true, ..How::default() };
        let done = move |reply: RequestResult| {
            let reason = match reply {
                Err(RequestError::Denied(_)) => Kind::Permissions,
                Err(RequestError::NoResponders(_)) => Kind::NoResponders,
                _ => return,
            };
            if let Some(driver) = me.upgrade() {
                input(&driver, Attachment::Nothing, |machine, now, out| {
                    machine.answer_refused(incarnation, reason, now, out);
                });
            }
        };
        // Fails only when the link is closed, and then nobody waits for it.
        let _ = self.api.link.request_as(Outgoing::new(subject, ""), how, done);
    }

    fn unsubscribe(&mut self) {
        self.kept_back.clear();
        if let Some(id) = self.subscription.take() {
            self.api.link.unsubscribe(id, None);
        }
        self.publish_name();
    }

    // ------------------------------------------------------------------- questions to the server

    /// Asks the API; the answer goes to `take` unless the driver has gone. Not sent means closed,
    /// and the end of the task follows.
    fn ask(
        &self,
        op: Op<'_>,
        body: impl Into<Vec<u8>>,
        timeout: Option<Duration>,
        take: impl FnOnce(&SharedDriver, Result<Value>) + Send + 'static,
    ) -> Result<RequestId> {
        let me = self.me.clone();
        // What the user may not ask, the consumer does without.
        let how = How { timeout, quiet: true, ..How::default() };
        self.api.request_as(op, body, how, move |answer| {
            if let Some(driver) = me.upgrade() {
                take(&driver, answer);
            }
        })
    }

    /// Remembers a question in the place of an earlier one, whose answer is not wanted any more.
    fn asked(
        &mut self,
        kind: impl FnOnce(&mut Questions) -> &mut Option<RequestId>,
        id: Option<RequestId>,
    ) {
        if let Some(old) = std::mem::replace(kind(&mut self.questions), id) {
            self.api.link.cancel(old);
        }
    }

    fn create(
        &mut self,
        incarnation: u64,
        request: CreateRequest,
        timeout: Option<Duration>,
    ) -> Result<()> {
        let (name, filter) = (request.name.as_deref(), request.filter.as_deref());
        lock(&self.signals.public).consumer = name.map(str::to_owned);
        let op = Op::ConsumerCreate { stream: self.machine.stream(), name, filter };
        let me = self.me.clone();
        let discard = self.api.discard_later(self.machine.stream());
        // Not cancelled when another one follows: what was made then has to be deleted.
        // Who may not ask by a name may perhaps ask without.
        let how = How { timeout, quiet: name.is_some(), ..How::default() };
        let asked = self.api.request_as(op, request.body, how, move |answer| {
            let driver = me.upgrade().filter(|driver| lock(driver).is_creating(incarnation));
            match (driver, answer) {
                (Some(driver), answer) => create_answer(&driver, incarnation, answer),
                // Too late for anybody to use it.
                (None, Ok(info)) => {
                    if let Some(name) = info.get("name").and_then(Value::as_str) {
                        discard(name);
                    }
                }
                (None, Err(_)) => {}
            }
        });
        let asked = asked?;
        self.asked(|questions| &mut questions.created, None);
        self.questions.unlimited = timeout.is_none().then_some(asked);
        Ok(())
    }

    /// Deletes a consumer, unless the handle was faster.
    fn discard(&mut self, consumer: &str) {
        let mut public = lock(&self.signals.public);
        if public.discarded.as_deref() == Some(consumer) {
            return;
        }
        public.consumer.take_if(|present| present == consumer);
        drop(public);
        self.api.discard_consumer(&self.api.link, self.machine.stream(), consumer);
    }

    fn ask_created(&mut self, incarnation: u64, consumer: &str, timeout: Duration) {
        let op = Op::ConsumerInfo { stream: self.machine.stream(), consumer };
        let asked = self.ask(op, String::new(), Some(timeout), move |driver, answer| {
            create_answer(driver, incarnation, answer);
        });
        self.asked(|questions| &mut questions.created, asked.ok());
    }

    fn ask_consumer(&mut self, token: u64, consumer: &str) {
        let op = Op::ConsumerInfo { stream: self.machine.stream(), consumer };
        let asked = self.ask(op, String::new(), self.api.timeout, move |driver, answer| {
            input(driver, Attachment::Nothing, |machine, now, out| {
                machine.consumer_info(token, answer.as_ref(), now, out);
            });
        });
        self.asked(|questions| &mut questions.consumer, asked.ok());
    }

    fn ask_stream(&mut self, token: u64, timeout: Duration) {
        let op = Op::StreamInfo(self.machine.stream());
        let asked = self.ask(op, String::new(), Some(timeout), move |driver, answer| {
            input(driver, Attachment::Nothing, |machine, now, out| {
                machine.stream_info(token, answer.as_ref(), now, out);
            });
        });
        self.asked(|questions| &mut questions.stream, asked.ok());
    }

    fn ask_message(&mut self, token: u64, seq: u64, filters: Vec<String>) {
        let (me, api, stream) =
            (self.me.clone(), self.api.clone(), self.machine.stream().to_owned());
        let asked = self.api.link.spawn(async move {
            let heard = || {
                if let Some(driver) = me.upgrade() {
                    lock(&driver).observer.heard();
                }
            };
            let stored = next_message(&api, &stream, seq, filters, heard).await;
            if let Some(driver) = me.upgrade() {
                let attachment = stored.as_ref().map_or(Attachment::Nothing, Attachment::Stored);
                let mut driver = lock(&driver);
                driver.input(attachment, |machine, now, out| {
                    machine.next_message(token, stored.as_ref(), now, out);
                });
                driver.release();
            }
        });
        if let Some(old) = self.questions.message.replace(asked) {
            old.abort();
        }
    }

    fn call_roll(&mut self, token: u64, filters: Vec<String>, report: bool) {
        if report {
            self.observer.roll_call_begins();
        }
        let (me, mut api) = (self.me.clone(), self.api.clone());
        // Somebody who waits for the answer should not have given up when it is known that none comes.
        api.timeout = api.timeout.map(|timeout| timeout * 3 / 4);
        let (link, stream) = (api.link.clone(), self.machine.stream().to_owned());
        if let Some(task) = self.questions.subjects.take() {
            task.abort();
        }
        self.questions.subjects = Some(link.spawn(async move {
            let page = || {
                if let Some(driver) = me.upgrade() {
                    lock(&driver).observer.heard();
                }
            };
            let answer = api.roll(&stream, &filters, page).await.map(Arc::new);
            if let Some(driver) = me.upgrade() {
                let attachment = answer
                    .as_ref()
                    .map_or(Attachment::Nothing, |roll| Attachment::Present(roll.clone()));
                lock(&driver).observer.heard();
                input(&driver, attachment, |machine, now, out| {
                    machine.roll_called(token, answer.as_deref(), now, out);
                });
            }
        }));
    }
}

fn create_answer(driver: &SharedDriver, incarnation: u64, answer: Result<Value>) {
    match answer {
        Ok(info) => lock(driver).create_reply(incarnation, info),
        Err(error) => input(driver, Attachment::Nothing, |machine, now, out| {
            machine.create_failed(incarnation, error, now, out);
        }),
    }
}
