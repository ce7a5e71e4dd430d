//! The handle to a running consumer, and the task that runs it.
//!
//! The machine lives on the runtime thread of the link. The handle only counts, sets flags, takes from
//! the buffer, and wakes the task. So a program that is busy elsewhere never delays the supervision.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use super::buffer::Buffer;
use super::deliver::PullEvent;
use super::driver::{Driver, SharedDriver, input};
use super::machine::{Action, Machine, Surroundings};
use super::perform::{RETIREMENT, next_look};
use super::{PullConfig, Report, State};
use crate::bridge::Sender;
use crate::error::Result;
use crate::jetstream::api::Api;
use crate::jetstream::delivery::Delivered;
use crate::lock::lock;
use crate::transport::{ConnState, Link, Outgoing, SubId};

/// The result of the creation, told on the runtime thread.
pub type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// Handle to a running consumer; dropping it stops the consumer.
pub struct PullConsumer {
    signals: Arc<Signals>,
    driver: SharedDriver,
    pub buffer: Arc<Buffer>,
    /// To give messages back, over the link that it has now.
    api: Mutex<Api>,
}

/// What handle and driver tell each other.
pub(super) struct Signals {
    /// What the program has dealt with, ever; some of it without having seen it.
    pub consumed: AtomicU64,
    pub consumed_bytes: AtomicU64,
    pub returned: AtomicU64,
    /// Both have to be reached to be worth a word.
    pub wake_at: AtomicU64,
    pub wake_at_bytes: AtomicU64,
    /// What the server owes.
    pub asked: AtomicU64,
    pub keep_alive: bool,
    /// The consumer wants acknowledgements: what is not acknowledged comes again.
    acknowledges: AtomicBool,
    /// The link is about to be closed: what still comes is given back.
    pub leaving: AtomicBool,
    /// Whoever takes it out ends it.
    pub subscription: Mutex<Option<SubId>>,
    wishes: Mutex<Wishes>,
    pub wake: Notify,
    pub public: Mutex<Public>,
}

/// What the program wants.
#[derive(Clone, Copy, Default)]
pub(super) struct Wishes {
    pub pause: bool,
    pub drain: bool,
    pub stop: bool,
}

/// What can be asked about it.
#[derive(Clone, Default)]
pub struct Public {
    pub state: Option<State>,
    pub pulls: u64,
    pub resets: u64,
    pub last_error: Option<Report>,
}

impl Signals {
    fn new(keep_alive: bool) -> Signals {
        Signals {
            consumed: AtomicU64::new(0),
            consumed_bytes: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            wake_at: AtomicU64::new(u64::MAX),
            wake_at_bytes: AtomicU64::new(u64::MAX),
            asked: AtomicU64::new(0),
            keep_alive,
            acknowledges: AtomicBool::new(true),
            leaving: AtomicBool::new(false),
            subscription: Mutex::default(),
            wishes: Mutex::default(),
            wake: Notify::new(),
            public: Mutex::default(),
        }
    }

    pub fn is_due(&self) -> bool {
        self.consumed.load(Ordering::SeqCst) >= self.wake_at.load(Ordering::SeqCst)
            && self.consumed_bytes.load(Ordering::SeqCst)
                >= self.wake_at_bytes.load(Ordering::SeqCst)
    }

    pub fn give_back(&self, messages: u64, bytes: u64) {
        self.returned.fetch_add(messages, Ordering::SeqCst);
        self.consume(messages, bytes);
    }

    fn consume(&self, messages: u64, bytes: u64) {
        self.consumed_bytes.fetch_add(bytes, Ordering::SeqCst);
        self.consumed.fetch_add(messages, Ordering::SeqCst);
    }

    pub fn set_acknowledges(&self, on: bool) {
        self.acknowledges.store(on, Ordering::Relaxed);
    }

    pub fn wishes(&self) -> Wishes {
        *lock(&self.wishes)
    }

    fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut lock(&self.wishes));
        self.wake.notify_one();
    }
}

impl PullConsumer {
    /// Starts it.
    pub fn start(
        api: Api,
        config: PullConfig,
        keep_alive: bool,
        buffer: Arc<Buffer>,
        events: Sender<PullEvent>,
        done: Done,
    ) -> Self {
        let signals = Arc::new(Signals::new(keep_alive));
        let link = api.link.clone();
        let around = Surroundings {
            timeout: api.timeout,
            connection: *link.connected().borrow(),
            new_inbox: link.inboxes(),
            seed: rand::random(),
        };
        let machine = Machine::new(config, around, Instant::now());
        let later = Mutex::new(api.clone());
        let driver = Driver::new(api, machine, buffer.clone(), events, done, signals.clone());
        let this = PullConsumer { signals, driver, buffer, api: later };
        this.drive(&link, |machine, connection, now, out| {
            machine.connection(connection, now, out);
            machine.start(now, out);
        });
        this
    }

    /// Goes on over another link, after the one it had was closed.
    pub fn resume_over(&self, link: &Link) {
        let api = {
            let mut api = lock(&self.api);
            api.link = link.clone();
            api.clone()
        };
        let mut driver = lock(&self.driver);
        if driver.machine.is_stopped() {
            return;
        }
        driver.use_api(api);
        drop(driver);
        self.signals.leaving.store(false, Ordering::Release);
        let inboxes = link.inboxes();
        self.drive(link, |machine, connection, now, out| {
            machine.revive(connection, inboxes, now, out);
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

    /// The program has dealt with so many more: there is room for others.
    pub fn consumed(&self, messages: u64, bytes: u64) {
        self.signals.consume(messages, bytes);
        if self.signals.is_due() {
            self.signals.wake.notify_one();
        }
    }

    pub fn pause(&self) {
        self.buffer.pause();
        self.signals.wish(|wishes| wishes.pause = true);
    }

    pub fn resume(&self) {
        self.signals.wish(|wishes| wishes.pause = false);
        self.buffer.resume();
    }

    pub fn drain(&self) {
        self.signals.wish(|wishes| wishes.drain = true);
        self.hear_without_link();
        self.buffer.resume();
    }

    /// After the link was closed there is no task that would hear of the end.
    fn hear_without_link(&self) {
        let link = lock(&self.api).link.clone();
        if matches!(*link.connected().borrow(), ConnState::Closed) {
            lock(&self.driver).take_wishes();
        }
    }

    /// Ends it. What the program has not got is given back, in front of all that it sends from now on.
    pub fn stop(&self, reason: &str) {
        let left = self.buffer.close(reason);
        self.unsubscribe();
        self.give_back(&left);
        self.signals.wish(|wishes| wishes.stop = true);
        self.hear_without_link();
    }

    /// The link is about to be closed: what the program has not got would be too old afterwards, unless
    /// nobody would send it again.
    pub fn leave(&self) {
        let comes_again = self.signals.acknowledges.load(Ordering::Relaxed);
        self.signals.leaving.store(comes_again, Ordering::Release);
        let left = self.buffer.disconnect(comes_again);
        self.unsubscribe();
        self.give_back(&left);
    }

    /// Has the server end all requests: what is given back would come here again.
    fn unsubscribe(&self) {
        let Some(id) = lock(&self.signals.subscription).take() else { return };
        let link = lock(&self.api).link.clone();
        // A closed link has ended it.
        let _ = link.drain(vec![id], Some(RETIREMENT), || ());
    }

    /// Gives messages back to the server, for others.
    pub fn give_back(&self, messages: &[Delivered]) {
        let link = lock(&self.api).link.clone();
        let bytes = messages.iter().map(|message| message.size() as u64).sum();
        self.signals.give_back(messages.len() as u64, bytes);
        if link.check_process().is_err() {
            return;
        }
        for reply in messages.iter().filter_map(Delivered::reply) {
            // Without a link they come again by themselves, if later.
            let _ = link.publish(Outgoing::new(reply.to_owned(), "-NAK"));
        }
    }

    pub fn public(&self) -> Public {
        lock(&self.signals.public).clone()
    }

    /// What the server owes.
    pub fn asked(&self) -> u64 {
        self.signals.asked.load(Ordering::Acquire)
    }

    /// How many messages the program was given and has dealt with.
    pub fn dealt_with(&self) -> u64 {
        self.signals.consumed.load(Ordering::SeqCst) - self.signals.returned.load(Ordering::SeqCst)
    }
}

impl Drop for PullConsumer {
    fn drop(&mut self) {
        self.stop("The consumer was destroyed");
    }
}

async fn run(
    driver: SharedDriver,
    signals: Arc<Signals>,
    mut state: watch::Receiver<ConnState>,
    begin: impl FnOnce(&mut Machine, ConnState, Instant, &mut Vec<Action>),
) {
    let _end = CloseOnDrop(driver.clone());
    let now_is = *state.borrow_and_update();
    input(&driver, |machine, now, out| begin(machine, now_is, now, out));
    let mut look = None;
    loop {
        let (timer, keep_alive) = {
            let driver = lock(&driver);
            (driver.timer, driver.keep_alive)
        };
        look = look.or_else(|| next_look(keep_alive, Instant::now()));
        tokio::select! {
            () = signals.wake.notified() => lock(&driver).take_wishes(),
            changed = state.changed() => {
                let now_is = match changed {
                    Ok(()) => *state.borrow_and_update(),
                    Err(_) => ConnState::Closed,
                };
                input(&driver, |machine, now, out| machine.connection(now_is, now, out));
            }
            () = at(timer) => lock(&driver).tick(),
            () = at(look) => {
                look = None;
                lock(&driver).keep_alive();
            }
        }
        // What is left in the buffer is kept alive until it is taken.
        let driver = lock(&driver);
        if driver.machine.is_stopped() && (signals.wishes().stop || driver.buffer.size().0 == 0) {
            break;
        }
    }
    lock(&driver).let_go();
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// A link that is closed drops its tasks; this is how they hear of it.
struct CloseOnDrop(SharedDriver);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        input(&self.0, |machine, now, out| machine.connection(ConnState::Closed, now, out));
    }
}
