//! What becomes of a connection: made, told of, lost, left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Client, ClientError};

use super::{Reconnector, server_addr};
use crate::lock::lock;
use crate::transport::event::{ConnState, Event};
use crate::transport::failure;
use crate::transport::info::ServerInfo;
use crate::transport::server::ServerEntry;
use crate::transport::trace::Heard;

/// How long a server that reported a fatal error has to end the connection itself.
const ERROR_GRACE: Duration = Duration::from_millis(10);

impl Reconnector {
    /// The last INFO of the server being tried.
    pub(super) fn heard_last(&self) -> Option<async_nats::ServerInfo> {
        lock(&self.course).infos.last().cloned()
    }

    /// The engine is not connected any more. Either it was told so, or the connection broke before it
    /// came to that: then the next connection is the one that it will leave.
    pub(super) fn left(&self) {
        let mut course = lock(&self.course);
        if !std::mem::take(&mut course.on) {
            return;
        }
        if !std::mem::take(&mut course.broke) {
            course.leaving = false;
        }
    }

    /// If there was a connection, it is lost.
    pub(super) fn lost(&self) {
        let mut course = lock(&self.course);
        let Some(server) = course.connected.take() else { return };
        let (fatal, cause) = (course.fatal.take(), course.cause.take());
        let (stale, reading) = (course.stale, course.read_failed);
        course.count_bounce();
        drop(course);
        let error = fatal.unwrap_or_else(|| match cause {
            Some(_) if stale => failure::stale(),
            Some(cause) => failure::lost(&server, &cause, reading),
            None => failure::closed(&server),
        });
        self.shared.set_up(false);
        self.shared.state.send_replace(ConnState::Disconnected);
        self.shared.tell(Event::Lost { server, error });
    }

    /// The engine has ended: what it was doing has failed.
    pub fn crashed(&self) {
        let mut course = lock(&self.course);
        (course.on, course.broke, course.leaving) = (false, false, false);
        course.fatal.get_or_insert_with(failure::unreadable);
        let attempt = course.attempt.take();
        drop(course);
        self.lost();
        if let Some(server) = attempt {
            self.tell_heard();
            self.count_failure(server, failure::unreadable());
        }
    }

    /// The engine said something in its trace, and is in the middle of its work.
    pub fn heard(self: &Arc<Self>, heard: Heard) {
        let mut course = lock(&self.course);
        match heard {
            Heard::Dial => course.dial(),
            Heard::Info(info) if course.connected.is_none() => course.infos.push(*info),
            Heard::ServerError(text) if course.connected.is_none() => {
                course.early_errors.push(text);
            }
            Heard::Info(info) => {
                drop(course);
                self.update(&info);
            }
            Heard::ServerError(text) => {
                drop(course);
                self.server_error(&text);
            }
            Heard::ReadFailed => course.read_failed = true,
            Heard::Stale => course.stale = true,
            Heard::Lost(cause) => {
                course.cause = Some(cause);
                course.broke = true;
                drop(course);
                self.lost();
            }
        }
    }

    /// Something happened to the engine.
    pub fn event(self: &Arc<Self>, event: async_nats::Event) {
        match event {
            async_nats::Event::Connected => self.connected(),
            async_nats::Event::ClientError(ClientError::Other(text)) => {
                lock(&self.course).client_error = Some(text);
            }
            // These come from features that are not used, or say what is known.
            async_nats::Event::Disconnected
            | async_nats::Event::LameDuckMode
            | async_nats::Event::ServerError(_)
            | async_nats::Event::Draining
            | async_nats::Event::Closed
            | async_nats::Event::SlowConsumer(_)
            | async_nats::Event::ClientError(_) => {}
        }
    }

    fn connected(self: &Arc<Self>) {
        let mut course = lock(&self.course);
        let Some(server) = course.attempt.take() else { return };
        let Some(client) = course.client.clone() else { return };
        course.on = true;
        course.since = Some(Instant::now());
        // Otherwise it will be left at once.
        let stays = !course.leaving;
        if stays {
            course.connected = Some(server.clone());
            course.generation += 1;
        }
        let generation = course.generation;
        let later: Vec<_> = course.infos.drain(..).skip(1).collect();
        let errors = std::mem::take(&mut course.early_errors);
        drop(course);
        let server = self.shared.pool().succeeded().unwrap_or(server);
        if !stays {
            return;
        }
        let raw = client.server_info();
        let info = Arc::new(self.server_info(&raw));
        self.shared.set_info(info.clone());
        // First, since who hears of the connection may put up a barrier for what he says then.
        self.shared.requests.pass_all_fences();
        self.shared.state.send_replace(ConnState::Connected(generation));
        if generation > 1 {
            self.shared.ask_again();
        }
        // What the program says from the moment when it hears of the connection keeps its order.
        self.shared.set_up(true);
        self.shared.tell(Event::Connected { server: server.clone(), info });
        self.discover(client, &server, &raw.connect_urls);
        later.iter().for_each(|info| self.update(info));
        errors.iter().for_each(|text| self.server_error(text));
    }

    /// The server of the connection says more about itself.
    fn update(self: &Arc<Self>, raw: &async_nats::ServerInfo) {
        let course = lock(&self.course);
        let (client, server) = (course.client.clone(), course.connected.clone());
        drop(course);
        let (Some(client), Some(server), Some(info)) = (client, server, self.shared.info()) else {
            return;
        };
        let ducked = |info: &ServerInfo| info.fields.contains_key("ldm");
        let before = ducked(&info);
        let mut info = ServerInfo::clone(&info);
        let said = info.merge(raw);
        let after = ducked(&info);
        let info = Arc::new(info);
        self.shared.set_info(info.clone());
        self.shared.tell(Event::Updated { said, info });
        if after && !before {
            self.shared.tell(Event::LameDuck(server.clone()));
        }
        self.discover(client, &server, &raw.connect_urls);
    }

    /// Adds servers that the pool does not know. The engine must know them first, or it would not
    /// take them from [`Reconnector::choose`]; it hears of them one list after the other.
    fn discover(self: &Arc<Self>, client: Client, from: &ServerEntry, urls: &[String]) {
        if urls.is_empty() {
            return;
        }
        let (reconnect, from, urls) = (self.clone(), from.clone(), urls.to_vec());
        tokio::spawn(async move {
            let _one = reconnect.discovering.lock().await;
            let mut bad = Vec::new();
            let mut fresh = reconnect.shared.pool().unknown(&urls, |url| bad.push(url.to_owned()));
            for url in bad {
                reconnect.shared.tell(Event::BadServerUrl(url));
            }
            if from.is_websocket() {
                // Over a WebSocket a server tells the WebSocket addresses of the others.
                fresh.iter_mut().for_each(|entry| entry.scheme.clone_from(&from.scheme));
            }
            fresh.retain(|server| server_addr(server).is_some());
            if fresh.is_empty() {
                return;
            }
            let entries = reconnect.shared.pool().entries();
            let addrs: Vec<_> = entries.iter().chain(&fresh).filter_map(server_addr).collect();
            if client.set_server_pool(addrs).await.is_ok() {
                let added: Vec<_> = fresh.iter().map(ServerEntry::address).collect();
                reconnect.shared.pool().insert(fresh);
                for address in added {
                    reconnect.shared.tell(Event::PoolAdded(address));
                }
            }
        });
    }

    /// The text of an `-ERR` on the connection.
    fn server_error(self: &Arc<Self>, text: &str) {
        let (error, fatal) = failure::server_error(text);
        if !fatal {
            if !self.shared.requests.refused(text) {
                self.shared.tell(Event::AsyncError(error));
            }
            return;
        }
        let mut course = lock(&self.course);
        course.fatal.get_or_insert(error);
        let generation = course.generation;
        drop(course);
        // What is said from now on goes over the next connection.
        self.shared.set_up(false);
        // Servers end the connection after such an error; one that does not is left.
        let reconnect = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ERROR_GRACE).await;
            reconnect.leave(generation).await;
        });
    }

    /// Makes the engine leave the connection, if it still is the one meant.
    async fn leave(&self, generation: u64) {
        let client = {
            let mut course = lock(&self.course);
            // Told twice, it might do it twice, and leave the next one as well.
            let current =
                course.generation == generation && course.connected.is_some() && !course.leaving;
            course.leaving |= current;
            course.client.clone().filter(|_| current)
        };
        if let Some(client) = client {
            // Fails only if the engine has ended.
            let _ = client.force_reconnect().await;
        }
    }

    /// The owner wants another connection.
    pub async fn leave_for_another(&self) {
        let generation = {
            let mut course = lock(&self.course);
            let Some(server) = course.connected.clone() else { return };
            course.fatal.get_or_insert_with(|| failure::unwanted(&server));
            course.unwanted = true;
            course.generation
        };
        self.shared.set_up(false);
        self.leave(generation).await;
    }
}
