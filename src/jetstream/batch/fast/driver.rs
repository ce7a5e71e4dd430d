//! A machine with its subscription and its clock. No Tcl here.
//!
//! Messages are added on the Tcl thread; what the server says is heard on the runtime thread. What is
//! numbered goes out in its order, because both send while they have the machine.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::machine::{Effect, Machine, News, Operation, Room};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::transport::{ConnState, Link, Message, Outgoing, Sink, SubId, Subject, WeakLink};
use serde_json::Value;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(200);
/// So much may wait to be written, whatever the server would take.
const UNWRITTEN: u64 = 16 * 1024 * 1024;
/// How often that is looked at.
const WRITING: Duration = Duration::from_millis(1);

pub struct FastSettings {
    pub flow: u64,
    /// A gap or a refused message ends the batch.
    pub strict: bool,
    pub patience: Option<Duration>,
}

/// A batch. Dropped, it is left as it is: what was added is stored.
pub struct Fast {
    shared: Arc<Shared>,
    link: Link,
    subscription: SubId,
}

struct Shared {
    /// `<inbox>.<id>.<flow>.<gap>.` of the reply subjects.
    prefix: String,
    start: Instant,
    link: WeakLink,
    state: Mutex<State>,
    /// There may be room, or the last word.
    changed: Notify,
    tell: Box<dyn Fn(News) + Send + Sync>,
}

struct State {
    machine: Machine,
    /// Where pings go to: any subject of the stream.
    subject: Option<Subject>,
}

impl Shared {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn reply(&self, seq: u64, operation: Operation) -> Subject {
        format!("{}{seq}.{}.$FI", self.prefix, operation as u8).into()
    }

    /// Has the machine do something, and does what it wants.
    fn drive(&self, input: impl FnOnce(&mut Machine, Duration) -> Option<Effect>) {
        let mut state = lock(&self.state);
        let news = match input(&mut state.machine, self.now()) {
            Some(Effect::Tell(news)) => Some(news),
            Some(Effect::Ping(seq)) => self.say(&state, seq, Operation::Ping),
            Some(Effect::End(seq)) => self.say(&state, seq, Operation::End),
            None => None,
        };
        drop(state);
        self.changed.notify_waiters();
        if let Some(news) = news {
            (self.tell)(news);
        }
    }

    /// Sends what is no message.
    fn say(&self, state: &State, seq: u64, operation: Operation) -> Option<News> {
        if let (Some(subject), Some(link)) = (&state.subject, self.link.upgrade()) {
            let reply = Some(self.reply(seq, operation));
            // Fails only at the end of everything.
            let _ = link.publish(Outgoing { reply, ..Outgoing::new(subject.clone(), "") });
        }
        None
    }

    /// What comes out of the machine as soon as something does.
    async fn until<T>(&self, mut look: impl FnMut(&Machine) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = look(&lock(&self.state).machine) {
                return found;
            }
            changed.await;
        }
    }
}

/// What the server says to the inbox of the batch.
struct Inbox(Arc<Shared>);

impl Sink for Inbox {
    fn message(&mut self, message: Message) {
        self.0.drive(|machine, now| machine.receive(message.status(), message.payload(), now));
    }

    fn ended(&mut self) {
        self.0.drive(|machine, _| {
            machine.end(Error::connection_closed());
            None
        });
    }
}

impl Fast {
    /// A batch that begins with the first message. News are told on the runtime thread.
    ///
    /// # Errors
    /// `ErrConnectionClosed`.
    pub fn open(
        link: Link,
        settings: &FastSettings,
        tell: impl Fn(News) + Send + Sync + 'static,
    ) -> Result<Fast> {
        // The inbox is the batch's own, and so its last word serves as the name.
        let inbox = link.inboxes()();
        let id = inbox.rsplit('.').next().unwrap_or_default().to_owned();
        let gap = if settings.strict { "fail" } else { "ok" };
        let shared = Arc::new(Shared {
            prefix: format!("{inbox}.{id}.{}.{gap}.", settings.flow),
            start: Instant::now(),
            link: link.downgrade(),
            state: Mutex::new(State {
                machine: Machine::new(settings.strict, settings.patience),
                subject: None,
            }),
            changed: Notify::new(),
            tell: Box::new(tell),
        });
        let sink = Box::new(Inbox(shared.clone()));
        let subscription = link.subscribe(&format!("{inbox}.{id}.>"), None, None, sink)?;
        link.spawn(watch(Arc::downgrade(&shared), link.connected()));
        Ok(Fast { shared, link, subscription })
    }

    /// Whether a message can go out now: the server takes it, and little waits to be written.
    pub fn has_room(&self) -> bool {
        let room = lock(&self.shared.state).machine.room();
        room != Room::Later && self.link.waiting().1 < UNWRITTEN
    }

    /// Waits for that.
    pub fn room(&self) -> impl Future<Output = ()> + Send + use<> {
        let (shared, link) = (self.shared.clone(), self.link.downgrade());
        async move {
            shared.until(|machine| (machine.room() != Room::Later).then_some(())).await;
            while link.upgrade().is_some_and(|link| link.waiting().1 >= UNWRITTEN) {
                tokio::time::sleep(WRITING).await;
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// If the batch is over; those of [`Link::publish`], and then it is as it was before.
    pub fn add(&self, out: Outgoing) -> Result<u64> {
        let mut state = lock(&self.shared.state);
        let (seq, operation) = state.machine.add(self.shared.now())?;
        if let Err(error) = self.send(&mut state, out, seq, operation) {
            state.machine.take_back();
            return Err(error);
        }
        Ok(seq)
    }

    /// Ends the batch with a last message, or without; what it comes to is awaited.
    ///
    /// # Errors
    /// As [`Fast::add`].
    pub fn commit(
        &self,
        last: Option<Outgoing>,
    ) -> Result<impl Future<Output = Result<Value>> + Send + use<>> {
        let mut state = lock(&self.shared.state);
        if let Some((seq, operation)) = state.machine.commit(last.is_some(), self.shared.now())? {
            let subject = state.subject.clone();
            let out = last.or_else(|| subject.map(|subject| Outgoing::new(subject, "")));
            if let Some(out) = out {
                self.send(&mut state, out, seq, operation)
                    .inspect_err(|error| state.machine.end(error.clone()))?;
            }
        }
        drop(state);
        let shared = self.shared.clone();
        Ok(async move { shared.until(Machine::outcome).await })
    }

    fn send(&self, state: &mut State, out: Outgoing, seq: u64, operation: Operation) -> Result<()> {
        let subject = out.subject.clone();
        self.link.publish(Outgoing { reply: Some(self.shared.reply(seq, operation)), ..out })?;
        state.subject = Some(subject);
        Ok(())
    }

    /// How many messages were added.
    pub fn count(&self) -> u64 {
        lock(&self.shared.state).machine.sent()
    }
}

impl Drop for Fast {
    fn drop(&mut self) {
        self.link.unsubscribe(self.subscription, None);
    }
}

/// Tells the machine the time, and whether there is a connection.
async fn watch(shared: Weak<Shared>, mut connected: tokio::sync::watch::Receiver<ConnState>) {
    loop {
        let up = matches!(*connected.borrow_and_update(), ConnState::Connected(_));
        {
            let Some(shared) = shared.upgrade() else { return };
            shared.drive(|machine, now| machine.connected(up, now).or_else(|| machine.tick(now)));
            if lock(&shared.state).machine.is_over() {
                return;
            }
        }
        // A link that has gone ends this task.
        let _ = tokio::time::timeout(TICK, connected.changed()).await;
    }
}
