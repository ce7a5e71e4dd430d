//! What any thread may ask of a link: publish, subscribe, request, barrier.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Subject;

use super::link_core::LinkCore;
use super::message::{Outgoing, check_line, check_subject, is_word};
use super::outgoing::QueueEntry;
use super::requests::{InboxSink, ReplyHandler, RequestError, RequestId, Resend};
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
        let hidden = sees_inbox(subject, &self.requests.barrier_prefix())
            .then(|| self.requests.barrier_prefix().into());
        let queue = queue.map(str::to_owned);
        let source =
            SubscriptionSource::new(subject.to_owned(), queue, limit, hidden, sink, on_end);
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
        timeout: Option<Duration>,
        again: Option<Resend>,
        handler: ReplyHandler,
    ) -> Result<RequestId> {
        let refusable = out.refusable;
        let mut wire = out.into_wire(self.max_payload())?;
        self.open_inbox()?;
        let (id, reply) =
            self.requests.add(timeout, again, handler).map_err(|_| Error::no_connection())?;
        wire.reply = Some(reply.into());
        if let Err(error) = self.push_message(wire, refusable) {
            self.requests.cancel(id);
            return Err(error);
        }
        Ok(id)
    }

    /// Sends requests again that the last connection may have left without a reply.
    pub fn resend_requests(&self) {
        for (out, reply) in self.requests.to_resend() {
            // What was asked once can be asked again, except after the end.
            if let Ok(mut wire) = out.into_wire(self.max_payload()) {
                wire.reply = Some(reply.into());
                let _ = self.push(QueueEntry::Publish(wire));
            }
        }
    }

    /// A message to ourselves: when it is back, the server has seen everything before it.
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

    fn mark(
        self: &Arc<Self>,
        timeout: Option<Duration>,
        handler: ReplyHandler,
    ) -> Result<RequestId> {
        self.open_inbox()?;
        let (id, inbox) =
            self.requests.add(timeout, None, handler).map_err(|_| Error::no_connection())?;
        let inbox = Subject::from(inbox);
        let out = Outgoing { reply: Some(inbox.clone()), ..Outgoing::new(inbox, "") };
        if let Err(error) = self.publish(out) {
            self.requests.cancel(id);
            return Err(error);
        }
        Ok(id)
    }

    /// Subscribes to the inbox, before the first request.
    fn open_inbox(self: &Arc<Self>) -> Result<()> {
        if self.has_inbox() {
            return Ok(());
        }
        self.once_inbox(|| {
            let sink = Box::new(InboxSink(self.requests.clone()));
            let id = self.next_sub_id();
            let source =
                SubscriptionSource::new(self.requests.subject(), None, None, None, sink, || ());
            self.add_source(id, source);
            self.push(QueueEntry::Subscribe(id))
        })
    }
}

/// Whether messages to the inbox may match this subject: what the two begin with decides.
fn sees_inbox(subject: &str, inbox: &str) -> bool {
    let (first, own) = (subject.split('.').next(), inbox.split('.').next());
    matches!(first, Some(">" | "*")) || first == own
}
