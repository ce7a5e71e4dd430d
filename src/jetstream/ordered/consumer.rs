//! The handle to a running ordered consumer, and the task that runs it.
//!
//! Everything happens on the runtime thread of the link, the handle excepted: that one only counts,
//! sets a flag, and wakes the task. So a user who is busy elsewhere never delays the supervision.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::driver::{Attachment, Driver, SharedDriver, input};
use super::machine::{Action, KeepsPlace, Machine, Surroundings};
use super::watched::Watched;
use super::{ConsumerState, OrderedConfig};
use crate::error::{Kind, Result};
use crate::jetstream::api::Api;
use crate::jetstream::metadata::Metadata;
use crate::jetstream::roll::Roll;
use crate::jetstream::stored::StoredMessage;
use crate::lock::lock;
use crate::transport::{ConnState, Link, Message};

/// Is told what happens, on the runtime thread. Must not block.
pub trait Observer: Send {
    /// The server is at work, though it has said nothing new.
    fn heard(&mut self) {}
    /// The next message. It keeps its read buffer alive: copy what is needed.
    fn entry(&mut self, message: &Message, meta: &Metadata<'_>);
    /// The next message, where the engine could not read it as one.
    fn stored(&mut self, stored: &StoredMessage);
    /// What was there at the start has been delivered. Called once, if [`OrderedConfig::seeks_end`].
    fn end_of_data(&mut self) {}
    /// The stream is being asked which subjects it has; see [`OrderedConfig::roll_call`].
    fn roll_call_begins(&mut self) {}
    /// These are there, or have come since the roll call began. May never come; the next roll call
    /// begins anew.
    fn roll_call(&mut self, _roll: Arc<Roll>) {}
    fn last_error(&mut self, kind: Kind, text: String);
    fn state(&mut self, state: ConsumerState);
    /// A consumer has been created, the first one or another in its place. Times are in ms.
    fn created(&mut self, _info: &Value) {}
}

/// The result of the first creation, told on the runtime thread. Messages may come before it. Not
/// called after `stop`.
pub type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// Handle to a running ordered consumer; dropping it stops the consumer.
pub struct OrderedConsumer {
    signals: Arc<Signals>,
    driver: SharedDriver,
    /// To delete the consumer on the server, over the link that it has now.
    api: Mutex<Api>,
    stream: String,
    _watched: Option<Watched>,
}

/// What handle and driver tell each other.
#[derive(Default)]
pub(super) struct Signals {
    pub consumed: AtomicU64,
    /// The machine waits for credit.
    pub owes: AtomicBool,
    pub stopped: AtomicBool,
    /// This program has emptied the stream, or made it.
    pub emptied: AtomicBool,
    pub remade: AtomicBool,
    pub wake: Notify,
    pub public: Mutex<Public>,
}

#[derive(Default)]
pub(super) struct Public {
    pub name: String,
    /// What there is on the server, or soon will be, and is to be deleted in the end.
    pub consumer: Option<String>,
    /// The one that the handle has deleted.
    pub discarded: Option<String>,
    pub info: Option<Arc<Value>>,
}

impl OrderedConsumer {
    /// Starts to create it.
    pub fn start(api: Api, config: OrderedConfig, observer: Box<dyn Observer>, done: Done) -> Self {
        let signals = Arc::new(Signals::default());
        let link = api.link.clone();
        let watched = config.roll_call.then(|| Watched::enter(&config.config.stream, &signals));
        let around = Surroundings {
            api_prefix: api.prefix.clone(),
            timeout: api.timeout,
            connection: *link.connected().borrow(),
            new_inbox: link.inboxes(),
            just_discarded: api.just_discarded(),
            keeps_place: keeps_place(&link),
            seed: rand::random(),
        };
        let (stream, later) = (config.config.stream.clone(), Mutex::new(api.clone()));
        let machine = Machine::new(config, around, Instant::now());
        let driver = Driver::new(api, machine, observer, done, signals.clone());
        let this = OrderedConsumer { signals, driver, api: later, stream, _watched: watched };
        this.drive(&link, |machine, connection, now, out| {
            machine.connection(connection, now, out);
            machine.start(now, out);
        });
        this
    }

    /// Goes on over another link, after the one it had was closed. One that was stopped, or whose
    /// stream has gone, stays as it is.
    pub fn resume(&self, link: &Link) {
        if self.signals.stopped.load(Ordering::Acquire) {
            return;
        }
        lock(&self.driver).use_link(link);
        lock(&self.api).link = link.clone();
        let (inboxes, keeps_place) = (link.inboxes(), keeps_place(link));
        self.drive(link, |machine, connection, now, out| {
            machine.use_link(inboxes, keeps_place);
            machine.revive(connection, now, out);
        });
    }

    fn drive(
        &self,
        link: &Link,
        begin: impl FnOnce(&mut Machine, ConnState, Instant, &mut Vec<Action>) + Send + 'static,
    ) {
        let state = link.connected();
        link.spawn(run(self.driver.clone(), self.signals.clone(), state, begin));
    }

    /// The user has dealt with `count` more entries. What is never confirmed stops the flow, in the
    /// end: so memory is bounded.
    pub fn consumed(&self, count: u64) {
        // Pairs with `Driver::settle_credit`: one of the two sees what the other has written.
        self.signals.consumed.fetch_add(count, Ordering::SeqCst);
        if self.signals.owes.load(Ordering::SeqCst) {
            self.signals.wake.notify_one();
        }
    }

    /// Ends it. The observer is told nothing more. The consumer is deleted from here, in front of
    /// all that the program sends from now on, and while the link is still open.
    pub fn stop(&self) {
        self.signals.stopped.store(true, Ordering::Release);
        let link = lock(&self.api).link.clone();
        self.leave(&link);
        self.signals.wake.notify_one();
    }

    /// Has the server delete its consumer.
    pub fn leave(&self, link: &Link) {
        if link.check_process().is_err() {
            return;
        }
        let mut public = lock(&self.signals.public);
        let Some(consumer) = public.consumer.take() else { return };
        public.discarded = Some(consumer.clone());
        drop(public);
        let api = lock(&self.api).clone();
        api.discard_consumer(link, &self.stream, &consumer);
    }

    /// The last creation's consumer info, times in ms.
    pub fn info(&self) -> Option<Arc<Value>> {
        lock(&self.signals.public).info.clone()
    }

    /// The server's name of the present consumer; empty while there is none.
    pub fn name(&self) -> String {
        lock(&self.signals.public).name.clone()
    }
}

impl Drop for OrderedConsumer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Servers before 2.10 pass over some of what a consumer has not been sent yet, and count on as if it
/// had not been there; see `machine::leap`.
fn keeps_place(link: &Link) -> KeepsPlace {
    let link = link.clone();
    Box::new(move || link.serves((2, 10, 0)))
}

async fn run(
    driver: SharedDriver,
    signals: Arc<Signals>,
    mut state: watch::Receiver<ConnState>,
    begin: impl FnOnce(&mut Machine, ConnState, Instant, &mut Vec<Action>),
) {
    let _end = CloseOnDrop(driver.clone());
    let now_is = *state.borrow_and_update();
    input(&driver, Attachment::Nothing, |machine, now, out| begin(machine, now_is, now, out));
    loop {
        let timer = lock(&driver).timer();
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
                input(&driver, Attachment::Nothing, |machine, now, out| {
                    machine.connection(now_is, now, out);
                });
            }
            () = alarm => lock(&driver).tick(),
        }
        let mut driver = lock(&driver);
        if signals.stopped.load(Ordering::Acquire) || driver.is_stopped() {
            break;
        }
        driver.take_news();
        driver.settle_credit();
    }
    lock(&driver).stop();
}

/// A link that is closed drops its tasks; this is how they hear of it.
struct CloseOnDrop(SharedDriver);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        input(&self.0, Attachment::Nothing, |machine, now, out| {
            machine.connection(ConnState::Closed, now, out);
        });
    }
}
