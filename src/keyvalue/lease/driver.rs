//! Drives the machine: a task on the runtime thread, and the handle to it. What is to be done is done under the lock,
//! so that it goes over the wire in the order of the calls of the program.

use super::action::{Action, Event, Kind};
use super::machine::Machine;
use super::seen::Identity;
use crate::bridge::{Promise, Sender};
use crate::connection::Follower;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::jetstream::api::Api;
use crate::jetstream::ordered::OrderedConfig;
use crate::jetstream::ordered::consumer::OrderedConsumer;
use crate::keyvalue::lifetime::Lifetime;
use crate::keyvalue::store::Store;
use crate::lock::lock;
use crate::runtime::Process;
use crate::transport::{ConnState, Link, Outgoing};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// What the program wants.
pub struct Wanted {
    /// As it is called where it is refused.
    pub what: &'static str,
    pub kind: Kind,
    pub ttl: Duration,
    /// That of the messages: seconds are what servers count.
    pub lifetime: Lifetime,
    /// How long to wait for the key.
    pub patience: Option<Duration>,
    pub identity: Identity,
    /// The key as the bucket has it.
    pub key: String,
    /// Its value, on the way to its subject.
    pub out: Outgoing,
    pub store: Store,
    pub api: Api,
    pub watch: OrderedConfig,
}

/// Locked for a moment only, and never twice: nothing that is called with it calls back.
pub struct Driver {
    pub(super) me: Weak<Mutex<Driver>>,
    pub(super) wanted: Wanted,
    pub(super) machine: Machine,
    pub(super) events: Sender<Event>,
    /// Who waits for the key, or for a candidate to be one.
    pub(super) done: Option<Promise<()>>,
    /// Who waits for a value to be stored; its version, and the value.
    pub(super) changes: Vec<(u64, Outgoing, Promise<()>)>,
    /// The last value that was stored, or the first one.
    pub(super) stored: Outgoing,
    /// Who waits for the key to be given back.
    pub(super) releases: Vec<Promise<bool>>,
    pub(super) consumer: Option<OrderedConsumer>,
    pub(super) last_error: Option<Error>,
    wake: Arc<Notify>,
    /// Counts the links that it has had.
    runs: u64,
}

/// What could not even be sent, and why.
pub enum Unsent {
    Write(u64, Error),
    Look(u64, Error),
}

/// The handle.
pub struct Keeper {
    driver: Arc<Mutex<Driver>>,
    /// In a fork of it nothing is renewed, and the lock may be held for ever by nobody.
    process: Process,
}

/// What is to be known of a key.
pub struct Status {
    pub valid: bool,
    pub token: u64,
    pub revision: u64,
    pub renewals: u64,
    pub remaining: Duration,
    pub last_error: Option<Error>,
}

/// Who has the key.
pub enum Leader {
    Nobody,
    Us,
    Other(Vec<u8>),
}

impl Keeper {
    /// Begins to want the key. `done` hears when it is ours, or that it will not be; that of a candidate, when
    /// it is one. `events` hears of the rest.
    pub fn start(wanted: Wanted, events: Sender<Event>, done: Promise<()>) -> Keeper {
        let link = wanted.store.link.clone();
        let deadline = wanted.patience.and_then(|limit| Instant::now().checked_add(limit));
        let driver = Arc::new_cyclic(|me| {
            Mutex::new(Driver {
                me: me.clone(),
                machine: Machine::new(wanted.kind, wanted.ttl, deadline),
                stored: wanted.out.clone(),
                wanted,
                events,
                done: Some(done),
                changes: Vec::new(),
                releases: Vec::new(),
                consumer: None,
                last_error: None,
                wake: Arc::default(),
                runs: 0,
            })
        });
        link.spawn(run(driver.clone(), 0, link.connected()));
        Keeper { driver, process: Process::current() }
    }

    fn driver(&self) -> Result<MutexGuard<'_, Driver>> {
        self.process.check()?;
        Ok(lock(&self.driver))
    }

    pub fn is_valid(&self) -> bool {
        self.driver().is_ok_and(|driver| driver.machine.is_valid(Instant::now()))
    }

    pub fn token(&self) -> Result<u64> {
        Ok(self.driver()?.machine.token())
    }

    pub fn status(&self) -> Result<Status> {
        let (driver, now) = (self.driver()?, Instant::now());
        let hold = driver.machine.hold();
        Ok(Status {
            valid: driver.machine.is_valid(now),
            token: driver.machine.token(),
            revision: hold.map_or(0, |hold| hold.revision()),
            renewals: hold.map_or(0, |hold| hold.renewals()),
            remaining: hold.map_or(Duration::ZERO, |hold| hold.remaining(now)),
            last_error: driver.last_error.clone(),
        })
    }

    pub fn leader(&self) -> Result<Leader> {
        let driver = self.driver()?;
        if driver.machine.is_valid(Instant::now()) {
            return Ok(Leader::Us);
        }
        let other = driver.machine.other();
        Ok(other.map_or(Leader::Nobody, |value| Leader::Other(value.to_vec())))
    }

    /// Has the key have another value. Returns its version: of several that are on their way the last one stays.
    pub fn change(&self, out: Outgoing, stored: Promise<()>) -> u64 {
        let mut driver = match self.driver() {
            Ok(driver) => driver,
            Err(error) => {
                stored.complete(Err(error));
                return 0;
            }
        };
        if !driver.machine.is_valid(Instant::now()) {
            stored.complete(Err(lost()));
            return 0;
        }
        driver.wanted.out = out.clone();
        // Before it is written, which may be answered at once.
        let version = driver.machine.version() + 1;
        driver.changes.push((version, out, stored));
        driver.input(|machine, now, out| machine.change(version, now, out));
        version
    }

    /// Gives the key back; whether it was ours until then.
    pub fn release(&self, done: Promise<bool>) {
        let mut driver = match self.driver() {
            Ok(driver) => driver,
            Err(error) => return done.complete(Err(error)),
        };
        if driver.machine.hold().is_none() {
            return done.complete(Ok(false));
        }
        driver.releases.push(done);
        driver.input(|machine, now, out| machine.release(now, out));
    }

    /// Gives the key back, and wants it no more.
    pub fn destroy(&self) {
        let Ok(mut driver) = self.driver() else { return };
        if let Some(done) = driver.done.take() {
            done.complete(Err(Error::invalid("The object was destroyed")));
        }
        driver.input(|machine, now, out| machine.destroy(now, out));
    }
}

impl Follower for Keeper {
    fn leave(&self, _link: &Link) {
        if let Ok(mut driver) = self.driver() {
            driver.input(|machine, now, out| machine.leave(now, out));
        }
    }

    fn resume(&self, link: &Link) {
        let Ok(mut driver) = self.driver() else { return };
        if driver.machine.is_over() {
            return;
        }
        driver.wanted.store.link = link.clone();
        driver.wanted.api.link = link.clone();
        driver.runs += 1;
        link.spawn(run(self.driver.clone(), driver.runs, link.connected()));
    }
}

/// The error of who wants something of a key that is not his any more.
pub fn lost() -> Error {
    Error::new(ErrorKind::LeaseLost, "The lease was lost")
}

async fn run(driver: Arc<Mutex<Driver>>, number: u64, mut state: watch::Receiver<ConnState>) {
    let _end = CloseOnDrop(driver.clone(), number);
    let wake = lock(&driver).wake.clone();
    if number == 0 {
        let (store, what, ttl) = {
            let driver = lock(&driver);
            let wanted = &driver.wanted;
            // The time for the key has begun.
            let timeout = wanted.store.timeout.into_iter().chain(wanted.patience).min();
            (Store { timeout, ..wanted.store.clone() }, wanted.what, wanted.ttl)
        };
        if let Err(error) = store.check_keeps(what, ttl).await {
            return lock(&driver).input(|machine, now, out| machine.refuse(error, now, out));
        }
    }
    let now_is = *state.borrow_and_update();
    lock(&driver).input(|machine, now, out| machine.connection(now_is, now, out));
    loop {
        let due = {
            let driver = lock(&driver);
            if driver.machine.is_over() {
                break;
            }
            driver.machine.due()
        };
        let alarm = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wake.notified() => {}
            changed = state.changed() => {
                let now_is = match changed {
                    Ok(()) => *state.borrow_and_update(),
                    Err(_) => ConnState::Closed,
                };
                lock(&driver).input(|machine, now, out| machine.connection(now_is, now, out));
            }
            () = alarm => lock(&driver).input(|machine, now, out| machine.tick(now, out)),
        }
    }
}

/// A link that is closed drops its tasks; this is how they hear of it.
struct CloseOnDrop(Arc<Mutex<Driver>>, u64);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let mut driver = lock(&self.0);
        // Unless it goes on over another one already.
        if driver.runs == self.1 {
            driver.input(|machine, now, out| machine.connection(ConnState::Closed, now, out));
        }
    }
}

impl Driver {
    /// Feeds an input, and does what comes out.
    pub(super) fn input(&mut self, step: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>)) {
        let mut actions = Vec::new();
        step(&mut self.machine, Instant::now(), &mut actions);
        // What could not be sent is told when all else has been done.
        let mut unsent: Vec<Unsent> = Vec::new();
        loop {
            for action in actions.drain(..) {
                unsent.extend(self.perform(action));
            }
            let (machine, now) = (&mut self.machine, Instant::now());
            match unsent.pop() {
                None => break,
                Some(Unsent::Write(number, error)) => {
                    machine.written(number, Err(error), now, &mut actions);
                }
                Some(Unsent::Look(number, error)) => {
                    machine.looked(number, Err(error), now, &mut actions);
                }
            }
        }
        if self.machine.is_over() {
            self.end();
        }
        self.wake.notify_one();
    }

    /// Nobody waits for anything any more.
    fn end(&mut self) {
        if let Some(done) = self.done.take() {
            done.complete(Err(Error::connection_closed()));
        }
        self.changes.drain(..).for_each(|(_, _, promise)| promise.complete(Err(lost())));
        self.releases.drain(..).for_each(|promise| promise.complete(Ok(false)));
    }

    /// What became of a write. Conflicts are no faults.
    pub(super) fn note(&mut self, outcome: &Result<u64>) {
        match outcome {
            Err(error) if error.kind != ErrorKind::WrongLastSequence => {
                self.last_error = Some(error.clone());
            }
            _ => {}
        }
    }
}
