//! What a link reports, step by step: it moves `status` and the other variables, the log, and the
//! program's `-event_callback`.

use super::log::Level;
use super::{Connection, Status};
use crate::error::Error;
use crate::json;
use crate::mask::masked;
use crate::transport::{Event, Link, ServerEntry, ServerInfo};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

impl Connection {
    pub(super) fn link_event(&self, event: Event) {
        match event {
            Event::Attempt(server) => self.attempting(&server.address()),
            Event::AttemptInfo(info) => {
                self.variables.enter_server_info(&info);
                self.variables.write_server_info(&info.fields, false);
            }
            Event::AttemptFailed { server, error } => self.attempt_failed(&server, error),
            Event::AsyncError(error) => self.async_error(error),
            Event::Connected { server, info } => {
                let _waiting = self.lifecycle.connect_ended();
                self.connected(&server, &info);
            }
            Event::Lost { server, error } => self.lost(&server.address(), error),
            Event::GaveUp { reason, hold } => {
                let _waiting = self.lifecycle.connect_ended();
                self.gave_up(reason);
                // Whoever waits for an answer finds the connection closed.
                drop(hold);
            }
            Event::Updated { said, info } => self.info_updated(&said, &info),
            Event::LameDuck(server) => self.events.report_server("lame_duck", &server.address()),
            Event::Waiting(delay) => {
                let ms = delay.as_millis();
                let text = format!("Waiting for {ms} ms before connecting to the next server");
                self.logger.log(Level::Debug, &text);
            }
            Event::PoolAdded(address) => {
                self.events.report_server("discovered_server", &address);
                self.logger.log(Level::Debug, &format!("Added {address} to the server pool"));
            }
            Event::PoolRemoved(address) => {
                self.events.report_server("removed_server", &address);
                self.logger.log(Level::Debug, &format!("Removed {address} from the server pool"));
            }
            Event::BadServerUrl(url) => {
                self.logger.log(Level::Warn, &format!("Invalid URL {}", masked(&url)));
            }
        }
    }

    /// An error that nobody waits for, and that is an event as well.
    pub fn async_error(&self, error: Error) {
        self.events.report("async_error", &[], Some(&error));
        self.report_error(error);
    }

    /// An error that nobody waits for.
    pub(super) fn report_error(&self, error: Error) {
        self.logger.log(Level::Warn, &error.message);
        self.variables.write_last_error(Some(error));
    }

    fn attempting(&self, address: &str) {
        let again = self.status() == Status::Reconnecting;
        self.events.report_server(if again { "reconnecting" } else { "connecting" }, address);
        self.logger.log(Level::Info, &format!("Connecting to the server at {address}"));
    }

    fn attempt_failed(&self, server: &ServerEntry, error: Error) {
        self.events.report("async_error", &[], Some(&error));
        let change = self.lifecycle.current_change();
        self.report_error(error);
        if self.lifecycle.is_current(change) {
            self.log_attempt(server, false);
        }
    }

    fn connected(&self, server: &ServerEntry, info: &Arc<ServerInfo>) {
        let change = self.lifecycle.begin_change();
        self.variables.enter_server_info(info);
        let again = self.status() == Status::Reconnecting;
        if again {
            self.totals.reconnected();
        }
        let address = server.address();
        self.events.report_server(if again { "reconnected" } else { "connected" }, &address);
        self.variables.write_server_info(&info.fields, false);
        if self.lifecycle.is_current(change) {
            self.logger.log(Level::Info, &format!("Connected to the server at {address}"));
        }
        if self.lifecycle.is_current(change) {
            self.log_attempt(server, true);
        }
        if self.lifecycle.is_current(change) {
            self.variables.write_last_error(None);
        }
        if self.lifecycle.is_current(change) {
            self.variables.write_status(Status::Connected);
        }
    }

    fn lost(&self, address: &str, error: Error) {
        let change = self.lifecycle.begin_change();
        self.events.report("disconnected", &[("server", address)], Some(&error));
        self.report_error(error);
        if self.lifecycle.is_current(change) {
            self.variables.write_status(Status::Reconnecting);
        }
    }

    fn gave_up(&self, reason: &'static str) {
        let change = self.lifecycle.begin_change();
        self.logger.log(Level::Error, reason);
        let discarded = self.links.with(Link::unsent).unwrap_or_default();
        if discarded > 0 {
            let text = format!("Discarded {discarded} buffered messages");
            self.logger.log(Level::Warn, &text);
        }
        if !self.lifecycle.is_current(change) {
            return;
        }
        let first_pass = self.status() == Status::Connecting;
        self.close_link(Duration::ZERO);
        if !first_pass {
            self.links.set_pool(Vec::new());
        }
        let error = self.variables.last_error().clone();
        self.events.report("closed", &[], error.as_ref());
        self.variables.write_status(Status::Closed);
    }

    fn info_updated(&self, said: &Map<String, Value>, info: &Arc<ServerInfo>) {
        self.variables.enter_server_info(info);
        if let Some(urls) = said.get("connect_urls") {
            let text = format!("Got connect_urls: {}", json::to_obj(urls).text());
            self.logger.log(Level::Debug, &text);
        }
        self.variables.write_server_info(said, true);
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
}
