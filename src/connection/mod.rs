//! `nats::connection`: the object and what it consists of.
//!
//! The transport reports what happens as events; they reach this thread in order and move the state
//! machine (`state`), which alone writes `status`, `last_error` and `serverInfo` (`variables`), once
//! for each transition.

mod arrival;
mod backlog;
mod certificate;
mod commands;
mod config;
mod delivery;
mod drain;
mod events;
pub mod log;
mod login;
mod options;
mod outgoing;
mod publish;
mod replies;
mod request;
mod servers;
mod state;
mod subscriber;
mod subscription;
mod tls_callback;
mod tls_opts;
mod traffic;
mod value;
mod variables;

pub use commands::register;

use crate::bridge::{Promise, Receiver, Sender};
use crate::error::{Error, Kind};
use crate::tcl::oo::Children;
use crate::tcl::{Interp, InterpGuard, InterpHandle, Native, Obj, ObjectHandle, Result};
use crate::transport::{
    Event, EventSink, Link, Login, LoginQuestion, ServerEntry, ServerInfo, TlsQuestion,
};
use arrival::Arrival;
use backlog::Slow;
use delivery::Delivery;
use drain::Drains;
use events::Events;
use log::Logger;
use options::Config;
use outgoing::OutgoingMemory;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use traffic::Totals;

/// How long closing a connection may take to write out what is queued.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

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

/// What the runtime thread posts to the connection.
enum Notice {
    Event(Event),
    /// The user's delay callback is wanted; a dropped sender means the usual wait.
    Delay(ServerEntry, oneshot::Sender<Option<Duration>>),
    /// A subscription or a request is at its limit.
    Slow(Slow),
    /// The user's login callback is wanted; a dropped sender means that there is no login.
    Login(LoginQuestion, oneshot::Sender<Option<Login>>),
    /// The user's callbacks for TLS are wanted.
    Tls(TlsQuestion),
    /// A step of this drain is done.
    Drained(u64),
    DrainExpired(u64),
}

/// An open link and our ear on it.
struct Open {
    link: Link,
    notices: Sender<Notice>,
    _heard: Receiver<Notice>,
}

pub struct Connection {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    my: Obj,
    weak: Weak<Connection>,
    pub(crate) logger: Logger,
    config: RefCell<Config>,
    status: Cell<Status>,
    last_error: RefCell<Option<Error>>,
    /// The pool while there is no link; with one, the transport has it.
    pool: RefCell<Vec<ServerEntry>>,
    open: RefCell<Option<Open>>,
    info: RefCell<Option<Arc<ServerInfo>>>,
    connecting: RefCell<Vec<Promise<()>>>,
    children: Children,
    outgoing_memory: OutgoingMemory,
    /// What there is to be delivered to, and the channel of what arrives for it.
    delivery: Rc<Delivery>,
    arrivals: Sender<Arrival>,
    arrivals_end: RefCell<Option<Receiver<Arrival>>>,
    followers: RefCell<Vec<Weak<dyn Follower>>>,
    /// Variables that are being written, and what was written to them meanwhile.
    writing: RefCell<Vec<&'static str>>,
    missed: RefCell<VecDeque<(&'static str, Obj)>>,
    /// Counts the writes of public variables.
    written: Cell<u64>,
    /// Counts changes of state; see [`Connection::turn`].
    turn: Cell<u64>,
    gone: Cell<bool>,
    events: Events,
    drains: Drains,
    totals: Totals,
}

/// Something that goes on when a closed connection is opened again.
pub trait Follower {
    fn resume(&self, link: &Link);
}

struct Relay(Sender<Notice>);

impl EventSink for Relay {
    fn event(&self, event: Event) {
        self.0.send(Notice::Event(event));
    }
}

pub fn no_connection() -> Error {
    Error::new(Kind::ConnectionClosed, "No connection to NATS server")
}

impl Connection {
    pub fn status(&self) -> Status {
        self.status.get()
    }

    fn closed(&self) -> bool {
        self.status.get() == Status::Closed
    }

    pub fn interp(&self) -> Option<InterpGuard<'_>> {
        self.interp_handle.enter()
    }

    /// The link, for sending: there is one unless the connection is closed, or belongs to the
    /// parent of this process.
    pub fn link(&self) -> crate::error::Result<Link> {
        let open = self.open.borrow();
        let open = open.as_ref().ok_or_else(no_connection)?;
        open.link.check_process()?;
        Ok(open.link.clone())
    }

    /// The same for what checks the process by itself.
    fn with_link<T>(&self, body: impl FnOnce(&Link) -> T) -> crate::error::Result<T> {
        let open = self.open.borrow();
        Ok(body(&open.as_ref().ok_or_else(no_connection)?.link))
    }

    fn check_open(&self) -> crate::error::Result<()> {
        if self.closed() { Err(no_connection()) } else { Ok(()) }
    }

    fn this(&self) -> crate::error::Result<Rc<Connection>> {
        self.weak.upgrade().ok_or_else(no_connection)
    }

    fn notices(&self) -> Option<Sender<Notice>> {
        self.open.borrow().as_ref().map(|open| open.notices.clone())
    }

    /// The error of a synchronous call that may have ended because its connection did.
    pub fn ended(&self, error: Error) -> Error {
        if error.kind != Kind::ConnectionClosed {
            return error;
        }
        // A `disconnect` leaves no error behind.
        match *self.last_error.borrow() {
            Some(_) => Error::new(Kind::Timeout, "Connection lost"),
            None => Error::connection_closed(),
        }
    }

    pub fn server_info(&self) -> Option<Arc<ServerInfo>> {
        self.info.borrow().clone()
    }

    pub fn utf8_convert(&self) -> bool {
        self.delivery.format.utf8()
    }

    fn checks_subjects(&self) -> bool {
        self.config.borrow().check_subjects
    }

    fn dictmsg(&self) -> bool {
        self.config.borrow().dictmsg
    }

    fn request_timeout(&self) -> Duration {
        self.config.borrow().request_timeout
    }

    /// Takes a new object as a child; one that has no parent any more goes at once.
    pub fn adopt(&self, interp: Interp<'_>, child: &ObjectHandle) -> Result<()> {
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

    /// Lets something survive `disconnect` and a new `connect`.
    pub fn follow(&self, follower: Weak<dyn Follower>) {
        let mut followers = self.followers.borrow_mut();
        followers.retain(|follower| follower.strong_count() > 0);
        followers.push(follower);
    }

    fn set_pool(&self, pool: Vec<ServerEntry>) {
        if pool.is_empty()
            && let Some(open) = self.open.borrow().as_ref()
        {
            open.link.clear_pool();
        }
        *self.pool.borrow_mut() = pool;
    }

    fn servers(&self) -> Vec<ServerEntry> {
        match self.open.borrow().as_ref() {
            Some(open) => open.link.servers(),
            None => self.pool.borrow().clone(),
        }
    }
}

impl Native for Connection {
    fn gone(&self) {
        // Without a destructor (that of a subclass did not call next, the interpreter is deleted)
        // the link still has to end.
        self.gone.set(true);
        self.turn();
        self.status.set(Status::Closed);
        let _waiting = self.end_connect();
        self.close_link(FLUSH_LIMIT);
        if let Some(arrivals) = self.arrivals_end.take() {
            arrivals.finish();
        }
        self.events.finish();
        if let Some(interp) = self.interp_handle.enter() {
            self.children.destroy(*interp);
        }
    }
}
