//! A link: one connection to NATS, on a thread that it shares with others, usable from every thread.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::Subject;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

use super::engine;
use super::event::{ConnState, EventSink};
use super::inbox::new_inbox;
use super::link_core::{LinkCore, Traffic};
use super::message::Outgoing;
use super::operations::How;
use super::outgoing::QueueEntry;
use super::reconnect::Reconnector;
use super::requests::{ReplyHandler, RequestError, RequestId, RequestResult};
use super::server::ServerEntry;
use super::settings::Settings;
use super::source::{Sink, SubId};
use super::tls::Tls;
use crate::error::{Error, Kind, Result};
use crate::lock::lock;
use crate::runtime::{self, Process};
use crate::threads::Place;

/// What a close may take beyond its flush, before it is left to end by itself.
const END_GRACE: Duration = Duration::from_secs(1);

/// One connection. Clones are handles to the same one; the last one to go closes it.
///
/// No call waits for the network, except [`Link::close`]. What is published before there is a
/// connection, or while it is lost, is kept and sent later.
#[derive(Clone)]
pub struct Link(Arc<OpenLink>);

/// A handle that does not keep its link open.
#[derive(Clone)]
pub struct WeakLink(Weak<OpenLink>);

impl WeakLink {
    /// Whether it is a handle to this one.
    pub fn is_of(&self, link: &Link) -> bool {
        Weak::as_ptr(&self.0) == Arc::as_ptr(&link.0)
    }

    /// The link, while somebody else has it.
    pub fn upgrade(&self) -> Option<Link> {
        self.0.upgrade().map(Link)
    }
}

/// What [`Link::spawn`] has started. It goes on when this is dropped.
#[derive(Debug)]
pub struct Task(Option<AbortHandle>);

impl Task {
    /// Drops the future on the runtime thread, soon, wherever it waits: requests that it has sent
    /// with [`Link::ask`] are cancelled by that. One that is done is left alone.
    pub fn abort(&self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// What all handles of a link have; it closes the link when the last of them goes.
struct OpenLink {
    core: Arc<LinkCore>,
    place: Place,
    close: watch::Sender<Option<Duration>>,
}

impl Link {
    /// Starts to connect and returns at once. Events go to `events`; the last one is
    /// [`Event::GaveUp`](super::Event::GaveUp), unless the link is closed.
    ///
    /// # Errors
    /// `ErrInternal`, if the system has no thread or no file descriptor left.
    pub fn open(settings: Settings, events: Arc<dyn EventSink>) -> Result<Link> {
        let inbox = new_inbox(&settings.inbox_prefix);
        let core = Arc::new(LinkCore::new(settings, events, &inbox));
        let live = core.clone();
        let live = move || live.setting(|s| (s.tls.clone(), s.tls_callback.clone()));
        let (tls, config) = Tls::new(live)?;
        let reconnector = Arc::new(Reconnector::new(core.clone(), tls));
        let (close, closing) = watch::channel(None);
        let main = engine::live(core.clone(), reconnector, config, closing);
        let place = Place::start(&core.tasks, main).map_err(|e| {
            Error::new(Kind::Internal, format!("No thread for the connection: {e}"))
        })?;
        let open = Arc::new(OpenLink { core, place, close });
        let weak: Weak<OpenLink> = Arc::downgrade(&open);
        runtime::register(weak);
        Ok(Link(open))
    }

    pub fn downgrade(&self) -> WeakLink {
        WeakLink(Arc::downgrade(&self.0))
    }

    /// Changes settings; see [`Settings`] for those that have an effect.
    pub fn update(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = lock(&self.0.core.settings);
        change(&mut settings);
        let room = settings.room;
        drop(settings);
        self.0.core.outgoing.set_room(room);
    }

    /// Queues a message.
    ///
    /// # Errors
    /// `ErrBadSubject`, `ErrInvalidArg` for text that would break the protocol;
    /// `ErrOutboundFull` if it may be refused and too much waits;
    /// `ErrConnectionClosed` after the end of the link.
    pub fn publish(&self, out: Outgoing) -> Result<()> {
        self.0.core.publish(out)
    }

    /// [`Link::publish`] of what is not to be sent any more as soon as `wanted` is false.
    ///
    /// # Errors
    /// As [`Link::publish`].
    pub fn publish_while(&self, out: Outgoing, wanted: &Arc<AtomicBool>) -> Result<()> {
        self.0.core.publish_while(out, wanted)
    }

    /// For a request that is published, and whose replies come to a subscription of its own: hears,
    /// once, that its time is over, that the server does not allow the subject or the inbox, or how
    /// the link ended; until [`Link::cancel`]. To be called before both.
    ///
    /// # Errors
    /// `ErrConnectionClosed` after the end of the link.
    pub fn supervise(
        &self,
        subject: impl Into<Subject>,
        inbox: &str,
        timeout: Option<Duration>,
        ended: impl FnOnce(RequestError) + Send + 'static,
    ) -> Result<RequestId> {
        self.0.core.supervise(subject.into(), inbox.into(), timeout, ended)
    }

    /// Subscribes; with `max`, for so many messages. The sink runs on the runtime thread and sees
    /// messages in the order of arrival, also across subscriptions.
    ///
    /// # Errors
    /// `ErrBadSubject`, `ErrBadQueueName`, `ErrConnectionClosed`; the sink is then dropped.
    pub fn subscribe(
        &self,
        subject: &str,
        queue: Option<&str>,
        max: Option<u64>,
        sink: Box<dyn Sink>,
    ) -> Result<SubId> {
        self.0.core.subscribe(subject, queue, max, sink)
    }

    /// Ends a subscription: at once, or after `max` messages since it was made. Unknown and ended
    /// ones are ignored.
    pub fn unsubscribe(&self, id: SubId, max: Option<u64>) {
        self.0.core.unsubscribe(id, max);
    }

    /// Whether a message could be sent, as far as that is known before it is tried.
    ///
    /// # Errors
    /// `ErrMaxPayload`, `ErrBadSubject`.
    pub fn check(&self, out: &Outgoing) -> Result<()> {
        out.check(self.0.core.max_payload())
    }

    /// Sends a request; `done` is called once on the runtime thread, unless the request is
    /// cancelled. The publish is queued when this returns. A reply subject of `out` is replaced.
    ///
    /// # Errors
    /// As [`Link::publish`]; `done` is then never called.
    pub fn request(
        &self,
        out: Outgoing,
        timeout: Option<Duration>,
        done: impl FnOnce(RequestResult) + Send + 'static,
    ) -> Result<RequestId> {
        let how = How { timeout, ..How::default() };
        self.request_as(out, how, done)
    }

    /// [`Link::request`] with all that there is to say of it. The first reply counts.
    ///
    /// # Errors
    /// As [`Link::publish`].
    pub fn request_as(
        &self,
        out: Outgoing,
        how: How,
        done: impl FnOnce(RequestResult) + Send + 'static,
    ) -> Result<RequestId> {
        self.0.core.request(out, how, ReplyHandler::Once(Box::new(done)))
    }

    /// Like [`Link::request`], for many replies: until `on_reply` breaks or is called with a
    /// timeout, a closed or a lost link. A report that nobody is there does not end it by itself.
    ///
    /// # Errors
    /// As [`Link::publish`].
    pub fn request_many(
        &self,
        out: Outgoing,
        timeout: Option<Duration>,
        on_reply: impl FnMut(RequestResult) -> ControlFlow<()> + Send + 'static,
    ) -> Result<RequestId> {
        self.request_many_as(out, How { timeout, ..How::default() }, on_reply)
    }

    /// [`Link::request_many`] with all that there is to say of it.
    ///
    /// # Errors
    /// As [`Link::publish`].
    pub fn request_many_as(
        &self,
        out: Outgoing,
        how: How,
        on_reply: impl FnMut(RequestResult) -> ControlFlow<()> + Send + 'static,
    ) -> Result<RequestId> {
        self.0.core.request(out, how, ReplyHandler::Many(Box::new(on_reply)))
    }

    /// [`Link::request`] as a future; dropping it cancels the request. The publish is queued when
    /// this returns, not when the future is polled.
    pub fn ask(
        &self,
        out: Outgoing,
        timeout: Option<Duration>,
    ) -> impl Future<Output = RequestResult> + Send + use<> {
        self.ask_as(out, How { timeout, ..How::default() })
    }

    /// [`Link::request_as`] as a future; dropping it cancels the request.
    pub fn ask_as(
        &self,
        out: Outgoing,
        how: How,
    ) -> impl Future<Output = RequestResult> + Send + use<> {
        let (tell, told) = oneshot::channel();
        // The future may be gone.
        let sent = self.request_as(out, how, move |reply| drop(tell.send(reply)));
        told_unless_dropped(sent.map(|id| CancelOnDrop(self.0.core.clone(), id)), told)
    }

    /// Forgets a request; tells whether it was pending. Its handler is not called any more, except
    /// that it may be running just now.
    pub fn cancel(&self, id: RequestId) -> bool {
        self.0.core.requests.cancel(id)
    }

    /// Cancels a request when it is called. It does not keep the link open.
    pub fn canceller(&self, id: RequestId) -> impl FnOnce() + Send + 'static {
        let core = Arc::downgrade(&self.0.core);
        move || {
            if let Some(core) = core.upgrade() {
                core.requests.cancel(id);
            }
        }
    }

    /// A round trip: when `done` is called with `Ok`, the server has seen everything that was
    /// queued before, and what it had sent until then has arrived. A new connection counts too.
    ///
    /// # Errors
    /// `ErrConnectionClosed` after the end of the link.
    pub fn barrier(
        &self,
        timeout: Option<Duration>,
        done: impl FnOnce(std::result::Result<(), RequestError>) + Send + 'static,
    ) -> Result<RequestId> {
        self.0.core.barrier(timeout, done)
    }

    /// A round trip behind everything that is queued now: when `done` is called with `Ok`, the
    /// server has got it. While there is no connection it waits for the next one.
    ///
    /// # Errors
    /// As [`Link::barrier`].
    pub fn flush(
        &self,
        timeout: Option<Duration>,
        done: impl FnOnce(std::result::Result<(), RequestError>) + Send + 'static,
    ) -> Result<RequestId> {
        self.0.core.flush(timeout, done)
    }

    /// Lets the server end subscriptions now, behind everything that is queued, and ends them here as
    /// soon as all that it had sent for them until then has arrived, or after the timeout; calls
    /// `done` on the runtime thread if it was in time.
    ///
    /// # Errors
    /// As [`Link::barrier`].
    pub fn drain(
        &self,
        ids: Vec<SubId>,
        timeout: Option<Duration>,
        done: impl FnOnce() + Send + 'static,
    ) -> Result<RequestId> {
        for id in &ids {
            self.0.core.push(QueueEntry::Drain(*id))?;
        }
        // Not a handle: it would keep the link open.
        let core = Arc::downgrade(&self.0.core);
        self.0.core.barrier(timeout, move |outcome| {
            if let Some(core) = core.upgrade() {
                for id in ids {
                    core.unsubscribe(id, None);
                }
            }
            if outcome.is_ok() {
                done();
            }
        })
    }

    /// Leaves the connection for another one, behind everything that is queued now; without a
    /// connection, ends the wait for the next attempt.
    ///
    /// # Errors
    /// `ErrConnectionClosed` after the end of the link.
    pub fn force_reconnect(&self) -> Result<()> {
        // Not `is_up`: who hears of the connection may be quicker than the writer is started.
        let state = *self.0.core.state.borrow();
        if let ConnState::Connected(number) = state {
            return self.0.core.push(QueueEntry::Reconnect(number));
        }
        // Kept until something waits: an attempt may be under way that fails.
        self.0.core.attempt_now.notify_one();
        Ok(())
    }

    pub fn traffic(&self) -> Traffic {
        self.0.core.traffic()
    }

    /// Runs a future on this link's runtime, until the link ends or the task is aborted.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(self.0.core.tasks.spawn(future))
    }

    /// Makes names of inboxes, as this link has them.
    pub fn inboxes(&self) -> Box<dyn FnMut() -> String + Send> {
        let prefix = self.0.core.setting(|settings| settings.inbox_prefix.clone());
        Box::new(move || new_inbox(&prefix))
    }

    /// What waits in the outgoing queue: messages, and the bytes of their headers and payloads.
    pub fn waiting(&self) -> (u64, u64) {
        let waiting = self.0.core.outgoing.waiting();
        (waiting.messages, waiting.bytes)
    }

    /// Messages that were published and not sent.
    pub fn unsent(&self) -> u64 {
        self.0.core.unsent()
    }

    /// The pool in the order of rotation: the server being tried or in use is the last.
    pub fn servers(&self) -> Vec<ServerEntry> {
        self.0.core.pool().entries()
    }

    /// The server being tried, waited for or in use.
    pub fn current(&self) -> Option<ServerEntry> {
        self.0.core.pool().current().cloned()
    }

    /// Empties the pool. A connection in use stays; when it is lost, that is the end.
    pub fn clear_pool(&self) {
        self.0.core.pool().clear();
    }

    /// The state, to be watched by what runs on the runtime.
    pub fn connected(&self) -> watch::Receiver<ConnState> {
        self.0.core.state.subscribe()
    }

    /// Whether the server is of this version or newer; one that is not known yet counts as new.
    pub fn serves(&self, version: (u32, u32, u32)) -> bool {
        self.0.core.info().is_none_or(|info| info.at_least(version))
    }

    /// What names the server of the last connection, and is another one when that was started again.
    pub fn server_id(&self) -> Option<String> {
        let info = self.0.core.info()?;
        info.fields.get("server_id")?.as_str().map(str::to_owned)
    }

    /// # Errors
    /// `ErrConnectionClosed` in a fork of the process that opened the link.
    pub fn check_process(&self) -> Result<()> {
        self.0.place.process().check()
    }

    /// Closes the link: writes out what is queued, if there is a connection and within `flush`,
    /// then ends everything. Waits for that, unless it is called on the runtime thread. May be
    /// called several times.
    pub fn close(&self, flush: Duration) {
        runtime::Open::begin_close(&*self.0, flush);
        runtime::Open::wait_closed(&*self.0, flush + END_GRACE);
    }

    #[cfg(test)]
    pub(super) fn core(&self) -> &LinkCore {
        &self.0.core
    }
}

impl runtime::Open for OpenLink {
    fn begin_close(&self, flush: Duration) {
        if !self.process().is_current() {
            return;
        }
        self.close.send_if_modified(|close| {
            let first = close.is_none();
            close.get_or_insert(flush);
            first
        });
    }

    fn wait_closed(&self, limit: Duration) {
        self.place.join(limit);
    }

    fn process(&self) -> Process {
        self.place.process()
    }
}

impl Drop for OpenLink {
    fn drop(&mut self) {
        runtime::Open::begin_close(self, Duration::ZERO);
    }
}

/// The reply to a request that is forgotten when this future is dropped.
async fn told_unless_dropped(
    sent: Result<CancelOnDrop>,
    told: oneshot::Receiver<RequestResult>,
) -> RequestResult {
    let _guard = sent.map_err(RequestError::Refused)?;
    told.await.unwrap_or(Err(RequestError::Closed))
}

/// Cancels the request of a future that is dropped.
struct CancelOnDrop(Arc<LinkCore>, RequestId);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.requests.cancel(self.1);
    }
}
