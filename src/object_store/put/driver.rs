//! Drives the machine: chunks are read, published, and their acknowledgements heard.

use super::leftovers::delete_message;
use super::machine::{Action, Label, Machine, Window};
use super::source::Feed;
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::Op;
use crate::jetstream::publish::ack::{self, Ack};
use crate::object_store::names::chunks_of;
use crate::object_store::store::{Store, is_temporary};
use crate::object_store::transfer::persistently;
use crate::object_store::transfer::progress::Progress;
use crate::object_store::transfer::trouble::Trouble;
use crate::transport::{
    ConnState, Headers, Link, Message, Outgoing, RequestId, Sink, SubId, Subject,
};
use bytes::Bytes;
use serde_json::Value;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What the server says.
enum Event {
    Stored(Label, u64),
    Nobody(Label),
    Deleted(Result<()>),
    /// Nothing will come of it.
    Refused(Error),
    /// The stream is there.
    There,
}

/// What has been laid.
pub struct Laid {
    pub chunks: u64,
    pub size: u64,
    pub digest: String,
    /// The sequence number of the last one.
    pub last: u64,
    /// Whether somebody should count.
    pub doubt: bool,
}

/// The subscription to the acknowledgements, and what is under way.
struct Flight {
    store: Store,
    nuid: String,
    subject: Subject,
    inbox: String,
    subscription: SubId,
    supervised: RequestId,
    /// Cleared when what was sent over one connection must not be sent over the next one.
    wanted: Arc<AtomicBool>,
    tell: UnboundedSender<Event>,
    /// It is being asked whether the stream is there.
    asking: bool,
}

struct Acks {
    tell: UnboundedSender<Event>,
    prefix: usize,
}

impl Sink for Acks {
    fn message(&mut self, message: Message) {
        if let Some(label) = message.subject().get(self.prefix..).and_then(label_of) {
            // The put may be over.
            let _ = self.tell.send(event_of(label, &message));
        }
    }

    fn ended(&mut self) {
        let _ = self.tell.send(Event::Refused(Error::connection_closed()));
    }
}

fn label_of(text: &str) -> Option<Label> {
    let (index, edition) = text.split_once('.')?;
    Some(Label { index: index.parse().ok()?, edition: edition.parse().ok()? })
}

fn event_of(label: Label, message: &Message) -> Event {
    if message.status() == Some(503) && message.payload().is_empty() {
        return Event::Nobody(label);
    }
    match ack::read(message.payload()) {
        Ok(Ack::Plain { seq, .. }) => Event::Stored(label, seq),
        Ok(Ack::Whole(value)) => match value.get("seq").and_then(Value::as_u64) {
            Some(seq) => Event::Stored(label, seq),
            None => Event::Refused(ack::invalid()),
        },
        Err(error) if is_temporary(&error) => Event::Nobody(label),
        Err(error) => Event::Refused(error),
    }
}

impl Flight {
    fn new(store: &Store, nuid: &str, tell: UnboundedSender<Event>) -> Result<Flight> {
        let link = &store.api.link;
        let subject: Subject = chunks_of(&store.bucket.name, nuid).into();
        let inbox = link.inboxes()();
        let refused = tell.clone();
        let supervised =
            link.supervise(subject.clone(), &format!("{inbox}.*.*"), None, move |end| {
                let _ = refused.send(Event::Refused(end.into_error("")));
            })?;
        let sink = Acks { tell: tell.clone(), prefix: inbox.len() + 1 };
        let subscribed = link.subscribe(&format!("{inbox}.*.*"), None, None, Box::new(sink));
        let subscription = subscribed.inspect_err(|_| {
            link.cancel(supervised);
        })?;
        Ok(Flight {
            store: store.clone(),
            nuid: nuid.to_owned(),
            subject,
            inbox,
            subscription,
            supervised,
            wanted: Arc::new(AtomicBool::new(true)),
            tell,
            asking: false,
        })
    }

    fn link(&self) -> &Link {
        &self.store.api.link
    }

    /// Under an id by which the server knows what it has already.
    fn send(&self, label: Label, payload: Bytes) -> Result<()> {
        let Label { index, edition } = label;
        let mut headers = Headers::new();
        headers.push(
            "Nats-Msg-Id",
            match edition {
                0 => format!("{}-{index}", self.nuid),
                _ => format!("{}-{index}-{edition}", self.nuid),
            },
        );
        let reply = Some(format!("{}.{index}.{edition}", self.inbox).into());
        let out = Outgoing { reply, headers, ..Outgoing::new(self.subject.clone(), payload) };
        self.link().publish_while(out, &self.wanted)
    }

    /// What waits for another connection is not sent over that: it would be in front of what is sent
    /// again.
    fn drop_unsent(&mut self) {
        self.wanted.store(false, Ordering::Release);
        self.wanted = Arc::new(AtomicBool::new(true));
    }

    fn delete(&self, seq: u64, patience: Option<Duration>) {
        let (store, tell) = (self.store.clone(), self.tell.clone());
        self.link().spawn(async move {
            let deleted = persistently(patience, || delete_message(&store, seq)).await;
            let _ = tell.send(Event::Deleted(deleted));
        });
    }

    /// Whether there is anybody to wait for.
    fn ask(&mut self) {
        if std::mem::replace(&mut self.asking, true) {
            return;
        }
        let (store, tell) = (self.store.clone(), self.tell.clone());
        self.link().spawn(async move {
            let asked = store.api.call(Op::StreamInfo(&store.bucket.stream), "").await;
            let _ = tell.send(match asked {
                Err(error) if error.kind == Kind::StreamNotFound => {
                    Event::Refused(store.bucket.missing(error))
                }
                _ => Event::There,
            });
        });
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Release);
        self.link().cancel(self.supervised);
        self.link().unsubscribe(self.subscription, None);
    }
}

type Reading =
    Pin<Box<dyn Future<Output = (Feed, std::result::Result<Vec<Bytes>, Trouble>)> + Send>>;

/// Lays all chunks into the stream.
pub async fn lay(
    store: &Store,
    nuid: &str,
    (window, patience): (Window, Option<Duration>),
    feed: Feed,
    progress: &Progress,
) -> std::result::Result<Laid, Trouble> {
    let (tell, mut told): (_, UnboundedReceiver<Event>) = unbounded_channel();
    let mut connected = store.api.link.connected();
    let mut flight = Flight::new(store, nuid, tell)?;
    let up = is_up(*connected.borrow_and_update());
    let mut machine = Machine::new(window, patience, up, Instant::now());
    let mut actions = Vec::new();
    let mut read: VecDeque<Bytes> = VecDeque::new();
    let mut reading: Option<Reading> = Some(Box::pin(feed.next()));
    let mut finished: Option<Feed> = None;
    let mut wire: Option<u64> = None;
    loop {
        while machine.has_room() {
            let Some(chunk) = read.pop_front() else { break };
            machine.chunk(chunk, Instant::now(), &mut actions);
        }
        if read.is_empty() && finished.is_some() {
            machine.end(&mut actions);
        }
        for action in actions.drain(..) {
            match action {
                Action::Send(label, payload) => flight.send(label, payload)?,
                Action::Delete(seq) => flight.delete(seq, patience),
                Action::Fail(error) => return Err(error.into()),
                Action::Complete { chunks, last, doubt } => {
                    let feed = finished.take().ok_or_else(Error::connection_closed)?;
                    let (size, digest) = feed.finish();
                    return Ok(Laid { chunks, size, digest, last, doubt });
                }
            }
        }
        let placed = machine.placed_bytes();
        if wire.replace(placed) != Some(placed) {
            progress.done(placed);
        }
        let alarm = async {
            match machine.timer() {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        // While one batch is sent, the next one is read.
        let more = async {
            match reading.as_mut().filter(|_| read.is_empty()) {
                Some(reading) => reading.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = told.recv() => {
                let now = Instant::now();
                match event {
                    Some(Event::Stored(label, seq)) => machine.stored(label, seq, now, &mut actions),
                    Some(Event::Nobody(label)) => {
                        machine.nobody(label, now);
                        flight.ask();
                    }
                    Some(Event::Deleted(Ok(()))) => machine.deleted(&mut actions),
                    Some(Event::Deleted(Err(error)) | Event::Refused(error)) => {
                        machine.fail(error, &mut actions);
                    }
                    Some(Event::There) => flight.asking = false,
                    None => return Err(Error::connection_closed().into()),
                }
            }
            changed = connected.changed() => {
                if changed.is_err() {
                    return Err(Error::connection_closed().into());
                }
                flight.drop_unsent();
                let up = is_up(*connected.borrow_and_update());
                machine.connection(up, Instant::now(), &mut actions);
            }
            (feed, batch) = more => match batch? {
                batch if batch.is_empty() => {
                    reading = None;
                    finished = Some(feed);
                }
                batch => {
                    read = batch.into();
                    reading = Some(Box::pin(feed.next()));
                }
            },
            () = alarm => machine.tick(Instant::now(), &mut actions),
        }
    }
}

fn is_up(state: ConnState) -> bool {
    matches!(state, ConnState::Connected(_))
}
