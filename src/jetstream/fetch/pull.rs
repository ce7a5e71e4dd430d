//! One pull request, on the runtime thread: its inbox, and how it ends.
//!
//! A message comes with the subject it was published to, and only its subscription tells for whom it
//! is: so each request has an inbox of its own, and so the server knows that a request is given up,
//! by the UNSUB, which is queued before anybody hears of the end. Whatever comes with the inbox as
//! its subject was said by the server; all else is a message, whatever its headers say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::end::{End, Late};
use super::pins::Pin;
use crate::error::Result;
use crate::jetstream::api::{Api, WeakApi};
use crate::jetstream::delivery::{Delivered, StoredDelivery};
use crate::lock::lock;
use crate::transport::{
    ConnState, Link, Message, Outgoing, PackedMessage, RequestError, RequestId, Sink, SubId, Task,
    WeakLink,
};

/// Gets what comes of a pull request, on the runtime thread. Must not block.
pub trait Taker: Send {
    fn message(&mut self, message: Delivered);
    /// Nothing comes any more. Called once, unless the request is given up: then it is dropped.
    fn ended(&mut self, end: End);
}

/// Who is asked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Source {
    pub stream: String,
    pub consumer: String,
}

/// How to ask.
pub struct Ask {
    pub source: Source,
    pub subject: String,
    pub body: Vec<u8>,
    /// Of its priority group.
    pub pin: Option<Pin>,
    /// How many messages are wanted.
    pub batch: u64,
    /// And how many bytes at most, as the server counts.
    pub bytes: Option<u64>,
    pub timeout: Option<Duration>,
    pub silence: Option<Duration>,
}

pub struct Pull {
    pub source: Source,
    pub api: WeakApi,
    link: WeakLink,
    inbox: String,
    pin: Option<Pin>,
    /// Nobody may send the request any more when this is false.
    wanted: Arc<AtomicBool>,
    state: Mutex<State>,
}

struct State {
    left: u64,
    bytes_left: Option<u64>,
    /// `None` when it is over.
    taker: Option<Box<dyn Taker>>,
    subscription: Option<SubId>,
    supervision: Option<RequestId>,
    watch: Option<Task>,
    heard: Instant,
    /// Where the server's word goes that comes after the time was over.
    late: Option<Late>,
}

/// The server's header for the pin; one that the message has itself is before it.
const PIN: &str = "Nats-Pin-Id";

/// How long the server may take to confirm that a request is given up.
const GIVEN_UP: Duration = Duration::from_secs(5);

impl Pull {
    /// Asks. What fails here leaves nothing behind, and the taker is not called.
    pub fn start(api: &Api, mut ask: Ask, taker: Box<dyn Taker>) -> Result<Arc<Pull>> {
        let link = &api.link;
        let inbox = link.inboxes()();
        let pull = Arc::new(Pull {
            source: ask.source.clone(),
            api: api.downgrade(),
            link: link.downgrade(),
            inbox: inbox.clone(),
            pin: ask.pin.take(),
            wanted: Arc::new(AtomicBool::new(true)),
            state: Mutex::new(State {
                left: ask.batch,
                bytes_left: ask.bytes,
                taker: Some(taker),
                subscription: None,
                supervision: None,
                watch: None,
                heard: Instant::now(),
                late: None,
            }),
        });
        // Whatever comes of it at once waits for this lock, and so finds all that is to be undone.
        let mut state = pull.state();
        let sent = pull.send(link, ask, &mut state);
        if let Err(error) = sent {
            let taker = state.taker.take();
            pull.undo(&mut state, false);
            drop(state);
            drop(taker);
            return Err(error);
        }
        drop(state);
        Ok(pull)
    }

    fn send(self: &Arc<Pull>, link: &Link, ask: Ask, state: &mut State) -> Result<()> {
        let Ask { subject, body, timeout, silence, .. } = ask;
        let me = Arc::downgrade(self);
        let ended = move |error: RequestError| {
            if let Some(pull) = me.upgrade() {
                pull.end(&mut pull.state(), error.into());
            }
        };
        state.supervision = Some(link.supervise(&*subject, &self.inbox, timeout, ended)?);
        let sink = Box::new(Inbox(self.clone()));
        state.subscription = Some(link.subscribe(&self.inbox, None, None, sink)?);
        let out =
            Outgoing { reply: Some(self.inbox.as_str().into()), ..Outgoing::new(subject, body) };
        link.publish_while(out, &self.wanted)?;
        state.watch = silence.map(|silence| link.spawn(watch(self.clone(), silence)));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub fn is_over(&self) -> bool {
        self.state().taker.is_none()
    }

    /// Gives it up without a word. What comes for it nevertheless is given back at once, for
    /// others; and so is what the taker has, if it does so when it is dropped. False if it is over.
    pub fn give_up(&self) -> bool {
        let mut state = self.state();
        let Some(taker) = state.taker.take() else { return false };
        self.undo(&mut state, true);
        drop(state);
        drop(taker);
        true
    }

    /// Ends it from here, unless it has ended.
    pub fn finish(&self, end: End) {
        self.end(&mut self.state(), end);
    }

    fn end(&self, state: &mut State, end: End) {
        let Some(mut taker) = state.taker.take() else { return };
        if let End::Timeout(late) = &end {
            state.late = Some(late.clone());
        }
        self.undo(state, matches!(end, End::Timeout(_) | End::Closed));
        taker.ended(end);
    }

    /// Lets the server forget it; `busy` if messages may be under way.
    fn undo(&self, state: &mut State, busy: bool) {
        self.wanted.store(false, Ordering::Release);
        let Some(link) = self.link.upgrade() else { return };
        if let Some(id) = state.supervision.take() {
            link.cancel(id);
        }
        if let Some(id) = state.subscription.take() {
            let connected = matches!(*link.connected().borrow(), ConnState::Connected(_));
            if !(busy && connected && link.drain(vec![id], Some(GIVEN_UP), || ()).is_ok()) {
                link.unsubscribe(id, None);
            }
        }
        if let Some(task) = state.watch.take() {
            task.abort();
        }
    }

    fn message(&self, message: Message) {
        let mut state = self.state();
        state.heard = Instant::now();
        let of_server = message.subject() == self.inbox;
        let Some(taker) = &mut state.taker else {
            match state.late.take_if(|_| of_server && message.status().is_some_and(is_end)) {
                Some(late) => late.put(PackedMessage::new(message)),
                None => give_back(&self.link, message.reply()),
            }
            return;
        };
        if of_server {
            match message.status() {
                None | Some(100) => {}
                Some(503) => self.end(&mut state, End::Nobody),
                Some(status) => {
                    if let Some(pin) = &self.pin {
                        pin.ended(status);
                    }
                    self.end(&mut state, End::Status(Box::new(PackedMessage::new(message))));
                }
            }
            return;
        }
        if let Some(pin) = &self.pin
            && let Some(id) = message.last_header(PIN)
        {
            pin.seen(id);
        }
        let message = Delivered::Message(PackedMessage::new(message));
        let size = message.size() as u64;
        taker.message(message);
        state.bytes_left = state.bytes_left.and_then(|left| left.checked_sub(size));
        self.count(&mut state);
    }

    fn count(&self, state: &mut State) {
        state.left = state.left.saturating_sub(1);
        if state.left == 0 {
            self.end(state, End::Complete);
        } else if state.bytes_left == Some(0) {
            self.end(state, End::Full);
        }
    }

    /// A message that was read in another way; comes back if it is over.
    pub fn stored(&self, message: StoredDelivery) -> Option<StoredDelivery> {
        let mut state = self.state();
        let Some(taker) = &mut state.taker else { return Some(message) };
        taker.message(Delivered::Stored(Box::new(message)));
        self.count(&mut state);
        None
    }
}

/// Whether a status says that a pull request is over, by the server.
fn is_end(status: u16) -> bool {
    !matches!(status, 100 | 503)
}

/// Gives a message back that nobody has taken, so that others have it at once.
pub fn give_back(link: &WeakLink, reply: Option<&str>) {
    if let (Some(link), Some(reply)) = (link.upgrade(), reply.filter(|reply| !reply.is_empty())) {
        // Without a connection it comes again by itself.
        let _ = link.publish(Outgoing::new(reply, "-NAK"));
    }
}

struct Inbox(Arc<Pull>);

impl Sink for Inbox {
    fn message(&mut self, message: Message) {
        self.0.message(message);
    }

    /// The supervision has told the same.
    fn ended(&mut self) {}
}

/// Ends a request that the server is silent about. Without a connection silence means nothing.
async fn watch(pull: Arc<Pull>, silence: Duration) {
    loop {
        let heard = pull.state().heard;
        tokio::time::sleep_until((heard + silence).into()).await;
        let connected = |link: Link| matches!(*link.connected().borrow(), ConnState::Connected(_));
        let up = pull.link.upgrade().is_some_and(connected);
        let mut state = pull.state();
        if !up {
            state.heard = Instant::now();
        } else if state.heard + silence <= Instant::now() {
            return pull.end(&mut state, End::Timeout(Late::default()));
        }
    }
}
