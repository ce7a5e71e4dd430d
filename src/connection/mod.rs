//! `nats::connection`: the object and what it consists of. Each file with methods brings their table.
//!
//! | file | what it is |
//! |---|---|
//! | `construct`, `lifecycle`, `links` | constructor and destructor; connect and disconnect; the link |
//! | `notification`, `link_events` | what other threads let this one know or do; what happens to the link |
//! | `variables`, `log`, `event_callback` | what the program sees of it |
//! | `options`, `option_value`, `tls_opts` | the table of options, and the types of their values |
//! | `configure` | `configure`, `cget`, `reset`, and what the link is told of the options |
//! | `context_file` | contexts that natscli has stored |
//! | `servers` | the pool, what is known of servers |
//! | `auth_callback`, `delay_callback`, `tls_callback`, `certificate` | what the program is asked |
//! | `publish`, `outgoing` | messages out |
//! | `subscription`, `subscriber`, `arrival`, `delivery`, `backlog`, `long_queue`, `limits`, `slow_consumer` | messages in |
//! | `request`, `replies`, `collector`, `gather` | requests; replies to them; several; until one of several ends |
//! | `drain`, `round_trip`, `statistics` | `drain`; `ping`, `flush`, `rtt`; `statistics` |
//! | `parts` | what other modules keep for it |

mod arrival;
mod auth_callback;
mod backlog;
mod certificate;
mod collector;
mod configure;
mod construct;
mod context_file;
mod delay_callback;
mod delivery;
mod drain;
mod event_callback;
mod gather;
mod lifecycle;
mod limits;
mod link_events;
mod links;
pub mod log;
mod long_queue;
mod notification;
mod option_value;
mod options;
mod outgoing;
mod parts;
mod publish;
mod replies;
mod request;
mod round_trip;
mod servers;
mod slow_consumer;
mod statistics;
mod subscriber;
mod subscription;
mod tls_callback;
mod tls_opts;
mod variables;

pub use arrival::RequestOutcome;
pub use links::Follower;
pub use outgoing::MessageArgs;
pub use replies::OutcomeReader;
pub use subscriber::{Handler, Subscriber};

use crate::bridge::{Receiver, Sender};
use crate::error::{Error, Kind, Result};
use crate::message::MessageFormat;
use crate::tcl::oo::Children;
use crate::tcl::{self, Interp, InterpGuard, InterpHandle, ObjectHandle, oo};
use crate::transport::{Link, ServerInfo};
use arrival::Arrival;
use delivery::Delivery;
use drain::Drains;
use event_callback::EventCallback;
use lifecycle::Lifecycle;
use links::Links;
use log::Logger;
use notification::Notification;
use options::Config;
use outgoing::OutgoingMemory;
use parts::Parts;
use statistics::Totals;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use variables::Variables;

const CLASS: &str = "::nats::connection";

/// Makes the class usable in an interpreter.
pub fn register(interp: Interp<'_>) -> tcl::Result<()> {
    log::register(interp)?;
    construct::register(interp)?;
    context_file::register(interp)?;
    for methods in [
        lifecycle::METHODS,
        configure::METHODS,
        servers::METHODS,
        publish::METHODS,
        request::METHODS,
        subscription::METHODS,
        drain::METHODS,
        round_trip::METHODS,
        statistics::METHODS,
    ] {
        oo::define(interp, CLASS, None, None, methods)?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Closed,
    Connecting,
    Connected,
    Reconnecting,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Status::Closed => "closed",
            Status::Connecting => "connecting",
            Status::Connected => "connected",
            Status::Reconnecting => "reconnecting",
        }
    }
}

pub struct Connection {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    weak: Weak<Connection>,
    pub(crate) logger: Logger,
    config: RefCell<Config>,
    variables: Variables,
    links: Links,
    lifecycle: Lifecycle,
    children: Children,
    /// Its destructor runs, or it has gone.
    ending: Cell<bool>,
    outgoing_memory: OutgoingMemory,
    /// What there is to be delivered to, and the channel of what arrives for it.
    delivery: Rc<Delivery>,
    arrivals: Sender<Arrival>,
    arrivals_end: RefCell<Option<Receiver<Arrival>>>,
    events: EventCallback,
    drains: Drains,
    totals: Totals,
    parts: Parts,
}

impl Connection {
    pub fn status(&self) -> Status {
        self.variables.status()
    }

    fn closed(&self) -> bool {
        self.status() == Status::Closed
    }

    /// # Errors
    /// `ErrConnectionClosed`.
    pub fn check_open(&self) -> Result<()> {
        if self.closed() { Err(Error::no_connection()) } else { Ok(()) }
    }

    pub fn interp(&self) -> Option<InterpGuard<'_>> {
        self.interp_handle.enter()
    }

    fn this(&self) -> Result<Rc<Connection>> {
        self.weak.upgrade().ok_or_else(Error::no_connection)
    }

    /// The link, for sending: see [`Links::get`].
    pub fn link(&self) -> Result<Link> {
        self.links.get()
    }

    fn notifications(&self) -> Option<Sender<Notification>> {
        self.links.notifications()
    }

    /// Lets something survive `disconnect` and a new `connect`.
    pub fn follow(&self, follower: Weak<dyn Follower>) {
        self.links.follow(follower);
    }

    /// The error of a synchronous call that may have ended because its connection did.
    pub fn ended(&self, error: Error) -> Error {
        if error.kind != Kind::ConnectionClosed {
            return error;
        }
        // A `disconnect` leaves no error behind.
        match *self.variables.last_error() {
            Some(_) => Error::connection_lost(),
            None => Error::connection_closed(),
        }
    }

    /// What the program has called this connection; empty without a name.
    pub fn name(&self) -> String {
        self.config.borrow().name.clone()
    }

    pub fn server_info(&self) -> Option<Arc<ServerInfo>> {
        self.variables.server_info().clone()
    }

    /// How messages are shown to the program.
    pub fn format(&self) -> &MessageFormat {
        &self.delivery.format
    }

    /// The number of the subscription that replies to single requests come by.
    pub fn inbox_id(&self) -> i64 {
        self.delivery.subscribers.inbox_id()
    }

    pub fn utf8_convert(&self) -> bool {
        self.delivery.format.utf8()
    }

    /// The number of a subscription that is not one of the program's own.
    pub fn next_sub_id(&self) -> i64 {
        self.delivery.subscribers.next_id()
    }

    fn checks_subjects(&self) -> bool {
        self.config.borrow().check_subjects
    }

    fn dictmsg(&self) -> bool {
        self.config.borrow().dictmsg
    }

    /// The domain and the prefix that a `jet_stream` without its own has.
    pub fn jetstream_options(&self) -> (Option<String>, Option<String>) {
        let config = self.config.borrow();
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        (given(&config.jetstream_domain), given(&config.jetstream_api_prefix))
    }

    fn request_timeout(&self) -> Duration {
        self.config.borrow().request_timeout
    }

    /// Whether it is the end of the object for which the link is closed.
    pub fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// Takes a new object as a child; one that has no parent any more goes at once.
    pub fn adopt(&self, interp: Interp<'_>, child: &ObjectHandle) -> tcl::Result<()> {
        if self.handle.is_alive() {
            self.children.adopt(child);
            return Ok(());
        }
        child.destroy(interp);
        Err(Error::new(Kind::ConnectionClosed, "The connection was destroyed").into())
    }

    pub fn release(&self, child: &ObjectHandle) {
        self.children.release(child);
    }
}
