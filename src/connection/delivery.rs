//! Subscriptions and asynchronous requests of a connection, and what is on its way to them.
//!
//! One channel for all of them keeps the order of arrival. It outlives the connection object: what
//! had arrived before a `disconnect` or `destroy` is still delivered after it.

use super::Connection;
use super::arrival::Arrival;
use super::replies::AsyncRequests;
use super::subscriber::Subscribers;
use crate::bridge::{self, Receiver, Rest, Sender};
use crate::message::MessageFormat;
use crate::tcl::InterpHandle;
use std::rc::Rc;

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

impl Connection {
    /// The answer of a waiting command, after what has arrived before it if somebody wants
    /// messages as directly as that.
    pub fn in_order<T: Send + 'static>(
        &self,
        complete: impl FnOnce(T) + Send + 'static,
    ) -> impl FnOnce(T) + Send + 'static {
        let arrivals = self.delivery.subscribers.has_direct().then(|| self.arrivals.clone());
        move |value| match arrivals {
            Some(arrivals) => arrivals.send(Arrival::Call(Box::new(move || complete(value)))),
            None => complete(value),
        }
    }
}
