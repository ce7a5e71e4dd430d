//! The task that moves our queue into the engine while there is a connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use async_nats::client::traits::Publisher;
use async_nats::client::{PublishError, PublishErrorKind, SubscribeErrorKind};
use async_nats::message::OutboundMessage;
use async_nats::{Client, Subscriber};
use tokio::sync::watch;
use tokio::task::unconstrained;

use super::event::{ConnState, Event};
use super::link_core::LinkCore;
use super::outgoing::{Amount, QueueEntry, Wake};
use super::reconnect::Reconnector;
use super::requests::RequestId;
use super::source::{SubId, SubscriptionSource};
use crate::error::{Error, Kind};

/// How many commands the engine may have in its own queue. They survive a reconnect, but each
/// takes part in the memory of a burst, so this is only as large as throughput wants it.
pub(super) const ENGINE_CAPACITY: usize = 8 * 1024;

/// A number of messages that the engine never sees, and that has more digits than the server reads:
/// it takes `UNSUB <sid> <number>` for one without a number, and ends the subscription at once, while
/// the engine keeps it. The engine's own ways, `unsubscribe` and `drain`, drop what the server
/// sends until it has read the line. After a reconnect the engine says both, SUB and this UNSUB. If a
/// server reads the number after all, the subscription ends by the UNSUB behind the round trip.
const NEVER_REACHED: u64 = u64::MAX;

/// How many bytes of messages the engine may have: it counts messages only, however large they are,
/// and what it has is not seen by the limits of our queue.
const WINDOW: u64 = 4 * 1024 * 1024;

/// Moves entries into the engine that there is.
pub(super) async fn run(
    core: Arc<LinkCore>,
    reconnector: Arc<Reconnector>,
    mut engines: watch::Receiver<Option<Client>>,
) {
    let mut batch = VecDeque::new();
    let mut engine = None;
    let mut pinger = None;
    let mut handed = Amount::default();
    // What the engine has got since it was known to have written all.
    let mut unwritten = 0;
    loop {
        if handed != Amount::default() {
            core.outgoing.handed(&mut handed);
        }
        let wake = std::future::poll_fn(|cx| core.outgoing.poll_take(cx, &mut batch)).await;
        if matches!(wake, Wake::Sweep) {
            core.sweep();
            continue;
        }
        // An error means that there will be none any more.
        if engine.is_none() || engines.has_changed().unwrap_or(false) {
            engine = engines.borrow_and_update().clone();
            pinger = None;
        }
        let Some(client) = &engine else { return };
        // Entries stay in the batch when the connection goes; they are sent on the next one.
        while core.is_up()
            && let Some(entry) = batch.pop_front()
        {
            let amount = entry.amount();
            handed.add(amount);
            unwritten += amount.bytes;
            if !hand_over(&core, &reconnector, client, &mut pinger, entry).await {
                // The engine is gone: the connection, too.
                core.set_up(false);
            }
            if unwritten > WINDOW {
                core.outgoing.handed(&mut handed);
                written(&core, client).await;
                unwritten = 0;
            }
        }
    }
}

/// Waits until the engine has written what it has got, or the connection is lost.
async fn written(core: &LinkCore, client: &Client) {
    let mut state = core.state.subscribe();
    tokio::select! {
        _ = client.flush() => {}
        _ = state.wait_for(|state| !matches!(state, ConnState::Connected(_))) => {}
    }
}

/// Gives one entry to the engine; false if the engine is gone.
async fn hand_over(
    core: &Arc<LinkCore>,
    reconnector: &Reconnector,
    client: &Client,
    pinger: &mut Option<Subscriber>,
    entry: QueueEntry,
) -> bool {
    match entry {
        QueueEntry::Publish(message) => publish(core, client, message).await,
        QueueEntry::PublishWhile(conditional) => {
            let (message, wanted) = *conditional;
            if wanted.load(Ordering::Acquire) {
                return publish(core, client, message).await;
            }
            core.forget_message();
            true
        }
        QueueEntry::Ping(id) => ping(core, client, pinger, id).await,
        QueueEntry::Subscribe(id) => subscribe(core, client, id).await,
        QueueEntry::Unsubscribe(id, max) => unsubscribe(core, id, max).await,
        QueueEntry::Drain(id) => drain(core, id).await,
        QueueEntry::Reconnect(number) => {
            // It may have been lost before this had its turn, or left for an earlier wish.
            let meant = || *core.state.borrow() == ConnState::Connected(number);
            // The engine would throw away what it has not written yet.
            if meant() && client.flush().await.is_ok() && core.is_up() && meant() {
                reconnector.leave_for_another().await;
            }
            true
        }
        QueueEntry::Marker(done) => {
            // Nobody may wait any more.
            let _ = done.send(());
            true
        }
    }
}

async fn publish(core: &LinkCore, client: &Client, message: OutboundMessage) -> bool {
    let reply = message.reply.clone();
    match client.publish_message(message).await {
        Ok(()) => true,
        Err(error) => refused(core, reply.as_deref(), &error),
    }
}

/// Sends a PING for a barrier; [`super::pings`] says how. `pinger` is a subscription of this engine
/// that has ended.
async fn ping(
    core: &Arc<LinkCore>,
    client: &Client,
    pinger: &mut Option<Subscriber>,
    id: RequestId,
) -> bool {
    // It may have timed out long ago.
    if !core.requests.is_pending(id) {
        return true;
    }
    let ended = match pinger {
        Some(ended) => ended,
        None => {
            // A user who may not subscribe gets an error for it, which is passed over.
            let subscribed = client.subscribe(core.requests.unused_subject()).await;
            let Ok(mut subscriber) = subscribed else { return false };
            if subscriber.unsubscribe().await.is_err() {
                return false;
            }
            pinger.insert(subscriber)
        }
    };
    if ended.drain().await.is_err() {
        return false;
    }
    let tasks = core.clone();
    let (core, client) = (core.clone(), client.clone());
    let mut flushed = Box::pin(async move {
        // Fails only together with the engine.
        if client.flush().await.is_ok() {
            core.pinged(id);
        }
    });
    // So that the engine finds both when it wakes up.
    if std::future::poll_fn(|cx| Poll::Ready(flushed.as_mut().poll(cx))).await.is_pending() {
        tasks.tasks.spawn(flushed);
    }
    true
}

/// What became of a message that the engine did not take.
fn refused(core: &LinkCore, reply: Option<&str>, error: &PublishError) -> bool {
    core.forget_message();
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => {
            // It was queued before the limit of this server was known.
            let error = Error::too_large(core.info().map_or(0, |info| info.max_payload));
            if let Some(reply) = reply {
                core.requests.end_unsent(reply, error.clone());
            }
            // A callback is not told the reason.
            core.tell(Event::AsyncError(error));
            true
        }
        PublishErrorKind::InvalidSubject => {
            core.tell(Event::AsyncError(Error::new(Kind::BadSubject, error.to_string())));
            true
        }
        PublishErrorKind::Send => false,
    }
}

async fn subscribe(core: &LinkCore, client: &Client, id: SubId) -> bool {
    // Gone already: unsubscribed before there was a connection.
    // Done already: it was queued when another engine took over.
    let wanted = |source: &Arc<SubscriptionSource>| {
        source.is_active() && !source.is_attached() && !source.is_draining()
    };
    let Some(source) = core.source(id).filter(wanted) else { return true };
    let subscribed = match &source.queue {
        None => client.subscribe(source.subject.clone()).await,
        Some(queue) => client.queue_subscribe(source.subject.clone(), queue.clone()).await,
    };
    match subscribed {
        // No await between the last one and `attach`: see the essay in `source`.
        Ok(subscriber) => {
            source.begin();
            match source.limit() {
                None => source.attach(subscriber),
                Some(limit) => attach_limited(&source, subscriber, limit).await,
            }
        }
        // The engine is gone; the next one will be told.
        Err(error) if error.kind() == SubscribeErrorKind::Other => return false,
        Err(_) => {
            // The words were checked before, so the subject has an empty token.
            core.end_source(id);
            let text = format!("Invalid subject {}", source.subject);
            core.tell(Event::AsyncError(Error::new(Kind::BadSubject, text)));
        }
    }
    true
}

/// Tells the server the limit, then attaches. The command waits only if the engine's queue is
/// full; what comes in during that time is kept in the channel and delivered by `attach`. It fails
/// only if the engine is gone.
async fn attach_limited(source: &Arc<SubscriptionSource>, mut subscriber: Subscriber, limit: u64) {
    let limit = source.of_engine(limit);
    match unconstrained(subscriber.unsubscribe_after(limit)).await {
        Ok(()) => source.attach(subscriber),
        Err(_) => source.pass_rest(subscriber),
    }
}

async fn drain(core: &LinkCore, id: SubId) -> bool {
    let Some(source) = core.source(id).filter(|source| source.is_active()) else { return true };
    source.set_draining();
    if let Some(mut subscriber) = source.take_subscriber() {
        match unconstrained(subscriber.unsubscribe_after(NEVER_REACHED)).await {
            Ok(()) => source.attach(subscriber),
            Err(_) => source.pass_rest(subscriber),
        }
    }
    true
}

async fn unsubscribe(core: &LinkCore, id: SubId, limit: Option<u64>) -> bool {
    let Some(source) = core.source(id) else { return true };
    let subscriber = source.take_subscriber();
    match (subscriber, limit.filter(|_| source.is_active())) {
        (Some(subscriber), Some(limit)) => attach_limited(&source, subscriber, limit).await,
        (None, Some(_)) => {}
        (subscriber, None) => {
            if let Some(mut subscriber) = subscriber {
                // Waits for room, so that the UNSUB keeps its place among the messages.
                let _ = subscriber.unsubscribe().await;
            }
            core.end_source(id);
        }
    }
    true
}
