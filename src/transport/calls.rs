//! What any thread may ask of a link: publish, subscribe, request, barrier.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Subject;

use super::message::{Outgoing, check_line, check_subject, is_word};
use super::outgoing::Op;
use super::requests::{Again, Handler, MuxSink, RequestError, RequestId};
use super::shared::Shared;
use super::source::{Sink, SubId, SubscriptionSource};
use crate::error::{Error, Kind, Result};

impl Shared {
    pub fn publish(&self, out: Outgoing) -> Result<()> {
        self.push(Op::Publish(out.into_wire()?))
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
        let shared = Arc::downgrade(self);
        let on_end = move || {
            if let Some(shared) = shared.upgrade() {
                shared.forget_tap(id);
            }
        };
        let hidden = sees_inbox(subject, &self.requests.fence_prefix())
            .then(|| self.requests.fence_prefix().into());
        let queue = queue.map(str::to_owned);
        let source =
            SubscriptionSource::new(subject.to_owned(), queue, limit, hidden, sink, on_end);
        self.add_tap(id, source);
        if let Err(error) = self.push(Op::Subscribe(id)) {
            self.forget_tap(id);
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
        let _ = self.push(Op::Unsubscribe(id, limit.filter(|_| !reached)));
        if reached && !self.is_up() {
            self.outgoing.poke();
        }
    }

    pub fn request(
        self: &Arc<Self>,
        out: Outgoing,
        timeout: Option<Duration>,
        again: Option<Again>,
        handler: Handler,
    ) -> Result<RequestId> {
        let mut wire = out.into_wire()?;
        self.open_inbox()?;
        let (id, reply) = self.requests.add(timeout, again, handler).map_err(|_| closed())?;
        wire.reply = Some(reply.into());
        if let Err(error) = self.push(Op::Publish(wire)) {
            self.requests.cancel(id);
            return Err(error);
        }
        Ok(id)
    }

    /// Asks again what the last connection may have left without an answer.
    pub fn ask_again(&self) {
        for (out, reply) in self.requests.questions() {
            // What was asked once can be asked again, except after the end.
            if let Ok(mut wire) = out.into_wire() {
                wire.reply = Some(reply.into());
                let _ = self.push(Op::Publish(wire));
            }
        }
    }

    /// A message to ourselves: when it is back, the server has seen everything before it.
    pub fn barrier(
        self: &Arc<Self>,
        timeout: Option<Duration>,
        done: impl FnOnce(std::result::Result<(), RequestError>) + Send + 'static,
    ) -> Result<RequestId> {
        self.mark(timeout, Handler::Barrier(Box::new(done)))
    }

    /// The same, and what is queued now has been sent before, over whichever connection.
    pub fn flush(
        self: &Arc<Self>,
        timeout: Option<Duration>,
        done: impl FnOnce(std::result::Result<(), RequestError>) + Send + 'static,
    ) -> Result<RequestId> {
        self.mark(timeout, Handler::Flush(Box::new(done)))
    }

    fn mark(self: &Arc<Self>, timeout: Option<Duration>, handler: Handler) -> Result<RequestId> {
        self.open_inbox()?;
        let (id, inbox) = self.requests.add(timeout, None, handler).map_err(|_| closed())?;
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
            let sink = Box::new(MuxSink(self.requests.clone()));
            let id = self.next_sub_id();
            let source =
                SubscriptionSource::new(self.requests.subject(), None, None, None, sink, || ());
            self.add_tap(id, source);
            self.push(Op::Subscribe(id))
        })
    }
}

fn closed() -> Error {
    Error::new(Kind::ConnectionClosed, "No connection to NATS server")
}

/// Whether messages to the inbox may match this subject: what the two begin with decides.
fn sees_inbox(subject: &str, inbox: &str) -> bool {
    let (first, own) = (subject.split('.').next(), inbox.split('.').next());
    matches!(first, Some(">" | "*")) || first == own
}
