//! What the handles of a link and its runtime have in common.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_nats::client::Statistics;
use async_nats::message::OutboundMessage;
use tokio::sync::watch;

use super::event::{ConnState, Event, EventSink};
use super::info::ServerInfo;
use super::leash::Leash;
use super::outgoing::{OutgoingQueue, Pushed, QueueEntry};
use super::pings::Pings;
use super::pool::Pool;
use super::requests::{LinkEnd, RequestTable};
use super::settings::Settings;
use super::source::{SubId, SubscriptionSource};
use crate::error::{Error, Kind, Result};
use crate::lock::lock;
use crate::runtime::Process;
use crate::threads::Tasks;

/// Lock order: the ends of a source, then one of the mutexes here, never two of them at once; but
/// the inbox is subscribed to under its own.
pub(super) struct LinkCore {
    pub settings: Mutex<Settings>,
    pub outgoing: OutgoingQueue,
    pub requests: Arc<RequestTable>,
    pub pool: Mutex<Pool>,
    pub state: watch::Sender<ConnState>,
    pub process: Process,
    /// All that runs for the link, but the engine.
    pub tasks: Tasks,
    /// That of the engine.
    pub leash: Arc<Leash>,
    events: Arc<dyn EventSink>,
    sources: Mutex<HashMap<SubId, Arc<SubscriptionSource>>>,
    info: Mutex<Option<Arc<ServerInfo>>>,
    /// That of `info`, for each message that goes out.
    max_payload: AtomicUsize,
    /// Whether there is a connection, readable without a lock by the writer.
    up: AtomicBool,
    last_sub: AtomicU64,
    /// Set when the subscription of the inbox is queued.
    inbox: AtomicBool,
    inbox_id: Mutex<Option<SubId>>,
    pub pings: Pings,
    /// The counters of the engines, to know what they have really sent. Mostly there is one.
    statistics: Mutex<Vec<Arc<Statistics>>>,
    /// Ends the wait for the next attempt.
    pub attempt_now: tokio::sync::Notify,
}

/// What has gone through a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub connects: u64,
    /// Messages that came, those of the client's own inbox too, and bytes read.
    pub in_msgs: u64,
    pub in_bytes: u64,
    /// Messages that were queued, and the bytes of their payloads.
    pub out_msgs: u64,
    pub out_bytes: u64,
}

impl LinkCore {
    pub fn new(settings: Settings, events: Arc<dyn EventSink>, inbox: &str) -> LinkCore {
        let pool = Pool::new(settings.servers.iter().cloned());
        let outgoing = OutgoingQueue::new(settings.room);
        LinkCore {
            settings: Mutex::new(settings),
            outgoing,
            requests: Arc::new(RequestTable::new(inbox)),
            pool: Mutex::new(pool),
            state: watch::Sender::new(ConnState::Disconnected),
            process: Process::current(),
            tasks: Tasks::default(),
            leash: Arc::default(),
            events,
            sources: Mutex::default(),
            info: Mutex::default(),
            max_payload: AtomicUsize::new(usize::MAX),
            up: AtomicBool::new(false),
            last_sub: AtomicU64::new(0),
            inbox: AtomicBool::new(false),
            inbox_id: Mutex::default(),
            pings: Pings::default(),
            statistics: Mutex::default(),
            attempt_now: tokio::sync::Notify::new(),
        }
    }

    /// Tells the owner. Runtime thread only, without holding a lock.
    pub fn tell(&self, event: Event) {
        self.events.event(event);
    }

    pub fn pool(&self) -> MutexGuard<'_, Pool> {
        lock(&self.pool)
    }

    /// Reads something from the live settings.
    pub fn setting<T>(&self, read: impl FnOnce(&Settings) -> T) -> T {
        read(&lock(&self.settings))
    }

    pub fn info(&self) -> Option<Arc<ServerInfo>> {
        lock(&self.info).clone()
    }

    pub fn set_info(&self, info: Arc<ServerInfo>) {
        let known = Some(info.max_payload).filter(|limit| *limit > 0);
        self.max_payload.store(known.unwrap_or(usize::MAX), Ordering::Relaxed);
        *lock(&self.info) = Some(info);
    }

    /// What the server takes in one message, headers included; no limit before its INFO.
    pub fn max_payload(&self) -> usize {
        self.max_payload.load(Ordering::Relaxed)
    }

    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Starts or stops the writer.
    pub fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Release);
        self.outgoing.set_open(up);
    }

    pub fn set_statistics(&self, statistics: Arc<Statistics>) {
        lock(&self.statistics).push(statistics);
    }

    /// The sum of a counter of the engines.
    fn count(&self, read: impl Fn(&Statistics) -> u64) -> u64 {
        lock(&self.statistics).iter().map(|statistics| read(statistics)).sum()
    }

    fn sent(&self) -> u64 {
        self.count(|s| s.out_messages.load(Ordering::Relaxed))
    }

    fn received(&self) -> u64 {
        self.count(|s| s.in_messages.load(Ordering::Relaxed))
    }

    /// Queues an entry.
    ///
    /// # Errors
    /// `ErrConnectionClosed` after the end, and in a fork of the process.
    pub fn push(&self, entry: QueueEntry) -> Result<()> {
        self.pushed(self.outgoing.push(entry, false, || self.process.check())?)
    }

    /// Queues a message.
    ///
    /// # Errors
    /// As [`LinkCore::push`], and `ErrOutboundFull` if it may be refused and too much waits.
    pub fn push_message(&self, message: OutboundMessage, refusable: bool) -> Result<()> {
        let entry = QueueEntry::Publish(message);
        self.pushed(self.outgoing.push(entry, refusable, || self.process.check())?)
    }

    fn pushed(&self, pushed: Pushed) -> Result<()> {
        match pushed {
            Pushed::Queued => Ok(()),
            Pushed::Sealed => Err(Error::no_connection()),
            Pushed::NoRoom(limit) => {
                let text = format!("Too much waits to be sent: no room beyond {limit}");
                Err(Error::new(Kind::OutboundFull, text))
            }
        }
    }

    /// A message was counted that will never reach the engine.
    pub fn forget_message(&self) {
        self.outgoing.forget_message();
    }

    /// Messages that were accepted and that the engine has not put on the wire.
    pub fn unsent(&self) -> u64 {
        self.outgoing.totals().0.saturating_sub(self.sent())
    }

    pub fn traffic(&self) -> Traffic {
        let (out_msgs, out_bytes) = self.outgoing.totals();
        Traffic {
            connects: self.count(|s| s.connects.load(Ordering::Relaxed)),
            in_msgs: self.received(),
            in_bytes: self.count(|s| s.in_bytes.load(Ordering::Relaxed)),
            out_msgs,
            out_bytes,
        }
    }

    /// Whether so little was said that one write has surely taken it: nothing came in that a close
    /// would turn into a reset of the connection, and nothing went out that fills a buffer.
    pub fn is_quiet(&self) -> bool {
        const LITTLE: u64 = 32 * 1024;
        let (messages, bytes) = self.outgoing.totals();
        self.received() == 0 && messages * 64 + bytes < LITTLE
    }

    pub fn next_sub_id(&self) -> SubId {
        SubId(self.last_sub.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub fn has_inbox(&self) -> bool {
        self.inbox.load(Ordering::Acquire)
    }

    /// Runs `queue`, which subscribes, unless there is an inbox; on one thread at a time.
    pub fn once_inbox(&self, queue: impl FnOnce() -> Result<SubId>) -> Result<()> {
        let mut inbox = lock(&self.inbox_id);
        if inbox.is_none() {
            *inbox = Some(queue()?);
            self.inbox.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// There is none any more: the next request subscribes again.
    pub fn forget_inbox(&self) -> Option<SubId> {
        let mut inbox = lock(&self.inbox_id);
        self.inbox.store(false, Ordering::Release);
        inbox.take()
    }

    pub fn source(&self, id: SubId) -> Option<Arc<SubscriptionSource>> {
        lock(&self.sources).get(&id).cloned()
    }

    pub fn add_source(&self, id: SubId, source: Arc<SubscriptionSource>) {
        lock(&self.sources).insert(id, source);
    }

    pub fn forget_source(&self, id: SubId) -> Option<Arc<SubscriptionSource>> {
        lock(&self.sources).remove(&id)
    }

    /// Without a connection: queues the subscriptions for another engine.
    pub fn subscribe_again(&self) {
        let mut ids: Vec<_> = lock(&self.sources).keys().copied().collect();
        ids.sort_unstable();
        self.outgoing.subscribe_again(ids);
    }

    /// Forgets a subscription and tells its sink. Runtime thread only.
    pub fn end_source(&self, id: SubId) {
        if let Some(source) = self.forget_source(id) {
            source.end();
        }
    }

    /// Without a connection: drops subscriptions that were given up, so that the engine does not
    /// restore them. Runtime thread only.
    pub fn sweep(&self) {
        if self.is_up() {
            return;
        }
        let mut gone = Vec::new();
        lock(&self.sources).retain(|_, source| {
            let keep = source.is_active();
            if !keep {
                gone.push(source.clone());
            }
            keep
        });
        for source in gone {
            source.end();
        }
    }

    #[cfg(test)]
    pub fn source_count(&self) -> usize {
        lock(&self.sources).len()
    }

    /// Ends everything, on the runtime thread: requests and subscriptions hear of it.
    pub fn tear_down(&self, end: LinkEnd) {
        self.up.store(false, Ordering::Release);
        self.state.send_replace(ConnState::Closed);
        self.outgoing.clear();
        self.requests.end(end);
        let sources = std::mem::take(&mut *lock(&self.sources));
        let mut sources: Vec<_> = sources.into_iter().collect();
        sources.sort_unstable_by_key(|(id, _)| *id);
        for (_, source) in sources {
            source.end();
        }
    }
}
