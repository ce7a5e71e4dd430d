//! Drives the machine: what comes from the server becomes its inputs, and its actions are performed
//! (`perform`).

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::buffer::Buffer;
use super::consumer::{Done, Signals};
use super::deliver::PullEvent;
use super::machine::{Action, Fate, Machine, Status};
use super::unreadable::Search;
use crate::bridge::Sender;
use crate::jetstream::api::Api;
use crate::jetstream::delivery::Delivered;
use crate::lock::lock;
use crate::transport::{Message, Outgoing, PackedMessage, RequestId, Sink};

/// Locked on the runtime thread, and on that of Tcl when there is no link; never twice: nothing that is
/// called with it calls back.
pub(super) struct Driver {
    pub(super) me: Weak<Mutex<Driver>>,
    pub(super) api: Api,
    pub(super) machine: Machine,
    pub(super) buffer: Arc<Buffer>,
    pub(super) events: Sender<PullEvent>,
    pub(super) done: Option<Done>,
    pub(super) signals: Arc<Signals>,
    pub(super) inbox: String,
    pub(super) question: Option<RequestId>,
    /// Hears that the server does not allow requests, or their inbox.
    pub(super) supervision: Option<RequestId>,
    /// For what may have cost the connection.
    pub(super) search: Search,
    pub(super) timer: Option<Instant>,
    /// Kept alive are messages that wait longer than this.
    pub(super) keep_alive: Option<Duration>,
    /// Kept for its memory: the hot path allocates nothing.
    actions: Vec<Action>,
}

pub(super) type SharedDriver = Arc<Mutex<Driver>>;

/// Feeds an input and does what comes out.
pub(super) fn input(
    driver: &SharedDriver,
    step: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>),
) {
    lock(driver).input(step);
}

impl Driver {
    pub(super) fn new(
        api: Api,
        machine: Machine,
        buffer: Arc<Buffer>,
        events: Sender<PullEvent>,
        done: Done,
        signals: Arc<Signals>,
    ) -> SharedDriver {
        Arc::new_cyclic(|me| {
            Mutex::new(Driver {
                me: me.clone(),
                api,
                machine,
                buffer,
                events,
                done: Some(done),
                signals,
                inbox: String::new(),
                question: None,
                supervision: None,
                search: Search::default(),
                timer: None,
                keep_alive: None,
                actions: Vec::new(),
            })
        })
    }

    pub(super) fn input(&mut self, step: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>)) {
        let mut actions = std::mem::take(&mut self.actions);
        step(&mut self.machine, Instant::now(), &mut actions);
        self.perform(&mut actions);
        self.actions = actions;
        self.settle_credit();
    }

    /// Says what the program has to have dealt with to be worth a word, and takes it in if it has.
    fn settle_credit(&mut self) {
        let signals = self.signals.clone();
        loop {
            let (messages, bytes) = self.machine.waits_for();
            signals.wake_at.store(messages, Ordering::SeqCst);
            signals.wake_at_bytes.store(bytes, Ordering::SeqCst);
            self.publish_asked();
            // Pairs with `PullConsumer::consumed`: one of the two sees what the other has written.
            if !signals.is_due() || !self.take_credit() {
                return;
            }
        }
    }

    /// Before anything is handed over, or `status` would count it twice.
    pub(super) fn publish_asked(&self) {
        self.signals.asked.store(self.machine.asked(), Ordering::Release);
    }

    /// What the program has dealt with meanwhile; whether that was news.
    pub(super) fn take_credit(&mut self) -> bool {
        let signals = self.signals.clone();
        let before = self.machine.counts_consumed();
        let bytes = signals.consumed_bytes.load(Ordering::SeqCst);
        let messages = signals.consumed.load(Ordering::SeqCst);
        let returned = signals.returned.load(Ordering::SeqCst);
        let mut actions = std::mem::take(&mut self.actions);
        self.machine.consumed(messages, bytes, returned, Instant::now(), &mut actions);
        self.perform(&mut actions);
        self.actions = actions;
        self.machine.counts_consumed() != before
    }

    pub(super) fn tick(&mut self) {
        self.timer = None;
        self.input(|machine, now, out| machine.tick(now, out));
    }

    /// What the program wants now.
    pub(super) fn take_wishes(&mut self) {
        let wishes = self.signals.wishes();
        self.input(|machine, now, out| {
            if wishes.stop {
                machine.stop(now, out);
            } else if wishes.drain {
                machine.drain(now, out);
            } else if wishes.pause {
                machine.pause(now, out);
            } else {
                machine.resume(now, out);
            }
        });
        self.take_credit();
        self.settle_credit();
    }

    fn message(&mut self, message: Message) {
        let size = message.size() as u64;
        let pin = self.machine.group().and_then(|_| message.last_header("Nats-Pin-Id"));
        let mut actions = std::mem::take(&mut self.actions);
        let fate = self.machine.message(size, pin, Instant::now(), &mut actions);
        let message = Delivered::Message(PackedMessage::new(message));
        self.publish_asked();
        match fate {
            Fate::Deliver => self.arrive(message, size),
            Fate::GiveBack => self.give_back(&message),
        }
        self.perform(&mut actions);
        self.actions = actions;
        self.settle_credit();
    }

    /// Hands it over, for the program, if that still wants messages.
    pub(super) fn arrive(&self, message: Delivered, size: u64) {
        let unwanted = match self.signals.leaving.load(Ordering::Acquire) {
            true => Some(message),
            false => self.buffer.arrive(message),
        };
        if let Some(message) = unwanted {
            self.give_back(&message);
            self.signals.give_back(1, size);
        }
    }

    /// Lets others have it at once.
    fn give_back(&self, message: &Delivered) {
        if let Some(reply) = message.reply() {
            // It comes again by itself, if later.
            let _ = self.api.link.publish(Outgoing::new(reply.to_owned(), "-NAK"));
        }
    }

    fn status(&mut self, incarnation: u64, id: u64, message: &Message) {
        let Some(code) = message.status() else { return };
        let number = |name: &str| message.header(name).and_then(|text| text.parse().ok());
        let left = number("Nats-Pending-Messages").zip(number("Nats-Pending-Bytes"));
        let description = message.description().unwrap_or("");
        let status = Status { code, description, left };
        self.input(|machine, now, out| machine.status(incarnation, id, status, now, out));
    }

    /// Tells the server that messages which have waited long are not forgotten.
    pub(super) fn keep_alive(&mut self) {
        let Some(age) = self.keep_alive else { return };
        for reply in self.buffer.older_than(age, Instant::now()) {
            let _ = self.api.link.publish(Outgoing::new(reply, "+WPI"));
        }
    }
}

/// The inbox of one incarnation.
pub(super) struct Inbox {
    pub driver: SharedDriver,
    pub incarnation: u64,
    /// With its final dot.
    pub prefix: String,
}

impl Sink for Inbox {
    fn message(&mut self, message: Message) {
        let mut driver = lock(&self.driver);
        // By the subject: a message of the stream may look like a status.
        match message.subject().strip_prefix(&self.prefix).map(str::parse) {
            None => driver.message(message),
            Some(Ok(id)) => driver.status(self.incarnation, id, &message),
            Some(Err(_)) => {}
        }
    }

    /// The end of the task tells the same.
    fn ended(&mut self) {}
}
