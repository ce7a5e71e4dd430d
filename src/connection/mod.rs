//! `nats::connection`: the object, its state machine and its public variables.
//!
//! The transport reports what happens as events; they reach this thread in order, and only here
//! are `status`, `last_error` and `serverInfo` written, once for each transition.

mod backlog;
mod certificate;
mod commands;
mod config;
mod delivery;
mod drain;
mod events;
pub mod log;
mod login;
mod message;
mod publish;
mod request;
mod subscription;
mod tls_callback;
mod tls_opts;
mod traffic;

pub use commands::register;

use crate::bridge::{self, Feed, Subscription, Ticket};
use crate::error::{Error, Kind};
use crate::json;
use crate::options;
use crate::tcl::oo::Children;
use crate::tcl::{Failure, Handle, Home, Interp, Native, Obj, Result, Stay};
use crate::transport::{
    Block, DelayCallback, Event, Link, Login, LoginCallback, LoginQuestion, Observer, ServerEntry,
    ServerInfo, Subject, TlsQuestion, Traffic,
};
use config::{Config, entry_dict};
use delivery::{Delivery, Item};
use drain::Drain;
use events::Events;
use log::{Level, Logger};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

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
    /// This subscription is at its limit.
    Slow(i64),
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
    notices: Feed<Notice>,
    _heard: Subscription<Notice>,
}

pub struct Connection {
    home: Home,
    handle: Handle,
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
    connecting: RefCell<Vec<Ticket<()>>>,
    children: Children,
    /// What has arrived for callbacks, and the feed it comes by.
    delivery: Rc<Delivery>,
    items: Feed<Item>,
    arrivals: RefCell<Option<Subscription<Item>>>,
    last_sub: Cell<i64>,
    /// The last subject that was published to, and the memory of payloads.
    last_subject: RefCell<Option<Subject>>,
    block: RefCell<Block>,
    /// The number that the inbox of single requests counts as, since the last `connect`.
    inbox_sub: Cell<Option<i64>>,
    followers: RefCell<Vec<Weak<dyn Follower>>>,
    /// Variables that are being written, and what was written to them meanwhile.
    writing: RefCell<Vec<&'static str>>,
    missed: RefCell<VecDeque<(&'static str, Obj)>>,
    /// Counts changes of state; see [`Connection::turn`].
    turn: Cell<u64>,
    gone: Cell<bool>,
    events: Events,
    drains: RefCell<Vec<Drain>>,
    draining: Cell<bool>,
    last_drain: Cell<u64>,
    /// What has gone through earlier links.
    past: Cell<Traffic>,
    reconnects: Cell<u64>,
}

/// Something that goes on when a closed connection is opened again.
pub trait Follower {
    fn resume(&self, link: &Link);
}

struct Relay(Feed<Notice>);

impl Observer for Relay {
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

    pub fn interp(&self) -> Option<Stay<'_>> {
        self.home.enter()
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

    fn turn_of_drain(&self) -> u64 {
        self.last_drain.set(self.last_drain.get() + 1);
        self.last_drain.get()
    }

    fn notices(&self) -> Option<Feed<Notice>> {
        self.open.borrow().as_ref().map(|open| open.notices.clone())
    }

    fn next_sub_id(&self) -> i64 {
        self.last_sub.set(self.last_sub.get() + 1);
        self.last_sub.get()
    }

    /// The error of a synchronous call that may have ended because its connection did.
    pub fn ended(&self, error: Error) -> Error {
        if error.kind != Kind::ConnectionClosed {
            return error;
        }
        // A `disconnect` leaves no error behind.
        match *self.last_error.borrow() {
            Some(_) => Error::new(Kind::Timeout, "Connection lost"),
            None => Error::new(Kind::ConnectionClosed, "Connection closed"),
        }
    }

    pub fn server_info(&self) -> Option<Arc<ServerInfo>> {
        self.info.borrow().clone()
    }

    pub fn utf8_convert(&self) -> bool {
        self.delivery.utf8()
    }

    fn checks_subjects(&self) -> bool {
        self.config.borrow().checks_subjects()
    }

    fn dictmsg(&self) -> bool {
        self.config.borrow().flag("dictmsg")
    }

    fn request_timeout(&self) -> Duration {
        self.config.borrow().duration("request_timeout")
    }

    /// Refuses a payload that the server would not take, as far as its INFO is known.
    pub fn check_payload(&self, length: usize) -> crate::error::Result<()> {
        match self.info.borrow().as_ref() {
            Some(info) if length > info.max_payload => {
                let text = format!("Maximum size of NATS message is {}", info.max_payload);
                Err(Error::new(Kind::MaxPayload, text))
            }
            _ => Ok(()),
        }
    }

    /// Takes a new object as a child; one that has no parent any more goes at once.
    pub fn adopt(&self, interp: Interp<'_>, child: &Handle) -> Result<()> {
        if self.handle.is_alive() {
            self.children.adopt(child);
            return Ok(());
        }
        child.destroy(interp);
        Err(Error::new(Kind::ConnectionClosed, "The connection was destroyed").into())
    }

    pub fn release(&self, child: &Handle) {
        self.children.release(child);
    }

    /// Lets something survive `disconnect` and a new `connect`.
    pub fn follow(&self, follower: Weak<dyn Follower>) {
        let mut followers = self.followers.borrow_mut();
        followers.retain(|follower| follower.strong_count() > 0);
        followers.push(follower);
    }

    // ------------------------------------------------------------------ public variables

    fn my_call(&self, interp: Interp<'_>, words: &[Obj]) {
        // A trace may have destroyed the object, and its variables with it.
        if self.gone.get() {
            return;
        }
        let mut call = vec![self.my.clone()];
        call.extend_from_slice(words);
        // A trace of the user that throws is reported and harms nothing.
        interp.aside(|| {
            if let Err(failure) = interp.call(&call) {
                interp.background(&failure);
            }
        });
    }

    /// Writes a variable. Tcl fires no trace for a write that is made inside a trace on the same
    /// variable, so such a value is written at once, for all to see, and once more when that trace
    /// has returned, for the traces to see.
    fn put(&self, variable: &'static str, value: Obj) {
        let Some(interp) = self.home.enter() else { return };
        let name = Obj::new(variable);
        let write = |value| {
            self.my_call(*interp, &[Obj::new("PutVariable"), name.clone(), value]);
        };
        if self.writing.borrow().contains(&variable) {
            self.missed.borrow_mut().push_back((variable, value.clone()));
            return write(value);
        }
        self.writing.borrow_mut().push(variable);
        write(value);
        loop {
            let mut missed = self.missed.borrow_mut();
            let Some(at) = missed.iter().position(|(name, _)| *name == variable) else { break };
            let next = missed.remove(at);
            drop(missed);
            if let Some((_, value)) = next {
                write(value);
            }
        }
        self.writing.borrow_mut().retain(|name| *name != variable);
    }

    fn set_status(&self, status: Status) {
        self.status.set(status);
        self.put("status", Obj::new(status.word()));
    }

    fn set_last_error(&self, error: Option<Error>) {
        let value = match &error {
            None => Obj::empty(),
            Some(error) => {
                let dict = Obj::dict();
                dict.put("code", &crate::tcl::interp::error_code(error));
                dict.put("errorMessage", &Obj::new(&error.message));
                dict
            }
        };
        if let Some(error) = &error {
            self.logger.log(Level::Warn, &error.message);
        }
        *self.last_error.borrow_mut() = error;
        self.put("last_error", value);
    }

    fn put_info(&self, info: &ServerInfo) {
        if let Some(interp) = self.home.enter() {
            let fields = json::to_dict(&info.fields);
            self.my_call(*interp, &[Obj::new("PutInfo"), fields]);
        }
    }

    // ------------------------------------------------------------------------------ pool

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

    fn config_changed(&self, interp: Interp<'_>) {
        self.delivery.set_utf8(self.config.borrow().flag("utf8_convert"));
        self.events.set_prefix(self.config.borrow().get("event_callback"));
        if let Ok(level) = Level::parse(&self.config.borrow().get("log_level").text()) {
            self.logger.set_level(level);
        }
        let open = self.open.borrow();
        let Some(open) = open.as_ref() else { return };
        let settings = self.config.borrow().settings(interp);
        open.link.update(move |live| {
            live.reconnect_time_wait = settings.reconnect_time_wait;
            live.max_reconnect_attempts = settings.max_reconnect_attempts;
            live.login = settings.login;
            live.tls = settings.tls;
        });
    }

    // ----------------------------------------------------------------------------- state

    fn start(&self, interp: Interp<'_>) -> crate::error::Result<()> {
        let mut settings = self.config.borrow().settings(interp);
        let mut servers = self.pool.borrow().clone();
        for entry in &mut servers {
            entry.reconnects = 0;
            entry.last_attempt = 0;
        }
        settings.servers = servers;
        let weak = self.weak.clone();
        let (feed, notices) = bridge::feed(self.home.clone(), move |notice| {
            if let Some(this) = weak.upgrade() {
                this.notice(notice);
            }
        });
        let ask = feed.clone();
        let delay: DelayCallback = Arc::new(move |entry| {
            let (answer, question) = oneshot::channel();
            ask.send(Notice::Delay(entry, answer));
            question
        });
        settings.delay_callback = Some(delay);
        let ask = feed.clone();
        let login: LoginCallback = Arc::new(move |question| {
            let (answer, asked) = oneshot::channel();
            ask.send(Notice::Login(question, answer));
            asked
        });
        settings.login_callback = Some(login);
        let ask = feed.clone();
        settings.tls_callback = Some(Arc::new(move |question| ask.send(Notice::Tls(question))));
        let link = Link::open(settings, Arc::new(Relay(feed.clone())))?;
        notices.start();
        for follower in self.followers.borrow().iter().filter_map(Weak::upgrade) {
            follower.resume(&link);
        }
        *self.open.borrow_mut() = Some(Open { link, notices: feed, _heard: notices });
        let turn = self.turn();
        self.status.set(Status::Connecting);
        self.set_last_error(None);
        if self.is(turn) {
            self.set_status(Status::Connecting);
        }
        Ok(())
    }

    fn notice(&self, notice: Notice) {
        match notice {
            Notice::Event(event) => self.event(event),
            Notice::Delay(entry, answer) => {
                let _ = answer.send(self.custom_delay(&entry));
            }
            Notice::Slow(id) => self.slow(id),
            Notice::Login(question, answer) => {
                // The attempt may be over.
                let _ = answer.send(self.custom_login(&question));
            }
            Notice::Tls(question) => self.tls_question(question),
            Notice::Drained(number) => self.drained(number),
            Notice::DrainExpired(number) => self.drain_expired(number),
        }
    }

    fn custom_delay(&self, entry: &ServerEntry) -> Option<Duration> {
        let interp = self.home.enter()?;
        let prefix = self.config.borrow().get("custom_reconnect_delay");
        if prefix.is_empty() {
            return None;
        }
        interp.aside(|| {
            let outcome = prefix.elements(*interp).and_then(|mut words| {
                words.push(entry_dict(entry));
                let value = interp.call(&words)?;
                options::integer(&value).filter(|ms| *ms >= 0).ok_or_else(|| {
                    let text = "-custom_reconnect_delay must return milliseconds";
                    Failure::from(Error::invalid(format!("{text}, got \"{}\"", value.text())))
                })
            });
            match outcome {
                Ok(ms) => Some(Duration::from_millis(ms as u64)),
                Err(failure) => {
                    interp.background(&failure);
                    None
                }
            }
        })
    }

    fn event(&self, event: Event) {
        match event {
            Event::Attempt(server) => {
                let text = format!("Connecting to the server at {}", server.address());
                let name = match self.status() {
                    Status::Reconnecting => "reconnecting",
                    _ => "connecting",
                };
                self.events.tell(name, &[("server", &server.address())], None);
                self.logger.log(Level::Info, &text);
            }
            Event::Heard(info) => {
                *self.info.borrow_mut() = Some(info.clone());
                self.put_info(&info);
            }
            Event::AttemptFailed(error) => {
                self.events.tell("async_error", &[], Some(&error));
                let turn = self.turn.get();
                self.set_last_error(Some(error));
                if self.is(turn) {
                    self.log_attempt(false);
                }
            }
            Event::AsyncError(error) => {
                self.events.tell("async_error", &[], Some(&error));
                self.set_last_error(Some(error));
            }
            Event::Connected { server, info } => {
                let _waiting = self.end_connect();
                self.connected(&server, &info);
            }
            Event::Lost(error) => {
                let turn = self.turn();
                let server = self.current_address();
                self.events.tell("disconnected", &[("server", &server)], Some(&error));
                self.set_last_error(Some(error));
                if self.is(turn) {
                    self.set_status(Status::Reconnecting);
                }
            }
            Event::GaveUp { reason, hold } => {
                let _waiting = self.end_connect();
                self.gave_up(reason);
                // Whoever waits for an answer finds the connection closed.
                drop(hold);
            }
            Event::LameDuck => {
                let server = self.current_address();
                self.events.tell("lame_duck", &[("server", &server)], None);
                self.put("serverInfo(ldm)", Obj::word(true));
            }
            Event::Waiting(delay) => {
                let text = format!(
                    "Waiting for {} ms before connecting to the next server",
                    delay.as_millis()
                );
                self.logger.log(Level::Debug, &text);
            }
            Event::PoolAdded(address) => {
                self.events.tell("discovered_server", &[("server", &address)], None);
                self.logger.log(Level::Debug, &format!("Added {address} to the server pool"));
            }
            Event::BadServerUrl(url) => {
                self.logger.log(Level::Warn, &format!("Invalid URL {url}"));
            }
            Event::PoolRemoved(address) => {
                self.events.tell("removed_server", &[("server", &address)], None);
                self.logger.log(Level::Debug, &format!("Removed {address} from the server pool"));
            }
        }
    }

    fn connected(&self, server: &ServerEntry, info: &Arc<ServerInfo>) {
        let turn = self.turn();
        *self.info.borrow_mut() = Some(info.clone());
        let again = self.status() == Status::Reconnecting;
        self.reconnects.set(self.reconnects.get() + u64::from(again));
        let name = if again { "reconnected" } else { "connected" };
        self.events.tell(name, &[("server", &server.address())], None);
        self.put_info(info);
        if self.is(turn) {
            let text = format!("Connected to the server at {}", server.address());
            self.logger.log(Level::Info, &text);
        }
        if self.is(turn) {
            self.log_attempt(true);
        }
        if self.is(turn) {
            self.set_last_error(None);
        }
        if self.is(turn) {
            self.set_status(Status::Connected);
        }
    }

    fn gave_up(&self, reason: &'static str) {
        let turn = self.turn();
        self.logger.log(Level::Error, reason);
        let discarded = self.with_link(Link::unsent).unwrap_or_default();
        if discarded > 0 {
            let text = format!("Discarded {discarded} buffered messages");
            self.logger.log(Level::Warn, &text);
        }
        if !self.is(turn) {
            return;
        }
        let first_pass = self.status() == Status::Connecting;
        self.close_link(Duration::ZERO);
        if !first_pass {
            self.pool.borrow_mut().clear();
        }
        let error = self.last_error.borrow().clone();
        self.events.tell("closed", &[], error.as_ref());
        self.set_status(Status::Closed);
    }

    fn current_address(&self) -> String {
        let open = self.open.borrow();
        open.as_ref().and_then(|open| open.link.current()).map_or_else(String::new, |s| s.address())
    }

    /// The end of an attempt at a server.
    fn log_attempt(&self, ok: bool) {
        if !self.logger.wants(Level::Debug) {
            return;
        }
        let current = self.open.borrow().as_ref().and_then(|open| open.link.current());
        if let Some(server) = current {
            let (address, failures) = (server.address(), server.reconnects);
            let text = format!("Current server ok={ok}: {address} {failures} reconnects");
            self.logger.log(Level::Debug, &text);
        }
    }

    /// Begins a change of state of several steps. Each step may run traces and log services of
    /// the user, and what they do to the connection is newer than the rest of the change.
    fn turn(&self) -> u64 {
        self.turn.set(self.turn.get() + 1);
        self.turn.get()
    }

    fn is(&self, turn: u64) -> bool {
        self.turn.get() == turn
    }

    /// Closes the link, keeping its pool; nothing is heard from it afterwards.
    fn close_link(&self, flush: Duration) {
        let open = self.open.borrow_mut().take();
        if let Some(open) = open {
            *self.pool.borrow_mut() = open.link.servers();
            open.link.close(flush);
            self.past.set(traffic::sum(self.past.get(), open.link.traffic()));
        }
        self.draining.set(false);
        // Whoever waits for a drain hears of it.
        let drains = self.drains.take();
        drop(drains);
        self.delivery.closed();
        self.inbox_sub.set(None);
    }

    /// What waits for the end of `connect` now goes on when the result is dropped. Calls that are
    /// made meanwhile wait for theirs.
    fn end_connect(&self) -> Vec<Ticket<()>> {
        self.connecting.take()
    }

    fn disconnect(&self) {
        if self.closed() {
            return;
        }
        let turn = self.turn();
        let _waiting = self.end_connect();
        let current = self.open.borrow().as_ref().and_then(|open| open.link.current());
        let was = self.status.replace(Status::Closed);
        self.events.tell("closed", &[], None);
        self.close_link(FLUSH_LIMIT);
        if let (Some(server), Status::Connected) = (current, was) {
            let text = format!("Closing connection to {}", server.address());
            self.logger.log(Level::Info, &text);
        }
        if self.is(turn) {
            self.set_last_error(None);
        }
        if self.is(turn) {
            self.set_status(Status::Closed);
        }
    }

    /// Why a synchronous `connect` failed.
    fn connect_error(&self) -> Error {
        let general = || Error::new(Kind::NoServers, "No servers available for connection");
        let single = self.pool.borrow().len() == 1;
        self.last_error.borrow().clone().filter(|_| single).unwrap_or_else(general)
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
        if let Some(arrivals) = self.arrivals.take() {
            arrivals.finish();
        }
        self.events.finish();
        if let Some(interp) = self.home.enter() {
            self.children.destroy(*interp);
        }
    }
}
