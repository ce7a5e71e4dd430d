//! The machine's actions become subscriptions, requests, timers and reports.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::deliver::PullEvent;
use super::driver::{Driver, Inbox, SharedDriver, input};
use super::machine::Action;
use super::{Report, State};
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::{Api, Op};
use crate::jetstream::stored::StoredMessage;
use crate::lock::lock;
use crate::transport::{How, Outgoing, RequestError, RequestId, Subject};

/// How long the server has to end requests; the machine does not wait longer.
pub(super) const RETIREMENT: Duration = Duration::from_secs(5);
/// How long the answer to a question may take, once the consumer is there: a server without a leader
/// says nothing, and will soon have one.
const PATIENCE: Duration = Duration::from_secs(2);
/// A buffered message is kept alive when this part of the time to acknowledge it has gone.
const PART: u32 = 3;

impl Driver {
    pub(super) fn perform(&mut self, actions: &mut Vec<Action>) {
        self.publish_asked();
        for action in actions.drain(..) {
            match action {
                Action::Subscribe { incarnation, inbox } => self.subscribe(incarnation, inbox),
                Action::Retire { token } => self.retire(token),
                Action::Pull { id, body } => self.pull(id, body),
                Action::AskConsumer { token } => self.ask_consumer(token),
                Action::AskMessage { token, seq, filter } => self.ask_message(token, seq, &filter),
                Action::Look => self.look(),
                Action::Found { count } => self.deliver_found(count),
                Action::AckWait(limit) => {
                    self.signals.set_acknowledges(limit.is_some());
                    self.keep_alive = limit.filter(|_| self.signals.keep_alive).map(|t| t / PART);
                    self.signals.wake.notify_one();
                }
                Action::Created => self.finish(Ok(())),
                Action::Failed(error) => self.finish(Err(error)),
                Action::Report(report) => self.report(report),
                Action::Ended(report) => {
                    self.remember(&report);
                    self.buffer.end(report);
                    self.signals.wake.notify_one();
                }
                Action::SetTimer(at) => {
                    self.timer = Some(at);
                    self.signals.wake.notify_one();
                }
            }
        }
        self.publish_state();
    }

    /// The outcome of the creation; others are no news.
    fn finish(&mut self, outcome: Result<()>) {
        if let Some(done) = self.done.take() {
            done(outcome);
        }
    }

    pub(super) fn report(&mut self, report: Report) {
        self.remember(&report);
        self.events.send(PullEvent::Report(report));
    }

    fn remember(&self, report: &Report) {
        if report.error.is_some() || report.state == State::Warning {
            lock(&self.signals.public).last_error = Some(report.clone());
        }
    }

    fn publish_state(&self) {
        let mut public = lock(&self.signals.public);
        public.state = Some(self.machine.state());
        (public.pulls, public.resets) = self.machine.counts();
    }

    fn subscribe(&mut self, incarnation: u64, inbox: String) {
        let Some(driver) = self.me.upgrade() else { return };
        self.end_supervision();
        let subject = self.next_subject();
        let inboxes = format!("{inbox}.*");
        let me = self.me.clone();
        let ended = move |why| {
            if let (RequestError::Denied(error), Some(driver)) = (why, me.upgrade()) {
                input(&driver, |machine, now, out| machine.forbidden(&error, now, out));
            }
        };
        // These fail only when the link is closed, and the end of the task follows.
        self.supervision = self.api.link.supervise(subject, &inboxes, None, ended).ok();
        let sink = Box::new(Inbox { driver, incarnation, prefix: format!("{inbox}.") });
        let subscribed = self.api.link.subscribe(&inboxes, None, None, sink);
        *lock(&self.signals.subscription) = subscribed.ok();
        self.inbox = inbox;
    }

    /// Where requests go.
    fn next_subject(&self) -> String {
        let op =
            Op::MessageNext { stream: self.machine.stream(), consumer: self.machine.consumer() };
        op.subject(&self.api.prefix)
    }

    fn end_supervision(&mut self) {
        if let Some(id) = self.supervision.take() {
            self.api.link.cancel(id);
        }
    }

    fn retire(&mut self, token: u64) {
        self.end_supervision();
        let me = self.me.clone();
        let over = move || {
            if let Some(driver) = me.upgrade() {
                input(&driver, |machine, now, out| machine.retired(token, now, out));
            }
        };
        // The handle may have ended it already; that is over with the same round trip.
        let id = lock(&self.signals.subscription).take();
        // As above.
        let _ = self.api.link.drain(id.into_iter().collect(), Some(RETIREMENT), over);
    }

    fn pull(&mut self, id: u64, body: String) {
        let subject = self.next_subject();
        self.api.trace_request(&subject, body.as_bytes());
        let reply = Some(Subject::from(format!("{}.{id}", self.inbox)));
        // Not sent means closed.
        let _ = self.api.link.publish(Outgoing { reply, ..Outgoing::new(subject, body) });
    }

    /// Asks the API; the answer goes to `take` unless the driver has gone.
    fn ask(
        &mut self,
        op: Op<'_>,
        body: String,
        timeout: Option<Duration>,
        take: impl FnOnce(&SharedDriver, Result<Value>) + Send + 'static,
    ) -> Result<RequestId> {
        let me = self.me.clone();
        let how = How { timeout, quiet: true, ..How::default() };
        self.api.request_as(op, body, how, move |answer| {
            if let Some(driver) = me.upgrade() {
                take(&driver, answer);
            }
        })
    }

    fn ask_consumer(&mut self, token: u64) {
        let limit = self.machine.timeout();
        let timeout = match self.done {
            Some(_) => limit,
            None => Some(limit.map_or(PATIENCE, |limit| limit.min(PATIENCE))),
        };
        let (stream, consumer) =
            (self.machine.stream().to_owned(), self.machine.consumer().to_owned());
        let op = Op::ConsumerInfo { stream: &stream, consumer: &consumer };
        let asked = self.ask(op, String::new(), timeout, move |driver, answer| {
            input(driver, |machine, now, out| {
                machine.consumer_info(token, answer.as_ref(), now, out);
            });
        });
        if let Err(error) = &asked {
            self.not_asked(token, error.clone());
        }
        if let Some(old) = std::mem::replace(&mut self.question, asked.ok()) {
            self.api.link.cancel(old);
        }
    }

    /// The question could not even be sent, by names that no protocol line has room for. That is the
    /// answer, but not in the middle of what is being done.
    fn not_asked(&self, token: u64, error: Error) {
        let me = self.me.clone();
        self.api.link.spawn(async move {
            if let Some(driver) = me.upgrade() {
                input(&driver, |machine, now, out| {
                    machine.consumer_info(token, Err(&error), now, out);
                });
            }
        });
    }

    fn ask_message(&mut self, token: u64, seq: u64, filter: &str) {
        let stream = self.machine.stream().to_owned();
        let body = json!({"seq": seq, "next_by_subj": filter}).to_string();
        let length = ack_subject_length(&stream, self.machine.consumer());
        // Only to say how large it is.
        let _ = self.ask(Op::MessageGet(&stream), body, Some(PATIENCE), move |driver, answer| {
            let stored = answer.and_then(|reply| StoredMessage::from_reply(&reply));
            let message = stored.ok().map(|stored| (stored.seq, stored.size() as u64 + length));
            input(driver, |machine, now, out| machine.next_message(token, message, now, out));
        });
    }

    /// The link it had is closed, and has ended all that was under way.
    pub(super) fn use_api(&mut self, api: Api) {
        self.api = api;
        *lock(&self.signals.subscription) = None;
        self.question = None;
        self.supervision = None;
    }

    /// Nobody waits any more.
    pub(super) fn let_go(&mut self) {
        if let Some(id) = lock(&self.signals.subscription).take() {
            self.api.link.unsubscribe(id, None);
        }
        self.end_supervision();
        if let Some(id) = self.question.take() {
            self.api.link.cancel(id);
        }
        self.search.end();
        let closed = Error::new(Kind::ConnectionClosed, "Connection closed");
        self.finish(Err(closed));
    }
}

/// About how long the reply subject of a message is: the server counts it, too.
fn ack_subject_length(stream: &str, consumer: &str) -> u64 {
    let text = format!("$JS.ACK.{stream}.{consumer}.1.1000.1000.1700000000000000000.0");
    text.len() as u64
}

/// When messages that wait are looked at next.
pub(super) fn next_look(keep_alive: Option<Duration>, now: Instant) -> Option<Instant> {
    keep_alive.map(|age| now + age / 4)
}
