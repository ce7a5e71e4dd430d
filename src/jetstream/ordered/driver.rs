//! Drives the machine: its actions become subscriptions, requests, timers and calls to an observer,
//! and what comes back becomes its inputs.
//!
//! Everything happens on the runtime thread of the link, the handle excepted: that one only counts,
//! sets a flag, and wakes the task. So a user who is busy elsewhere never delays the supervision.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::machine::{Action, Connection, Machine, Surroundings};
use super::{Spec, State};
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::Api;
use crate::jetstream::consumer::config::reply;
use crate::jetstream::metadata::Metadata;
use crate::jetstream::stored::StoredMessage;
use crate::lock::lock;
use crate::transport::{ConnState, Link, Message, Outgoing, Sink, SubId};

/// Is told what happens, on the runtime thread. Must not block.
pub trait Observer: Send {
    /// The next message. It keeps its read buffer alive: copy what is needed.
    fn entry(&mut self, message: &Message, meta: &Metadata<'_>);
    /// The next message, where the engine could not read it as one.
    fn stored(&mut self, stored: &StoredMessage);
    /// What was there at the start has been delivered. Called once.
    fn end_of_data(&mut self);
    /// The stream is being asked which subjects it has; see [`Spec::roll_call`].
    fn roll_call_begins(&mut self);
    /// These are there, or have come since the roll call began. May never come; the next roll call
    /// begins anew.
    fn roll_call(&mut self, present: HashSet<String>);
    fn last_error(&mut self, kind: Kind, text: String);
    fn state(&mut self, state: State);
    /// A consumer has been created, the first one or another in its place. Times are in ms.
    fn created(&mut self, info: &Value);
}

/// The result of the first creation, told on the runtime thread. Messages may come before it. Not
/// called after `stop`.
pub type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// Handle to a running ordered consumer; dropping it stops the consumer.
pub struct OrderedConsumer {
    shared: Arc<Shared>,
    cell: Cell,
}

impl OrderedConsumer {
    /// Starts to create it.
    pub fn start(api: Api, spec: Spec, observer: Box<dyn Observer>, done: Done) -> Self {
        let shared = Arc::new(Shared::default());
        let link = api.link.clone();
        let around = Surroundings {
            api_prefix: api.prefix.clone(),
            timeout: api.timeout,
            connection: connection(*link.connected().borrow()),
            new_inbox: link.inboxes(),
            seed: rand::random(),
        };
        let cell = Arc::new(Mutex::new(Driver {
            api,
            machine: Machine::new(spec, around, Instant::now()),
            observer,
            done: Some(done),
            shared: shared.clone(),
            subscription: None,
            timer: None,
            actions: Vec::new(),
        }));
        let this = OrderedConsumer { shared, cell };
        this.drive(&link, |machine, connection, now, out| {
            machine.connection(connection, now, out);
            machine.start(now, out);
        });
        this
    }

    /// Goes on over another link, after the one it had was closed. One that was stopped, or whose
    /// stream has gone, stays as it is.
    pub fn resume(&self, link: &Link) {
        if self.shared.stopped.load(Ordering::Acquire) {
            return;
        }
        lock(&self.cell).api.link = link.clone();
        let inboxes = link.inboxes();
        self.drive(link, |machine, connection, now, out| {
            machine.use_inboxes(inboxes);
            machine.revive(connection, now, out);
        });
    }

    fn drive(
        &self,
        link: &Link,
        begin: impl FnOnce(&mut Machine, Connection, Instant, &mut Vec<Action>) + Send + 'static,
    ) {
        let state = link.connected();
        link.spawn(run(self.cell.clone(), self.shared.clone(), state, begin));
    }

    /// The user has dealt with `count` more entries. What is never confirmed stops the flow, in the
    /// end: so memory is bounded.
    pub fn consumed(&self, count: u64) {
        // Pairs with `Driver::settle_credit`: one of the two sees what the other has written.
        self.shared.consumed.fetch_add(count, Ordering::SeqCst);
        if self.shared.owes.load(Ordering::SeqCst) {
            self.shared.wake.notify_one();
        }
    }

    /// Ends it. The observer is told nothing more.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }

    /// The last creation's consumer info, times in ms.
    pub fn info(&self) -> Option<Arc<Value>> {
        lock(&self.shared.public).info.clone()
    }

    /// The server's name of the present consumer; empty while there is none.
    pub fn name(&self) -> String {
        lock(&self.shared.public).name.clone()
    }
}

impl Drop for OrderedConsumer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What handle and driver share.
#[derive(Default)]
struct Shared {
    consumed: AtomicU64,
    /// The machine waits for credit.
    owes: AtomicBool,
    stopped: AtomicBool,
    wake: Notify,
    public: Mutex<Public>,
}

#[derive(Default)]
struct Public {
    name: String,
    info: Option<Arc<Value>>,
}

/// Locked on the runtime thread only, and never twice: nothing that is called with it calls back.
struct Driver {
    api: Api,
    machine: Machine,
    observer: Box<dyn Observer>,
    done: Option<Done>,
    shared: Arc<Shared>,
    subscription: Option<SubId>,
    timer: Option<Instant>,
    /// Kept for its memory: the hot path allocates nothing.
    actions: Vec<Action>,
}

/// What an input is about, beyond the machine's own knowledge.
enum Subject<'a> {
    Nothing,
    Message(&'a Message, &'a Metadata<'a>),
    Stored(&'a StoredMessage),
    Present(HashSet<String>),
    /// A reply to the create request.
    Info(Value),
}

type Cell = Arc<Mutex<Driver>>;

async fn run(
    cell: Cell,
    shared: Arc<Shared>,
    mut state: watch::Receiver<ConnState>,
    begin: impl FnOnce(&mut Machine, Connection, Instant, &mut Vec<Action>),
) {
    let _end = CloseOnDrop(cell.clone());
    let now_is = connection(*state.borrow_and_update());
    input(&cell, Subject::Nothing, |machine, now, out| begin(machine, now_is, now, out));
    loop {
        let timer = lock(&cell).timer;
        let alarm = async {
            match timer {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.wake.notified() => {}
            changed = state.changed() => {
                let now_is = match changed {
                    Ok(()) => connection(*state.borrow_and_update()),
                    Err(_) => Connection::Closed,
                };
                input(&cell, Subject::Nothing, |machine, now, out| {
                    machine.connection(now_is, now, out);
                });
            }
            () = alarm => {
                lock(&cell).timer = None;
                input(&cell, Subject::Nothing, |machine, now, out| machine.tick(now, out));
            }
        }
        let mut driver = lock(&cell);
        if shared.stopped.load(Ordering::Acquire) || driver.machine.is_stopped() {
            break;
        }
        driver.settle_credit(&cell);
    }
    input(&cell, Subject::Nothing, |machine, _, out| machine.stop(out));
}

fn connection(state: ConnState) -> Connection {
    match state {
        ConnState::Connected(generation) => Connection::Connected(generation),
        ConnState::Disconnected => Connection::Disconnected,
        ConnState::Closed => Connection::Closed,
    }
}

/// A link that is closed drops its tasks; this is how they hear of it.
struct CloseOnDrop(Cell);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        input(&self.0, Subject::Nothing, |machine, now, out| {
            machine.connection(Connection::Closed, now, out);
        });
    }
}

/// Feeds an input and does what comes out.
fn input(
    cell: &Cell,
    subject: Subject<'_>,
    feed: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>),
) {
    lock(cell).input(cell, subject, feed);
}

impl Driver {
    fn input(
        &mut self,
        cell: &Cell,
        subject: Subject<'_>,
        feed: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>),
    ) {
        let mut actions = std::mem::take(&mut self.actions);
        feed(&mut self.machine, Instant::now(), &mut actions);
        self.perform(cell, subject, &mut actions);
        self.actions = actions;
    }

    fn perform(&mut self, cell: &Cell, mut subject: Subject<'_>, actions: &mut Vec<Action>) {
        // What could not even be sent; told to the machine when all else has been done.
        let mut failed: Option<(u64, Error)> = None;
        for action in actions.drain(..) {
            match action {
                Action::Deliver => {
                    if let Subject::Message(message, meta) = &subject {
                        self.observer.entry(message, meta);
                    }
                }
                Action::DeliverStored => {
                    if let Subject::Stored(stored) = &subject {
                        self.observer.stored(stored);
                    }
                }
                Action::EndOfData => self.observer.end_of_data(),
                Action::State(state) => self.observer.state(state),
                Action::LastError(kind, text) => {
                    self.publish_name();
                    self.observer.last_error(kind, text);
                }
                Action::Created => {
                    if let Subject::Info(info) = std::mem::replace(&mut subject, Subject::Nothing) {
                        self.created(info);
                    }
                }
                Action::Failed(error) => {
                    if let Some(done) = self.done.take() {
                        done(Err(error));
                    }
                }
                Action::SetTimer(at) => {
                    self.timer = Some(at);
                    self.shared.wake.notify_one();
                }
                Action::Publish { subject } => {
                    // Fails only when the link is closed, and then nobody waits for it.
                    let _ = self.api.link.publish(Outgoing::new(subject, ""));
                }
                Action::Unsubscribe => {
                    if let Some(id) = self.subscription.take() {
                        self.api.link.unsubscribe(id, None);
                    }
                    self.publish_name();
                }
                Action::Subscribe { incarnation, inbox } => {
                    let sink = Inbox { cell: cell.clone(), incarnation };
                    match self.api.link.subscribe(&inbox, None, None, Box::new(sink)) {
                        Ok(id) => self.subscription = Some(id),
                        Err(error) => failed = Some((incarnation, error)),
                    }
                }
                Action::Create { incarnation, request, timeout } => {
                    let cell = cell.clone();
                    let sent =
                        self.api.request(&request.op, request.body, timeout, move |answer| {
                            create_answer(&cell, incarnation, answer);
                        });
                    if let Err(error) = sent {
                        failed = Some((incarnation, error));
                    }
                }
                Action::AskCreated { incarnation, op, timeout } => {
                    let cell = cell.clone();
                    // Not sent means closed: the end of the task follows.
                    let _ = self.api.request(&op, "", Some(timeout), move |answer| {
                        create_answer(&cell, incarnation, answer);
                    });
                }
                Action::AskConsumer { token, op } => {
                    let cell = cell.clone();
                    // Not sent means closed: the end of the task follows.
                    let _ = self.api.request(&op, "", self.api.timeout, move |answer| {
                        input(&cell, Subject::Nothing, |machine, now, out| {
                            machine.consumer_info(token, answer.as_ref(), now, out);
                        });
                    });
                }
                Action::AskMessage { token, op, body } => {
                    let cell = cell.clone();
                    let _ = self.api.request(&op, body, self.api.timeout, move |answer| {
                        let stored = answer.and_then(|reply| StoredMessage::from_reply(&reply));
                        let subject = stored.as_ref().map_or(Subject::Nothing, Subject::Stored);
                        input(&cell, subject, |machine, now, out| {
                            machine.next_message(token, stored.as_ref(), now, out);
                        });
                    });
                }
                Action::CallRoll { token, op, filter } => {
                    self.observer.roll_call_begins();
                    let (cell, api) = (cell.clone(), self.api.clone());
                    let link = api.link.clone();
                    link.spawn(async move {
                        let (subject, answer) = match api.subjects(&op, &filter).await {
                            Ok(present) => (Subject::Present(present), Ok(())),
                            Err(error) => (Subject::Nothing, Err(error)),
                        };
                        input(&cell, subject, |machine, now, out| {
                            machine.roll_called(token, answer.as_ref().copied(), now, out);
                        });
                    });
                }
                Action::RollCalled => {
                    if let Subject::Present(present) =
                        std::mem::replace(&mut subject, Subject::Nothing)
                    {
                        self.observer.roll_call(present);
                    }
                }
                Action::AskStream { token, op, timeout } => {
                    let cell = cell.clone();
                    let _ = self.api.request(&op, "", Some(timeout), move |answer| {
                        input(&cell, Subject::Nothing, |machine, now, out| {
                            machine.stream_info(token, answer.as_ref(), now, out);
                        });
                    });
                }
            }
        }
        if self.machine.is_stopped() {
            // For the task to end.
            self.shared.wake.notify_one();
        }
        if let Some((incarnation, error)) = failed {
            self.machine.create_failed(incarnation, error, Instant::now(), actions);
            self.perform(cell, Subject::Nothing, actions);
        }
    }

    fn created(&mut self, mut info: Value) {
        reply::TABLE.show(&mut info);
        let info = Arc::new(info);
        lock(&self.shared.public).info = Some(info.clone());
        self.publish_name();
        self.observer.created(&info);
        if let Some(done) = self.done.take() {
            done(Ok(()));
        }
    }

    fn publish_name(&self) {
        self.machine.name().clone_into(&mut lock(&self.shared.public).name);
    }

    /// Pays with the credit there is, and asks the handle to call when there is more.
    fn settle_credit(&mut self, cell: &Cell) {
        self.shared.owes.store(self.machine.owes(), Ordering::SeqCst);
        if self.machine.owes() {
            let total = self.shared.consumed.load(Ordering::SeqCst);
            self.input(cell, Subject::Nothing, |machine, _, out| machine.consumed(total, out));
            self.shared.owes.store(self.machine.owes(), Ordering::SeqCst);
        }
    }
}

fn create_answer(cell: &Cell, incarnation: u64, answer: Result<Value>) {
    match answer {
        Ok(info) => {
            let mut driver = lock(cell);
            let mut actions = std::mem::take(&mut driver.actions);
            driver.machine.create_reply(incarnation, &info, Instant::now(), &mut actions);
            driver.perform(cell, Subject::Info(info), &mut actions);
            driver.actions = actions;
        }
        Err(error) => input(cell, Subject::Nothing, |machine, now, out| {
            machine.create_failed(incarnation, error, now, out);
        }),
    }
}

/// The inbox of one incarnation.
struct Inbox {
    cell: Cell,
    incarnation: u64,
}

impl Sink for Inbox {
    fn message(&mut self, message: Message) {
        let mut driver = lock(&self.cell);
        if driver.shared.stopped.load(Ordering::Acquire) {
            return;
        }
        let incarnation = self.incarnation;
        if message.status().is_some() {
            driver.control(&self.cell, incarnation, &message);
        } else if let Some(meta) = message.reply().and_then(Metadata::parse) {
            driver.input(&self.cell, Subject::Message(&message, &meta), |machine, now, out| {
                machine.message(incarnation, &meta, now, out);
            });
        }
    }

    /// The end of the task tells the same, and in every phase.
    fn ended(&mut self) {}
}

impl Driver {
    fn control(&mut self, cell: &Cell, incarnation: u64, message: &Message) {
        let description = message.description().unwrap_or("");
        if message.status() != Some(100) || !message.payload().is_empty() {
            return;
        }
        if description.starts_with("Idle") {
            let last = message.header("Nats-Last-Consumer").and_then(|seq| seq.parse().ok());
            let stalled = message.header("Nats-Consumer-Stalled");
            self.input(cell, Subject::Nothing, |machine, now, out| {
                machine.heartbeat(incarnation, last, stalled, now, out);
            });
        } else if description.starts_with("Flow")
            && let Some(reply) = message.reply()
        {
            self.input(cell, Subject::Nothing, |machine, now, out| {
                machine.flow_control(incarnation, reply, now, out);
            });
        }
        self.settle_credit(cell);
    }
}
