//! Subscriptions and asynchronous requests of a connection, and what is on its way to them.
//!
//! One channel for all of them keeps the order of arrival. It outlives the connection object: what
//! had arrived before a `disconnect` or `destroy` is still delivered after it.

use super::Connection;
use super::arrival::Arrival;
use super::replies::AsyncRequests;
use super::subscriber::Subscribers;
use crate::bridge::{self, Receiver, Rest, Sender};
use crate::error::{Kind, Result};
use crate::lock::lock;
use crate::message::MessageFormat;
use crate::tcl::InterpHandle;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub struct Delivery {
    interp_handle: InterpHandle,
    pub format: MessageFormat,
    pub subscribers: Subscribers,
    pub requests: AsyncRequests,
}

impl Delivery {
    /// Delivers while the receiver exists.
    pub fn start(
        interp_handle: InterpHandle,
    ) -> (Rc<Delivery>, Sender<Arrival>, Receiver<Arrival>) {
        let this = Rc::new(Delivery {
            interp_handle: interp_handle.clone(),
            format: MessageFormat::new(),
            subscribers: Subscribers::default(),
            requests: AsyncRequests::default(),
        });
        let handler = this.clone();
        let (sender, receiver) =
            bridge::channel(interp_handle, move |arrival, rest| handler.deliver(arrival, rest));
        receiver.start();
        (this, sender, receiver)
    }

    /// The connection is closed. What has arrived is delivered.
    pub fn closed(&self) {
        self.subscribers.closed();
        self.requests.closed();
    }

    fn deliver(&self, arrival: Arrival, rest: &Rest<'_, Arrival>) {
        match arrival {
            Arrival::Messages(backlog) => {
                if let Some(guard) = self.interp_handle.enter() {
                    self.subscribers.deliver(guard.interp(), &self.format, backlog, rest);
                }
            }
            Arrival::Ended(id) => self.subscribers.ended(id),
            Arrival::Reply(id, outcome) => {
                if let Some(guard) = self.interp_handle.enter() {
                    self.requests.deliver(guard.interp(), &self.format, id, outcome, rest);
                }
            }
            Arrival::Call(run) => run(),
        }
    }
}

fn is_timeout<T>(value: &Result<T>) -> bool {
    matches!(value, Err(error) if error.kind == Kind::Timeout)
}

impl Connection {
    /// The answer of a waiting command, after what has arrived before it if somebody wants
    /// messages as directly as that. But nobody waits longer than the time limit for messages to be
    /// delivered, however many there are: not for an answer, and not to hear that there was none.
    pub fn in_order<T: Send + 'static>(
        &self,
        limit: Option<Duration>,
        complete: impl FnOnce(Result<T>) + Send + 'static,
    ) -> impl FnOnce(Result<T>) + Send + 'static {
        let arrivals = self.delivery.subscribers.has_direct().then(|| self.arrivals.clone());
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        move |value| match arrivals {
            Some(arrivals) if !is_timeout(&value) => {
                let once = Once::new(move || complete(value));
                if let Some(deadline) = deadline {
                    once.at_latest(deadline);
                }
                arrivals.send(Arrival::Call(Box::new(move || once.run())));
            }
            _ => complete(value),
        }
    }
}

/// What is done once, by whoever comes first.
struct Once<F>(Arc<Mutex<Option<F>>>);

impl<F: FnOnce() + Send + 'static> Once<F> {
    fn new(action: F) -> Self {
        Once(Arc::new(Mutex::new(Some(action))))
    }

    fn run(&self) {
        let action = lock(&self.0).take();
        if let Some(action) = action {
            action();
        }
    }

    /// Does it then. Only a runtime thread can: what is completed by another one is so at the end
    /// of a link.
    fn at_latest(&self, deadline: Instant) {
        let action = Arc::downgrade(&self.0);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep_until(deadline.into()).await;
                if let Some(action) = action.upgrade() {
                    Once(action).run();
                }
            });
        }
    }
}
