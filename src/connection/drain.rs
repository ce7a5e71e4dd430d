//! `drain`: ending subscriptions, or the connection, without losing what has been sent.
//!
//! A drain is a row of steps on the Tcl thread, so that it goes on without the command that began
//! it: UNSUB and a round trip, delivery of what has arrived until its answer, and for the whole
//! connection another round trip and `disconnect`.

use super::Connection;
use super::arrival::Arrival;
use super::notification::Notification;
use super::subscriber::Subscriber;
use crate::bridge::{self, Pending, Promise};
use crate::error::{Error, Kind};
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::coroutine::Busy;
use crate::tcl::{Call, Interp, Method, Result, Return};
use crate::transport::Task;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The drains of a connection that are under way.
#[derive(Default)]
pub struct Drains {
    /// Of drains and of what waits for them.
    last_number: Cell<u64>,
    running: RefCell<Vec<Drain>>,
}

impl Drains {
    fn next_number(&self) -> u64 {
        self.last_number.set(self.last_number.get() + 1);
        self.last_number.get()
    }

    fn forget_waiting(&self, number: u64) {
        for drain in self.running.borrow_mut().iter_mut() {
            drain.waiting.retain(|(other, _)| *other != number);
        }
    }

    /// Whether the connection itself is draining.
    pub fn of_connection(&self) -> bool {
        self.running.borrow().iter().any(|drain| drain.whole)
    }

    /// The connection is closed: whoever waits for a drain hears of it.
    pub fn closed(&self) {
        let drains = self.running.take();
        drop(drains);
    }
}

struct Drain {
    number: u64,
    /// Of the connection.
    whole: bool,
    /// Everything is delivered; what is queued goes out.
    flushing: bool,
    subscribers: Vec<Rc<Subscriber>>,
    /// What ends it when its time is over.
    limit: Option<Task>,
    /// Commands that wait for its end.
    waiting: Vec<(u64, Promise<()>)>,
    /// What else is done then, on the Tcl thread.
    then: Option<Then>,
}

type Then = Box<dyn FnOnce()>;

fn drain(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    this.check_open()?;
    let (word, rest) = match call.args() {
        [word, rest @ ..] if rest.len() % 2 == 0 => (Some(word), rest),
        all => (None, all),
    };
    const OPTIONS: &[options::Spec] = &[("timeout", Type::Timeout)];
    if let Some(dangling) = word.filter(|word| rest.is_empty() && word.text().starts_with("-t")) {
        return Err(options::missing_value(dangling).into());
    }
    let given = options::parse(call.interp, OPTIONS, rest)?;
    let timeout = given.time_limit("timeout", USUAL_TIMEOUT);
    let pending = match word {
        None => this.drain_all(call.interp, timeout)?,
        Some(word) => {
            let known = options::integer(word).and_then(|id| this.delivery.subscribers.active(id));
            let Some(subscriber) = known else {
                let text = format!("Invalid subscription ID {}", word.text());
                return Err(Error::new(Kind::BadSubscription, text).into());
            };
            this.begin_drain(call.interp, vec![subscriber], false, timeout)?
        }
    };
    pending.wait(call.interp, move |_, outcome| {
        outcome.map_err(|error| this.ended(error))?;
        Ok(Return::Empty)
    })
}

impl Connection {
    fn drain_all(&self, interp: Interp<'_>, timeout: Option<Duration>) -> Result<Pending<()>> {
        if let Some(drain) = self.drains.running.borrow_mut().iter_mut().find(|drain| drain.whole) {
            return Ok(self.wait_for(interp, drain));
        }
        let pending =
            self.begin_drain(interp, self.delivery.subscribers.all_active(), true, timeout)?;
        self.events.report("draining", &[], None);
        Ok(pending)
    }

    /// Drains some subscriptions, by their numbers, however long it takes, and calls `then` when that is over, but not
    /// if the connection is closed before.
    pub fn drain_then(
        &self,
        interp: Interp<'_>,
        ids: &[i64],
        then: impl FnOnce() + 'static,
    ) -> Result<()> {
        let active = |id: &i64| self.delivery.subscribers.active(*id);
        let subscribers = ids.iter().filter_map(active).collect();
        // Nobody waits for it in particular.
        drop(self.begin_drain(interp, subscribers, false, None)?);
        if let Some(drain) = self.drains.running.borrow_mut().last_mut() {
            drain.then = Some(Box::new(then));
        }
        Ok(())
    }

    fn wait_for(&self, interp: Interp<'_>, drain: &mut Drain) -> Pending<()> {
        let (promise, pending) = bridge::promise(interp);
        let number = self.drains.next_number();
        drain.waiting.push((number, promise));
        let weak = self.weak.clone();
        // The drain itself goes on.
        pending.or_cancel(move || {
            if let Some(this) = weak.upgrade() {
                this.drains.forget_waiting(number);
            }
        })
    }

    fn begin_drain(
        &self,
        interp: Interp<'_>,
        subscribers: Vec<Rc<Subscriber>>,
        whole: bool,
        timeout: Option<Duration>,
    ) -> Result<Pending<()>> {
        let link = self.link()?;
        let number = self.drains.next_number();
        let ids = subscribers.iter().filter_map(|subscriber| subscriber.link_id.get()).collect();
        let step = self.drain_step(number);
        link.drain(ids, timeout, step)?;
        let limit = timeout.zip(self.notifications()).map(|(timeout, notifications)| {
            link.spawn(async move {
                tokio::time::sleep(timeout).await;
                notifications.send(Notification::DrainExpired(number));
            })
        });
        let waiting = Vec::new();
        let mut drain =
            Drain { number, whole, flushing: false, subscribers, limit, waiting, then: None };
        let pending = self.wait_for(interp, &mut drain);
        self.drains.running.borrow_mut().push(drain);
        Ok(pending)
    }

    /// Goes on with a drain when everything that has arrived by then was delivered.
    fn drain_step(&self, number: u64) -> impl FnOnce() + Send + 'static {
        let (arrivals, notifications) = (self.arrivals.clone(), self.notifications());
        move || {
            arrivals.send(Arrival::Call(Box::new(move || {
                if let Some(notifications) = notifications {
                    notifications.send(Notification::Drained(number));
                }
            })));
        }
    }

    /// A step of a drain is done.
    pub(super) fn drained(&self, number: u64) {
        let mut drains = self.drains.running.borrow_mut();
        let Some(drain) = drains.iter_mut().find(|drain| drain.number == number) else { return };
        if drain.flushing {
            drop(drains);
            return self.end_drain(number, Ok(()));
        }
        let mut left = false;
        // A coroutine that waits for the drain gets the rest after it.
        let waits_for_us =
            |busy: &Busy| drain.waiting.iter().any(|(_, promise)| promise.is_awaited_by(busy));
        let mut step = Arrival::Call(Box::new(self.drain_step(number)));
        for subscriber in &drain.subscribers {
            let Some(lane) = subscriber.lane.get() else { continue };
            match lane.hold_behind(step, |busy| !waits_for_us(busy)) {
                Some(back) => step = back,
                None => return,
            }
        }
        for subscriber in &drain.subscribers {
            let lane = subscriber.lane.get();
            if !subscriber.backlog.is_empty() && !lane.is_some_and(|lane| lane.is_closed()) {
                left = true;
                // Somebody may wait inside a callback that has the turn.
                self.arrivals.send(Arrival::Messages(subscriber.backlog.clone()));
            }
        }
        if left {
            drop(drains);
            return self.drain_step(number)();
        }
        for subscriber in &drain.subscribers {
            subscriber.active.set(false);
        }
        let whole = drain.whole;
        drain.flushing = whole;
        drop(drains);
        if !whole {
            return self.end_drain(number, Ok(()));
        }
        if let (Ok(link), Some(notifications)) = (self.link(), self.notifications()) {
            // Without a link the drain has ended, and the timer ends it if nothing else does.
            let _ = link.flush(None, move |_| notifications.send(Notification::Drained(number)));
        }
    }

    pub(super) fn drain_expired(&self, number: u64) {
        self.end_drain(number, Err(Error::new(Kind::Timeout, "Drain timeout")));
    }

    fn end_drain(&self, number: u64, outcome: crate::error::Result<()>) {
        let mut drains = self.drains.running.borrow_mut();
        let Some(at) = drains.iter().position(|drain| drain.number == number) else { return };
        let drain = drains.remove(at);
        drop(drains);
        if let Some(limit) = &drain.limit {
            limit.abort();
        }
        for subscriber in drain.subscribers.iter().filter(|subscriber| subscriber.active.get()) {
            self.end_subscription(subscriber);
        }
        if drain.whole {
            self.disconnect();
        }
        for (_, promise) in drain.waiting {
            promise.complete(outcome.clone());
        }
        if let Some(then) = drain.then {
            then();
        }
    }
}

pub const METHODS: &[Method] =
    &[Method { name: "drain", usage: "?subID? ?arg ...?", min: 0, max: ANY, body: drain }];
