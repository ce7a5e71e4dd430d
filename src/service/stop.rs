//! `stop`: nothing new is taken, what was taken is answered.

use super::desk;
use super::object::Service;
use crate::bridge::{self, Promise};
use crate::error::{Error, Kind, Result as NativeResult};
use crate::lock::lock;
use crate::options::{self, Type};
use crate::tcl::wait::in_coroutine;
use crate::tcl::{Call, Result, Return};
use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// A command that waits, until somebody has told it.
type Waiting = Arc<Mutex<Option<Promise<()>>>>;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Running,
    /// Subscriptions are drained.
    Draining,
    /// They have ended.
    Drained,
}

/// How far the end of a service has come.
#[derive(Default)]
pub struct Stopping {
    state: Cell<State>,
    /// Each with the number from which on it waits for requests whose callbacks run: those before it are below it on the
    /// stack, and go on when it returns.
    waiting: RefCell<Vec<(Waiting, i64)>>,
}

fn tell(waiting: &Waiting, outcome: NativeResult<()>) {
    let promise = lock(waiting).take();
    if let Some(promise) = promise {
        promise.complete(outcome);
    }
}

impl Stopping {
    pub fn has_begun(&self) -> bool {
        self.state.get() != State::Running
    }

    /// Nobody can be answered any more.
    pub fn connection_closed(&self) {
        if self.has_begun() {
            self.state.set(State::Drained);
        }
        for (waiting, _) in self.waiting.take() {
            tell(&waiting, Err(Error::connection_closed()));
        }
    }
}

impl Service {
    fn drained(&self) {
        self.stopping.state.set(State::Drained);
        self.look_for_end();
    }

    /// Tells those who wait for the end if it has come.
    pub fn look_for_end(&self) {
        if self.stopping.state.get() != State::Drained {
            return;
        }
        self.stopping.waiting.borrow_mut().retain(|(waiting, running_from)| {
            let ended = !desk::has(|endpoint| endpoint.is_of(&self.common), *running_from);
            if ended {
                tell(waiting, Ok(()));
            }
            !ended
        });
    }
}

pub fn stop(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("timeout", Type::Timeout)];
    let this = call.data::<Service>()?;
    let interp = call.interp;
    let given = options::parse(interp, OPTIONS, call.args())?;
    let timeout = given.time_limit("timeout", USUAL_TIMEOUT);
    let Ok(link) = this.connection.link() else {
        this.stopping.state.set(State::Drained);
        return Ok(Return::Empty);
    };
    if !this.stopping.has_begun() {
        let weak = this.weak.clone();
        // It takes as long as it takes: how long is waited for it is said by each who waits.
        this.connection.drain_then(interp, &this.subscriptions(), move || {
            if let Some(this) = weak.upgrade() {
                this.drained();
            }
        })?;
        this.stopping.state.set(State::Draining);
    }
    let (promise, pending) = bridge::promise(interp);
    let waiting: Waiting = Arc::new(Mutex::new(Some(promise)));
    let running_from = if in_coroutine(interp)? { 0 } else { desk::next_number() };
    this.stopping.waiting.borrow_mut().push((waiting.clone(), running_from));
    let limit = timeout.map(|timeout| {
        let waiting = waiting.clone();
        link.spawn(async move {
            tokio::time::sleep(timeout).await;
            tell(
                &waiting,
                Err(Error::new(Kind::Timeout, "Not all requests were answered in time")),
            );
        })
    });
    this.look_for_end();
    let cancelled = waiting.clone();
    pending.or_cancel(move || drop(lock(&cancelled).take())).by_handler().wait(
        interp,
        move |_, outcome| {
            if let Some(limit) = &limit {
                limit.abort();
            }
            this.stopping.waiting.borrow_mut().retain(|(other, _)| !Arc::ptr_eq(other, &waiting));
            outcome?;
            Ok(Return::Empty)
        },
    )
}
