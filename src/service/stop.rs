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
    /// Each with whether it waits for callbacks that run, too: not if they are below it on the stack.
    waiting: RefCell<Vec<(Waiting, bool)>>,
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
    fn drained(&self, outcome: NativeResult<()>) {
        self.stopping.state.set(State::Drained);
        match outcome {
            Ok(()) => self.look_for_end(),
            Err(error) => {
                for (waiting, _) in self.stopping.waiting.take() {
                    tell(&waiting, Err(error.clone()));
                }
            }
        }
    }

    /// Tells those who wait for the end if it has come.
    pub fn look_for_end(&self) {
        if self.stopping.state.get() != State::Drained {
            return;
        }
        let in_hand = |running| desk::has(|endpoint| endpoint.is_of(&self.common), running);
        self.stopping.waiting.borrow_mut().retain(|(waiting, with_running)| {
            let ended = !in_hand(*with_running);
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
        this.connection.drain_then(interp, &this.subscriptions(), timeout, move |outcome| {
            if let Some(this) = weak.upgrade() {
                this.drained(outcome);
            }
        })?;
        this.stopping.state.set(State::Draining);
    }
    let (promise, pending) = bridge::promise(interp);
    let waiting: Waiting = Arc::new(Mutex::new(Some(promise)));
    this.stopping.waiting.borrow_mut().push((waiting.clone(), in_coroutine(interp)?));
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
