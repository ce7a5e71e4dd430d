//! What any thread may ask of a link: publish, subscribe, request, barrier.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_nats::Subject;

use super::event::Event;
use super::failure::Denial;
use super::link_core::LinkCore;
use super::message::{Outgoing, check_line, check_subject, is_word};
use super::outgoing::QueueEntry;
use super::patience::{InboxSink, Patience, Patient};
use super::requests::{
    Again, Question, ReplyHandler, RequestError, RequestId, RequestResult, Resend,
};
use super::source::{Sink, SubId, SubscriptionSource};
use crate::error::{Error, Kind, Result};

impl LinkCore {
    pub fn publish(&self, out: Outgoing) -> Result<()> {
        let refusable = out.refusable;
        self.push_message(out.into_wire(self.max_payload())?, refusable)
    }

    pub fn subscribe(
        self: &Arc<Self>,
        subject: &str,
        queue: Option<&str>,
        limit: Option<u64>,
        sink: Box<dyn Sink>,
    ) -> Result<SubId> {
        check_subject("subject", subject)?;
        if let Some(queue) = queue.filter(|queue| !is_word(queue)) {
            return Err(Error::new(Kind::BadQueueName, format!("Invalid queue {queue}")));
        }
        check_line(subject.len() + queue.map_or(0, str::len))?;
        let id = self.next_sub_id();
        let core = Arc::downgrade(self);
        let on_end = move || {
            if let Some(core) = core.upgrade() {
                core.forget_source(id);
            }
        };
        let queue = queue.map(str::to_owned);
        let source = SubscriptionSource::new(subject.to_owned(), queue, limit, sink, on_end);
        self.add_source(id, source);
        if let Err(error) = self.push(QueueEntry::Subscribe(id)) {
            self.forget_source(id);
            return Err(error);
        }
        Ok(id)
    }

    pub fn unsubscribe(&self, id: SubId, limit: Option<u64>) {
        let Some(source) = self.source(id) else { return };
        let reached = limit.is_none_or(|limit| source.set_limit(limit));
        if reached {
            source.stop();
        }
        // After the end there is nothing to unsubscribe from.
        let _ = self.push(QueueEntry::Unsubscribe(id, limit.filter(|_| !reached)));
        if reached && !self.is_up() {
            self.outgoing.wake_to_sweep();
        }
    }

    pub fn request(
        self: &Arc<Self>,
        out: Outgoing,
        how: How,
        handler: ReplyHandler,
    ) -> Result<RequestId> {
        let How { timeout, stall, again, quiet, patience } = how;
        let refusable = out.refusable;
        let patient = patience
            .map(|patience| Box::new(Patient { out: out.clone(), patience, nobody: false }));
        let mut wire = out.into_wire(self.max_payload())?;
        let subject = wire.subject.clone();
        let question = Question { subject, inbox: None, quiet, timeout, stall, again, patient };
        let id = self.requests.add(question, handler).map_err(|_| Error::no_connection())?;
        wire.reply = Some(self.requests.reply_subject(id));
        // Behind `add`: should the inbox be lost just now, either the request is ended or there is
        // another one.
        let pushed = self.open_inbox().and_then(|()| self.push_message(wire, refusable));
        self.unless_refused(id, pushed)
    }

    fn unless_refused(&self, id: RequestId, pushed: Result<()>) -> Result<RequestId> {
        if let Err(error) = pushed {
            self.requests.cancel(id);
            return Err(error);
        }
        Ok(id)
    }

    /// Sends requests again that the last connection may have left without a reply.
    pub fn resend_requests(&self) {
        for (id, again) in self.requests.to_resend() {
            // What was asked once can be asked again, except after the end.
            let _ = match again {
                Again::Flush => self.push(QueueEntry::Ping(id)),
                Again::Request(out) => self.send_with_reply(id, out),
            };
        }
    }

    /// Sends something whose reply is that to this request.
    pub fn send_with_reply(&self, id: RequestId, out: Outgoing) -> Result<()> {
        let mut wire = out.into_wire(self.max_payload())?;
        wire.reply = Some(self.requests.reply_subject(id));
        self.push(QueueEntry::Publish(wire))
    }

    pub fn publish_while(&self, out: Outgoing, wanted: &Arc<AtomicBool>) -> Result<()> {
        let conditional = (out.into_wire(self.max_payload())?, wanted.clone());
        self.push(QueueEntry::PublishWhile(Box::new(conditional)))
    }

    pub fn supervise(
        &self,
        subject: Subject,
        inbox: Subject,
        timeout: Option<Duration>,
        ended: impl FnOnce(RequestError) + Send + 'static,
    ) -> Result<RequestId> {
        let question = Question { subject, inbox: Some(inbox), timeout, ..Question::nothing() };
        let handler = ReplyHandler::Once(Box::new(move |outcome: RequestResult| {
            if let Err(error) = outcome {
                ended(error);
            }
        }));
        self.requests.add(question, handler).map_err(|_| Error::no_connection())
    }

    /// A round trip: when it is over, the server has seen everything before it.
    pub fn barrier(
        self: &Arc<Self>,
        timeout: Option<Duration>,
        done: impl FnOnce(std::result::Result<(), RequestError>) + Send + 'static,
    ) -> Result<RequestId> {
        self.mark(timeout, ReplyHandler::Barrier(Box::new(done)))
    }

    /// A barrier that also waits until what is queued now has been sent, over whichever connection.
    pub fn flush(
        self: &Arc<Self>,
        timeout: Option<Duration>,
        done: impl FnOnce(std::result::Result<(), RequestError>) + Send + 'static,
    ) -> Result<RequestId> {
        self.mark(timeout, ReplyHandler::Flush(Box::new(done)))
    }

    fn mark(&self, timeout: Option<Duration>, handler: ReplyHandler) -> Result<RequestId> {
        let question = Question { timeout, ..Question::nothing() };
        let id = self.requests.add(question, handler).map_err(|_| Error::no_connection())?;
        let pushed = self.push(QueueEntry::Ping(id));
        self.unless_refused(id, pushed)
    }

    /// The PING of a barrier is on its way.
    pub fn pinged(&self, id: RequestId) {
        if !self.pings.wait(id) {
            self.requests.pass_barrier(id);
        }
    }

    /// A PONG has come.
    pub fn pong(&self) {
        for id in self.pings.answered() {
            self.requests.pass_barrier(id);
        }
    }

    /// The server does not allow something: whoever waits for it hears of it, and the owner of the
    /// link, unless it was a matter of ours. On the runtime thread, in the middle of the engine's
    /// work.
    pub fn denied(&self, denial: &Denial, error: Error) {
        let tell = || self.tell(Event::AsyncError(error.clone()));
        match denial {
            Denial::Subscription(subject) if *subject == self.requests.unused_subject() => {}
            Denial::Subscription(subject) if *subject == self.requests.subject() => {
                tell();
                // The server knows nothing of it any more. Whether it is allowed again will be seen
                // by the next request.
                if let Some(id) = self.forget_inbox() {
                    self.unsubscribe(id, None);
                }
                self.requests.inbox_denied(&error);
            }
            _ => match self.requests.denied(denial) {
                None => tell(),
                Some(denied) => {
                    if !denied.quiet {
                        tell();
                    }
                    denied.end(error);
                }
            },
        }
    }

    /// Subscribes to the inbox, before the first request.
    fn open_inbox(self: &Arc<Self>) -> Result<()> {
        if self.has_inbox() {
            return Ok(());
        }
        self.once_inbox(|| {
            let (requests, core) = (self.requests.clone(), Arc::downgrade(self));
            let sink = Box::new(InboxSink { requests, core });
            let id = self.next_sub_id();
            let source = SubscriptionSource::new(self.requests.subject(), None, None, sink, || ());
            self.add_source(id, source);
            self.push(QueueEntry::Subscribe(id)).map(|()| id)
        })
    }
}

/// How a request is made, apart from what is asked and who gets the reply.
#[derive(Default)]
pub struct How {
    pub timeout: Option<Duration>,
    /// Of a request for several replies: how long it waits for a further one.
    pub stall: Option<Duration>,
    /// Asked over each new connection as long as there is no reply.
    pub again: Option<Resend>,
    /// That it is forbidden is told to nobody but the handler.
    pub quiet: bool,
    pub patience: Option<Patience>,
}
