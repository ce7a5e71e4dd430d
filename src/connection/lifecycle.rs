//! `connect`, `disconnect` and `force_reconnect`: how a link is opened and closed.

use super::log::Level;
use super::notification::{EventForwarder, ask_by};
use super::{Connection, Status};
use crate::bridge::{self, Promise};
use crate::error::{Error, Kind};
use crate::mask::masked;
use crate::options::{Type, bare, boolean, check, missing_value};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Method, Obj, Result, Return};
use crate::transport::Link;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

/// How long closing a connection may take to write out what is queued.
pub const FLUSH_LIMIT: Duration = Duration::from_secs(2);

#[derive(Default)]
pub struct Lifecycle {
    /// The number of the last change of state.
    last_change: Cell<u64>,
    /// Commands that wait for the end of `connect`.
    connecting: RefCell<Vec<Promise<()>>>,
}

/// A change of state of several steps. Each step may run traces and log services of the program, and
/// what they do to the connection is newer than the rest of the change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Change(u64);

impl Lifecycle {
    pub fn begin_change(&self) -> Change {
        self.last_change.set(self.last_change.get() + 1);
        self.current_change()
    }

    /// The change that began last.
    pub fn current_change(&self) -> Change {
        Change(self.last_change.get())
    }

    pub fn is_current(&self, change: Change) -> bool {
        self.current_change() == change
    }

    /// What waits for the end of `connect` now goes on when the result is dropped. Calls that are
    /// made meanwhile wait for theirs.
    pub fn connect_ended(&self) -> Vec<Promise<()>> {
        self.connecting.take()
    }
}

/// What the words of `connect` say.
struct How {
    wait: bool,
    /// In the place of `-retry_on_failed_connect` of the connection.
    retry: Option<bool>,
}

fn how(call: &Call<'_>) -> Result<How> {
    const RETRY: &str = "retry_on_failed_connect";
    let mut how = How { wait: true, retry: None };
    let mut words = call.args().iter();
    while let Some(word) = words.next() {
        if word.tcl_bytes() == b"-async" {
            how.wait = false;
        } else if bare(&word.text()) == RETRY {
            let value = words.next().ok_or_else(|| missing_value(word))?;
            let value = check(call.interp, RETRY, Type::Bool, value.clone())?;
            how.retry = boolean(&value.text());
        } else {
            let words = call.args().iter().map(Obj::text).collect::<Vec<_>>().join(" ");
            return Err(Error::invalid(format!("Unknown option {}", masked(&words))).into());
        }
    }
    Ok(how)
}

fn connect(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let How { wait, retry } = how(call)?;
    if !this.closed() {
        return Ok(Return::Empty);
    }
    if this.links.pool_size() == 0 {
        return Err(Error::new(Kind::NoServers, "Server pool is empty").into());
    }
    let (promise, answer) = bridge::promise(call.interp);
    if wait {
        this.lifecycle.connecting.borrow_mut().push(promise);
    }
    this.open_link(retry)?;
    if !wait {
        return Ok(Return::Empty);
    }
    this.logger.log(Level::Debug, "Waiting for connection status");
    answer.wait(call.interp, move |_, _| {
        this.logger.log(Level::Debug, "Finished waiting for connection status");
        match this.status() {
            Status::Closed => Err(this.connect_error().into()),
            _ => Ok(Return::Empty),
        }
    })
}

fn disconnect(call: &Call<'_>) -> Result<Return> {
    call.data::<Connection>()?.disconnect();
    Ok(Return::Empty)
}

fn force_reconnect(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    this.link()?.force_reconnect()?;
    Ok(Return::Empty)
}

impl Connection {
    fn open_link(&self, retry: Option<bool>) -> crate::error::Result<()> {
        let mut settings = self.config.borrow().settings();
        settings.retry = retry.unwrap_or(settings.retry);
        settings.servers = self.links.fresh_pool();
        let (notifications, receiver) = self.notification_channel();
        ask_by(&notifications, &mut settings);
        let link = Link::open(settings, Arc::new(EventForwarder(notifications.clone())))?;
        receiver.start();
        self.links.opened(link, notifications, receiver);
        let change = self.lifecycle.begin_change();
        self.variables.enter(Status::Connecting);
        self.variables.write_last_error(None);
        if self.lifecycle.is_current(change) {
            self.variables.write_status(Status::Connecting);
        }
        Ok(())
    }

    /// Closes the link and ends what needs one.
    pub(super) fn close_link(&self, flush: Duration) {
        if let Some(traffic) = self.links.close(flush) {
            self.totals.link_closed(traffic);
        }
        self.drains.closed();
        self.delivery.closed();
    }

    pub(super) fn disconnect(&self) {
        if self.closed() {
            return;
        }
        let change = self.lifecycle.begin_change();
        let _waiting = self.lifecycle.connect_ended();
        let server = self.links.current_server();
        let was = self.variables.enter(Status::Closed);
        self.events.report("closed", &[], None);
        self.close_link(FLUSH_LIMIT);
        if let (Some(server), Status::Connected) = (server, was) {
            let text = format!("Closing connection to {}", server.address());
            self.logger.log(Level::Info, &text);
        }
        if self.lifecycle.is_current(change) {
            self.variables.write_last_error(None);
        }
        if self.lifecycle.is_current(change) {
            self.variables.write_status(Status::Closed);
        }
    }

    /// Why a synchronous `connect` failed.
    fn connect_error(&self) -> Error {
        let general = || Error::new(Kind::NoServers, "No servers available for connection");
        let single = self.links.pool_size() == 1;
        self.variables.last_error().clone().filter(|_| single).unwrap_or_else(general)
    }
}

pub const METHODS: &[Method] = &[
    Method { name: "connect", usage: "?arg ...?", min: 0, max: ANY, body: connect },
    Method { name: "disconnect", usage: "", min: 0, max: 0, body: disconnect },
    Method { name: "force_reconnect", usage: "", min: 0, max: 0, body: force_reconnect },
];
