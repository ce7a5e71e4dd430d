//! The state machine of a connection: what the transport reports, step by step.

use super::log::Level;
use super::servers::entry_dict;
use super::{Connection, FLUSH_LIMIT, Notice, Open, Relay, Status};
use crate::bridge::{self, Promise};
use crate::error::{Error, Kind};
use crate::json;
use crate::options;
use crate::tcl::Failure;
use crate::transport::{DelayCallback, Event, Link, LoginCallback, ServerEntry, ServerInfo};
use std::rc::Weak;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

impl Connection {
    pub(super) fn start(&self) -> crate::error::Result<()> {
        let mut settings = self.config.borrow().settings();
        let mut servers = self.pool.borrow().clone();
        for entry in &mut servers {
            entry.reconnects = 0;
            entry.last_attempt = 0;
        }
        settings.servers = servers;
        let weak = self.weak.clone();
        let (feed, notices) = bridge::channel(self.interp_handle.clone(), move |notice, rest| {
            let Some(this) = weak.upgrade() else { return };
            let written = this.written.get();
            this.notice(notice);
            // Whoever waits for a variable sees each of its values.
            if this.written.get() != written {
                rest.pause();
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

    pub(super) fn notice(&self, notice: Notice) {
        match notice {
            Notice::Event(event) => self.event(event),
            Notice::Delay(entry, answer) => {
                let _ = answer.send(self.custom_delay(&entry));
            }
            Notice::Slow(slow) => self.slow(&slow),
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
        let interp = self.interp_handle.enter()?;
        let prefix = self.config.borrow().custom_reconnect_delay.clone();
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
                self.put_info(&info.fields, false);
            }
            Event::AttemptFailed { server, error } => {
                self.events.tell("async_error", &[], Some(&error));
                let turn = self.turn.get();
                self.set_last_error(Some(error));
                if self.is(turn) {
                    self.log_attempt(&server, false);
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
            Event::Lost { server, error } => {
                let turn = self.turn();
                self.events.tell("disconnected", &[("server", &server.address())], Some(&error));
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
            Event::Updated { said, info } => {
                *self.info.borrow_mut() = Some(info);
                if let Some(urls) = said.get("connect_urls") {
                    let text = format!("Got connect_urls: {}", json::to_obj(urls).text());
                    self.logger.log(Level::Debug, &text);
                }
                self.put_info(&said, true);
            }
            Event::LameDuck(server) => {
                self.events.tell("lame_duck", &[("server", &server.address())], None);
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
        if again {
            self.totals.reconnected();
        }
        let name = if again { "reconnected" } else { "connected" };
        self.events.tell(name, &[("server", &server.address())], None);
        self.put_info(&info.fields, false);
        if self.is(turn) {
            let text = format!("Connected to the server at {}", server.address());
            self.logger.log(Level::Info, &text);
        }
        if self.is(turn) {
            self.log_attempt(server, true);
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

    /// The end of an attempt at a server.
    fn log_attempt(&self, server: &ServerEntry, ok: bool) {
        if !self.logger.wants(Level::Debug) {
            return;
        }
        let (address, failures) = (server.address(), server.reconnects);
        let text = format!("Current server ok={ok}: {address} {failures} reconnects");
        self.logger.log(Level::Debug, &text);
    }

    /// Begins a change of state of several steps. Each step may run traces and log services of
    /// the user, and what they do to the connection is newer than the rest of the change.
    pub(super) fn turn(&self) -> u64 {
        self.turn.set(self.turn.get() + 1);
        self.turn.get()
    }

    pub(super) fn is(&self, turn: u64) -> bool {
        self.turn.get() == turn
    }

    /// Closes the link, keeping its pool; nothing is heard from it afterwards.
    pub(super) fn close_link(&self, flush: Duration) {
        let open = self.open.borrow_mut().take();
        if let Some(open) = open {
            *self.pool.borrow_mut() = open.link.servers();
            open.link.close(flush);
            self.totals.link_closed(open.link.traffic());
        }
        self.drains.closed();
        self.delivery.closed();
    }

    /// What waits for the end of `connect` now goes on when the result is dropped. Calls that are
    /// made meanwhile wait for theirs.
    pub(super) fn end_connect(&self) -> Vec<Promise<()>> {
        self.connecting.take()
    }

    pub(super) fn disconnect(&self) {
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
    pub(super) fn connect_error(&self) -> Error {
        let general = || Error::new(Kind::NoServers, "No servers available for connection");
        let single = self.pool.borrow().len() == 1;
        self.last_error.borrow().clone().filter(|_| single).unwrap_or_else(general)
    }
}
