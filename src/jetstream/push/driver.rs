//! Drives the machine: a task on the runtime thread, and the handle to it.

use super::machine::{Action, Consumer, Machine, State};
use super::unreadable::Search;
use crate::bridge::Sender;
use crate::error::{Kind, Result};
use crate::jetstream::api::{Api, Op};
use crate::jetstream::delivery::{self, Delivered};
use crate::jetstream::metadata::Metadata;
use crate::lock::lock;
use crate::transport::{
    ConnState, How, Link, Message, Outgoing, PackedMessage, RequestId, Sink, SubId,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// What happens to the consumer, in order.
pub enum Event {
    Delivered(Delivered),
    State(State, Option<(Kind, String)>),
    Warning(Kind, String),
    /// The program hears of this when the coroutine that is told of it is not busy any more.
    Report(&'static str),
    /// All that had come before `drain` has been handed over.
    Drained,
}

impl delivery::Event for Event {
    fn is_message(&self) -> bool {
        matches!(self, Event::Delivered(_))
    }

    fn into_message(self) -> Option<Delivered> {
        match self {
            Event::Delivered(message) => Some(message),
            _ => None,
        }
    }
}

/// What the threads tell each other.
#[derive(Default)]
struct Signals {
    consumed: AtomicU64,
    handed_over: AtomicU64,
    /// The machine waits for credit.
    owes: AtomicBool,
    stopped: AtomicBool,
    wake: Notify,
}

/// Locked for a moment only, and never twice: nothing that is called with it calls back.
pub(super) struct Driver {
    pub(super) me: Weak<Mutex<Driver>>,
    pub(super) api: Api,
    pub(super) stream: String,
    pub(super) name: String,
    pub(super) machine: Machine,
    pub(super) events: Sender<Event>,
    signals: Arc<Signals>,
    subscription: Option<SubId>,
    question: Option<RequestId>,
    /// For what may have cost the connection.
    pub(super) search: Search,
    timer: Option<Instant>,
    handed_over: u64,
    /// Kept for its memory.
    actions: Vec<Action>,
}

/// The handle; dropping it ends the consumption.
pub struct PushConsumer {
    signals: Arc<Signals>,
    driver: Arc<Mutex<Driver>>,
}

impl PushConsumer {
    /// Listens from now on.
    ///
    /// # Errors
    /// For a subject that nobody can subscribe to, and a closed link.
    pub fn start(
        api: Api,
        stream: String,
        name: String,
        consumer: Consumer,
        events: Sender<Event>,
    ) -> Result<PushConsumer> {
        let signals = Arc::new(Signals::default());
        let link = api.link.clone();
        let machine = Machine::new(consumer, *link.connected().borrow(), Instant::now());
        let driver = Arc::new_cyclic(|me| {
            Mutex::new(Driver {
                me: me.clone(),
                api,
                stream,
                name,
                machine,
                events,
                signals: signals.clone(),
                subscription: None,
                question: None,
                search: Search::default(),
                timer: None,
                handed_over: 0,
                actions: Vec::new(),
            })
        });
        lock(&driver).subscribe()?;
        let this = PushConsumer { signals, driver };
        this.drive(&link, |driver| driver.input(|machine, now, out| machine.start(now, out)));
        Ok(this)
    }

    fn drive(&self, link: &Link, begin: impl FnOnce(&mut Driver) + Send + 'static) {
        link.spawn(run(self.driver.clone(), self.signals.clone(), link.connected(), begin));
    }

    /// Goes on over another link, after the one it had was closed.
    pub fn resume(&self, link: &Link) {
        if self.signals.stopped.load(Ordering::Acquire) {
            return;
        }
        let (link, state) = (link.clone(), link.connected());
        let taken = link.clone();
        self.drive(&link, move |driver| {
            driver.api.link = taken;
            driver.subscription = None;
            driver.question = None;
            let now_is = *state.borrow();
            driver.input(|machine, now, out| machine.revive(now_is, now, out));
        });
    }

    /// The program has dealt with so many more messages.
    pub fn consumed(&self, count: u64) {
        // Pairs with `Driver::settle_credit`: one of the two sees what the other has written.
        self.signals.consumed.fetch_add(count, Ordering::SeqCst);
        if self.signals.owes.load(Ordering::SeqCst) {
            self.signals.wake.notify_one();
        }
    }

    /// How many messages were handed over to the Tcl thread.
    pub fn handed_over(&self) -> u64 {
        self.signals.handed_over.load(Ordering::Relaxed)
    }

    /// Has the server send nothing more; what it has sent is delivered, then comes
    /// [`Event::Drained`].
    pub fn drain(&self) {
        let (subscription, link, events) = self.ends();
        let Some(id) = subscription else { return events.send(Event::Drained) };
        let told = events.clone();
        let asked = link.drain(vec![id], Some(DRAINED), move || told.send(Event::Drained));
        if asked.is_err() {
            return events.send(Event::Drained);
        }
        // Without an answer it ends as well.
        link.spawn(async move {
            tokio::time::sleep(DRAINED).await;
            events.send(Event::Drained);
        });
    }

    /// Nothing more is delivered.
    pub fn stop(&self) {
        if self.signals.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        if let (Some(id), link, _) = self.ends() {
            link.unsubscribe(id, None);
        }
        self.signals.wake.notify_one();
    }

    /// Sends [`Event::Drained`] behind what was sent.
    pub fn say_drained(&self) {
        self.ends().2.send(Event::Drained);
    }

    /// Where messages come from, and where they go.
    fn ends(&self) -> (Option<SubId>, Link, Sender<Event>) {
        let driver = lock(&self.driver);
        (driver.subscription, driver.api.link.clone(), driver.events.clone())
    }
}

impl Drop for PushConsumer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How long the server may take to confirm that it sends nothing more.
const DRAINED: Duration = Duration::from_secs(5);

async fn run(
    driver: Arc<Mutex<Driver>>,
    signals: Arc<Signals>,
    mut state: watch::Receiver<ConnState>,
    begin: impl FnOnce(&mut Driver),
) {
    let _end = CloseOnDrop(driver.clone());
    state.borrow_and_update();
    begin(&mut lock(&driver));
    loop {
        let timer = lock(&driver).timer;
        let alarm = async {
            match timer {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = signals.wake.notified() => {}
            changed = state.changed() => {
                let now_is = match changed {
                    Ok(()) => *state.borrow_and_update(),
                    Err(_) => ConnState::Closed,
                };
                lock(&driver).input(|machine, now, out| machine.connection(now_is, now, out));
            }
            () = alarm => {
                let mut driver = lock(&driver);
                driver.timer = None;
                driver.input(|machine, now, out| machine.tick(now, out));
            }
        }
        let mut driver = lock(&driver);
        if signals.stopped.load(Ordering::Acquire) {
            break;
        }
        driver.settle_credit();
    }
    let mut driver = lock(&driver);
    driver.search.end();
    driver.cancel();
}

/// A link that is closed drops its tasks; this is how they hear of it.
struct CloseOnDrop(Arc<Mutex<Driver>>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let mut driver = lock(&self.0);
        if !driver.signals.stopped.load(Ordering::Acquire) {
            driver.input(|machine, now, out| machine.connection(ConnState::Closed, now, out));
        }
    }
}

impl Driver {
    fn input(&mut self, step: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>)) {
        self.deliver(step, None);
    }

    /// The same with the message that it is about.
    fn deliver(
        &mut self,
        step: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>),
        mut message: Option<Message>,
    ) {
        let mut actions = std::mem::take(&mut self.actions);
        step(&mut self.machine, Instant::now(), &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Deliver => {
                    if let Some(message) = message.take() {
                        self.hand_over(Delivered::Message(PackedMessage::new(message)));
                    }
                }
                // Fails only when the link is closed.
                Action::Publish(subject) => {
                    let _ = self.api.link.publish(Outgoing::new(subject, ""));
                }
                Action::AskConsumer { token } => self.ask(token),
                Action::Look => self.look(),
                Action::Subscribe => {
                    if let Some(id) = self.subscription.take() {
                        self.api.link.unsubscribe(id, None);
                    }
                    if let Err(error) = self.subscribe() {
                        self.events.send(Event::Warning(error.kind, error.message.into_owned()));
                    }
                }
                Action::State(state, error) => self.events.send(Event::State(state, error)),
                Action::Warning(kind, text) => self.events.send(Event::Warning(kind, text)),
                Action::SetTimer(at) => {
                    self.timer = Some(at);
                    self.signals.wake.notify_one();
                }
            }
        }
        self.actions = actions;
    }

    pub(super) fn hand_over(&mut self, message: Delivered) {
        self.handed_over += 1;
        self.signals.handed_over.store(self.handed_over, Ordering::Relaxed);
        self.events.send(Event::Delivered(message));
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.signals.stopped.load(Ordering::Acquire)
    }

    fn subscribe(&mut self) -> Result<()> {
        let Some(driver) = self.me.upgrade() else { return Ok(()) };
        let consumer = self.machine.consumer();
        let (subject, group) = (&consumer.subject, consumer.group.as_deref());
        let sink = Box::new(Inbox(driver));
        self.subscription = Some(self.api.link.subscribe(subject, group, None, sink)?);
        Ok(())
    }

    fn ask(&mut self, token: u64) {
        let me = self.me.clone();
        let op = Op::ConsumerInfo { stream: &self.stream, consumer: &self.name };
        let how = How { timeout: self.api.timeout, quiet: true, ..How::default() };
        // Not sent means closed, and the end of the task follows.
        let asked = self.api.request_as(op, "", how, move |answer| {
            if let Some(driver) = me.upgrade() {
                lock(&driver).input(|machine, now, out| {
                    machine.consumer_info(token, answer.as_ref(), now, out);
                });
            }
        });
        self.cancel();
        self.question = asked.ok();
    }

    fn cancel(&mut self) {
        if let Some(id) = self.question.take() {
            self.api.link.cancel(id);
        }
    }

    /// Pays with the credit there is, and asks the handle to call when there is more.
    fn settle_credit(&mut self) {
        self.signals.owes.store(self.machine.owes(), Ordering::SeqCst);
        if self.machine.owes() {
            let total = self.signals.consumed.load(Ordering::SeqCst);
            self.input(|machine, _, out| machine.consumed(total, out));
            self.signals.owes.store(self.machine.owes(), Ordering::SeqCst);
        }
    }

    /// A heartbeat or a flow control request.
    fn control(&mut self, message: &Message) {
        let description = message.description().unwrap_or("");
        if message.status() != Some(100) || !message.payload().is_empty() {
            return;
        }
        if description.starts_with("Idle") {
            let last = message.header("Nats-Last-Consumer").and_then(|seq| seq.parse().ok());
            let stalled = message.header("Nats-Consumer-Stalled");
            self.input(|machine, now, out| machine.heartbeat(last, stalled, now, out));
        } else if description.starts_with("Flow")
            && let Some(reply) = message.reply()
        {
            self.input(|machine, now, out| machine.flow_control(reply, now, out));
        }
        self.settle_credit();
    }
}

struct Inbox(Arc<Mutex<Driver>>);

impl Sink for Inbox {
    fn message(&mut self, message: Message) {
        let mut driver = lock(&self.0);
        if driver.signals.stopped.load(Ordering::Acquire) {
            return;
        }
        let Some(meta) = message.reply().and_then(Metadata::parse) else {
            // Not before: old servers deliver what was stored with a status of its own.
            if message.status().is_some() {
                driver.control(&message);
            }
            return;
        };
        // What somebody else sends to the subject is nothing of the stream's.
        if meta.stream != driver.stream || meta.consumer != driver.name {
            return;
        }
        let number = meta.consumer_seq;
        driver.deliver(|machine, now, out| machine.message(number, now, out), Some(message));
    }

    /// The end of the task tells the same.
    fn ended(&mut self) {}
}
