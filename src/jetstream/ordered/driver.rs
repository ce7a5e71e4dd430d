//! Drives the machine: what comes back from the server becomes its inputs, and its actions are
//! performed (`perform`).

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use serde_json::Value;

use super::consumer::{Done, Observer, Signals};
use super::machine::{Action, Machine};
use crate::jetstream::api::Api;
use crate::jetstream::metadata::Metadata;
use crate::jetstream::roll::Roll;
use crate::jetstream::stored::StoredMessage;
use crate::lock::lock;
use crate::transport::{Link, Message, RequestId, Sink, SubId, Task};

/// Locked on the runtime thread only, and never twice: nothing that is called with it calls back.
pub(super) struct Driver {
    pub(super) me: Weak<Mutex<Driver>>,
    pub(super) api: Api,
    pub(super) machine: Machine,
    pub(super) observer: Box<dyn Observer>,
    pub(super) done: Option<Done>,
    pub(super) signals: Arc<Signals>,
    pub(super) subscription: Option<SubId>,
    pub(super) questions: Questions,
    pub(super) timer: Option<Instant>,
    /// What the present consumer has sent behind a leap; see `machine::leap`.
    pub(super) kept_back: VecDeque<Message>,
    /// Kept for its memory: the hot path allocates nothing.
    actions: Vec<Action>,
}

pub(super) type SharedDriver = Arc<Mutex<Driver>>;

/// What the server has been asked last, one of each kind.
#[derive(Default)]
pub(super) struct Questions {
    /// For what the reply to the create request would have said.
    pub created: Option<RequestId>,
    /// A create request that may take for ever. The others end by themselves; see `perform`.
    pub unlimited: Option<RequestId>,
    pub consumer: Option<RequestId>,
    pub stream: Option<RequestId>,
    pub message: Option<Task>,
    pub subjects: Option<Task>,
}

impl Questions {
    fn cancel(self, link: &Link) {
        let requests = [self.created, self.unlimited, self.consumer, self.stream];
        for id in requests.into_iter().flatten() {
            link.cancel(id);
        }
        for task in [self.message, self.subjects].into_iter().flatten() {
            task.abort();
        }
    }
}

/// What comes with an input for the user and means nothing to the machine.
pub(super) enum Attachment<'a> {
    Nothing,
    Message(&'a Message, &'a Metadata<'a>),
    Stored(&'a StoredMessage),
    /// The subjects that there are.
    Present(Arc<Roll>),
    /// A reply to the create request.
    Info(Value),
}

impl Attachment<'_> {
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Attachment::Nothing)
    }
}

/// Feeds an input and does what comes out.
pub(super) fn input(
    driver: &SharedDriver,
    attachment: Attachment<'_>,
    step: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>),
) {
    lock(driver).input(attachment, step);
}

impl Driver {
    pub(super) fn new(
        api: Api,
        machine: Machine,
        observer: Box<dyn Observer>,
        done: Done,
        signals: Arc<Signals>,
    ) -> SharedDriver {
        Arc::new_cyclic(|me| {
            Mutex::new(Driver {
                me: me.clone(),
                api,
                machine,
                observer,
                done: Some(done),
                signals,
                subscription: None,
                questions: Questions::default(),
                timer: None,
                kept_back: VecDeque::new(),
                actions: Vec::new(),
            })
        })
    }

    /// The link it had is closed, and has ended all that was under way.
    pub(super) fn use_link(&mut self, link: &Link) {
        self.questions = Questions::default();
        self.api.link = link.clone();
    }

    pub(super) fn timer(&self) -> Option<Instant> {
        self.timer
    }

    /// Whether the reply to the create request of this incarnation is still waited for.
    pub(super) fn is_creating(&self, incarnation: u64) -> bool {
        !self.signals.stopped.load(Ordering::Acquire) && self.machine.is_creating(incarnation)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.machine.is_stopped()
    }

    /// What somebody else in the program did to the stream.
    pub(super) fn take_news(&mut self) {
        if self.signals.emptied.swap(false, Ordering::SeqCst) {
            self.input(Attachment::Nothing, |machine, now, out| machine.emptied(now, out));
        }
        if self.signals.remade.swap(false, Ordering::SeqCst) {
            self.input(Attachment::Nothing, |machine, _, out| machine.remade(out));
        }
    }

    pub(super) fn input(
        &mut self,
        attachment: Attachment<'_>,
        step: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>),
    ) {
        let mut actions = std::mem::take(&mut self.actions);
        step(&mut self.machine, Instant::now(), &mut actions);
        self.perform(attachment, &mut actions);
        self.actions = actions;
    }

    /// The machine reads the reply first, then it goes to the observer.
    pub(super) fn create_reply(&mut self, incarnation: u64, info: Value) {
        let mut actions = std::mem::take(&mut self.actions);
        self.machine.create_reply(incarnation, &info, Instant::now(), &mut actions);
        self.perform(Attachment::Info(info), &mut actions);
        self.actions = actions;
    }

    pub(super) fn tick(&mut self) {
        self.timer = None;
        self.input(Attachment::Nothing, |machine, now, out| machine.tick(now, out));
    }

    /// Nobody wants to know any more what was asked.
    pub(super) fn stop(&mut self) {
        self.input(Attachment::Nothing, |machine, _, out| machine.stop(out));
        std::mem::take(&mut self.questions).cancel(&self.api.link);
    }

    /// Pays with the credit there is, and asks the handle to call when there is more.
    pub(super) fn settle_credit(&mut self) {
        self.signals.owes.store(self.machine.owes(), Ordering::SeqCst);
        if self.machine.owes() {
            let total = self.signals.consumed.load(Ordering::SeqCst);
            self.input(Attachment::Nothing, |machine, now, out| {
                machine.consumed(total, now, out);
            });
            self.signals.owes.store(self.machine.owes(), Ordering::SeqCst);
        }
    }

    /// What the consumer has sent. It stays in front of what is kept back if the machine says so.
    fn take(&mut self, incarnation: u64, message: Message) {
        // First: old servers deliver what was stored with a status of its own.
        if let Some(meta) = message.reply().and_then(Metadata::parse) {
            let size = message.payload().len() + OVERHEAD;
            self.input(Attachment::Message(&message, &meta), |machine, now, out| {
                machine.message(incarnation, message.subject(), &meta, size, now, out);
            });
        } else if message.status().is_some() {
            self.control(incarnation, &message);
        }
        if self.machine.keeps_back() {
            self.kept_back.push_front(message);
        }
    }

    /// Goes on with what was kept back, as far as it need not be any longer.
    pub(super) fn release(&mut self) {
        let incarnation = self.machine.incarnation();
        while !self.machine.keeps_back()
            && let Some(message) = self.kept_back.pop_front()
        {
            self.take(incarnation, message);
        }
    }

    /// A heartbeat or a flow control request.
    fn control(&mut self, incarnation: u64, message: &Message) {
        let description = message.description().unwrap_or("");
        if message.status() != Some(100) || !message.payload().is_empty() {
            return;
        }
        if description.starts_with("Idle") {
            let last = message.header("Nats-Last-Consumer").and_then(|seq| seq.parse().ok());
            let stalled = message.header("Nats-Consumer-Stalled");
            let come_to = message.header("Nats-Last-Stream").and_then(|seq| seq.parse().ok());
            self.input(Attachment::Nothing, |machine, now, out| {
                machine.heartbeat(incarnation, last, come_to, stalled, now, out);
            });
        } else if description.starts_with("Flow")
            && let Some(reply) = message.reply()
        {
            self.input(Attachment::Nothing, |machine, now, out| {
                machine.flow_control(incarnation, reply, now, out);
            });
        }
        self.settle_credit();
    }
}

/// Unless it is a stored message with a status of its own, which has a reply subject.
fn is_heartbeat(message: &Message) -> bool {
    let idle = |text: &str| text.starts_with("Idle");
    message.reply().is_none()
        && message.status() == Some(100)
        && message.description().is_some_and(idle)
}

/// What a message takes beside its payload, more or less.
const OVERHEAD: usize = 256;

/// The inbox of one incarnation.
pub(super) struct Inbox {
    pub driver: SharedDriver,
    pub incarnation: u64,
}

impl Sink for Inbox {
    fn message(&mut self, message: Message) {
        let mut driver = lock(&self.driver);
        if driver.signals.stopped.load(Ordering::Acquire) {
            return;
        }
        if driver.machine.keeps_back() {
            // What a heartbeat says is out of date when its turn comes, and the next one says it again.
            if !is_heartbeat(&message) {
                driver.kept_back.push_back(message);
            }
        } else {
            driver.take(self.incarnation, message);
        }
    }

    /// The end of the task tells the same, and in every phase.
    fn ended(&mut self) {}
}
