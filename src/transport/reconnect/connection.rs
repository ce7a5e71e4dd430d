//! What becomes of a connection: made, told of, lost, left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Client, ClientError};

use super::{Reconnector, server_addr};
use crate::error::Error;
use crate::lock::lock;
use crate::transport::event::{ConnState, Event};
use crate::transport::failure::{self, Denial};
use crate::transport::inflow::Excess;
use crate::transport::info::ServerInfo;
use crate::transport::server::ServerEntry;
use crate::transport::trace::{Traced, Verdict};

/// How long a server that reported a fatal error has to end the connection itself.
const ERROR_GRACE: Duration = Duration::from_millis(10);

impl Reconnector {
    /// The last INFO of the server being tried.
    pub(super) fn last_info(&self) -> Option<async_nats::ServerInfo> {
        lock(&self.progress).infos.last().cloned()
    }

    /// The engine is not connected any more. Either it was told so, or the connection broke before
    /// it came to that: then the next connection is the one that it will leave.
    pub(super) fn left(&self) {
        let mut progress = lock(&self.progress);
        if !std::mem::take(&mut progress.on) {
            return;
        }
        if !std::mem::take(&mut progress.broke) {
            progress.leaving = false;
        }
    }

    /// If there was a connection, it is lost.
    pub(super) fn lost(&self) {
        let mut progress = lock(&self.progress);
        let Some(server) = progress.connected.take() else { return };
        let (fatal, cause) = (progress.fatal.take(), progress.cause.take());
        let (stale, reading) = (progress.stale, progress.read_failed);
        progress.count_bounce();
        drop(progress);
        let error = fatal.unwrap_or_else(|| match cause {
            Some(_) if stale => failure::stale(),
            Some(cause) => failure::lost(&server, &cause, reading),
            None => failure::closed(&server),
        });
        self.core.set_up(false);
        self.core.state.send_replace(ConnState::Disconnected);
        self.core.tell(Event::Lost { server, error });
    }

    /// The engine has ended: what it was doing has failed.
    pub fn crashed(&self) {
        let mut progress = lock(&self.progress);
        (progress.on, progress.broke, progress.leaving) = (false, false, false);
        let error = progress.fatal.get_or_insert_with(failure::unreadable).clone();
        let attempt = progress.attempt.take();
        drop(progress);
        self.lost();
        if let Some(server) = attempt {
            self.tell_attempt_info();
            self.count_failure(server, error);
        }
    }

    /// The engine said something in its trace, and is in the middle of its work.
    pub fn traced(self: &Arc<Self>, line: Traced) -> Verdict {
        match line {
            Traced::Ping => self.core.pings.sent(),
            Traced::Pong => {
                lock(&self.progress).inflow.ended();
                self.core.pong();
            }
            line => return self.told(line),
        }
        Verdict::Continue(())
    }

    fn told(self: &Arc<Self>, line: Traced) -> Verdict {
        let mut progress = lock(&self.progress);
        match &line {
            Traced::Read => {
                let connected = progress.connected.is_some();
                let excess = progress.inflow.read(connected);
                drop(progress);
                return self.exceeded(excess);
            }
            Traced::Info(info) => progress.inflow.info(info.max_payload),
            Traced::ServerError(_) => progress.inflow.ended(),
            _ => {}
        }
        match line {
            Traced::Read | Traced::Ping | Traced::Pong => {}
            Traced::Dial => {
                progress.dial();
                drop(progress);
                self.core.pings.dial();
            }
            Traced::Info(info) if progress.connected.is_none() => progress.infos.push(*info),
            Traced::ServerError(text) if progress.connected.is_none() => {
                progress.early_errors.push(text);
            }
            Traced::Info(info) => {
                drop(progress);
                self.update(&info);
            }
            Traced::ServerError(text) => {
                drop(progress);
                self.server_error(&text);
            }
            Traced::ReadFailed => progress.read_failed = true,
            Traced::Stale => progress.stale = true,
            Traced::Lost(cause) => {
                progress.cause = Some(cause);
                progress.broke = true;
                drop(progress);
                self.lost();
            }
        }
        Verdict::Continue(())
    }

    /// What the server sends has no end.
    fn exceeded(self: &Arc<Self>, excess: Excess) -> Verdict {
        let (limit, verdict) = match excess {
            Excess::None => return Verdict::Continue(()),
            Excess::Leave(limit) => (limit, Verdict::Continue(())),
            Excess::Stop(limit) => (limit, Verdict::Break(())),
        };
        let error = failure::endless(limit);
        if verdict.is_break() {
            // Whoever makes the next engine tells of it.
            lock(&self.progress).fatal.get_or_insert(error);
        } else {
            self.abandon(error, Duration::ZERO);
        }
        verdict
    }

    /// Something happened to the engine.
    pub fn event(self: &Arc<Self>, event: async_nats::Event) {
        match event {
            async_nats::Event::Connected => self.connected(),
            async_nats::Event::ClientError(ClientError::Other(text)) => {
                lock(&self.progress).client_error = Some(text);
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
        let mut progress = lock(&self.progress);
        let Some(server) = progress.attempt.take() else { return };
        let Some(client) = progress.client.clone() else { return };
        progress.on = true;
        progress.since = Some(Instant::now());
        // Otherwise it will be left at once.
        let stays = !progress.leaving;
        if stays {
            progress.connected = Some(server.clone());
            progress.generation += 1;
        }
        let generation = progress.generation;
        let later: Vec<_> = progress.infos.drain(..).skip(1).collect();
        let errors = std::mem::take(&mut progress.early_errors);
        drop(progress);
        let server = self.core.pool().succeeded().unwrap_or(server);
        if !stays {
            return;
        }
        let raw = client.server_info();
        let info = Arc::new(self.server_info(&raw));
        self.core.set_info(info.clone());
        // First, since who hears of the connection may put up a barrier for what he says then.
        self.core.requests.pass_all_barriers();
        self.core.state.send_replace(ConnState::Connected(generation));
        // What was to end a wait has no more to end.
        std::pin::pin!(self.core.attempt_now.notified()).enable();
        if generation > 1 {
            self.core.resend_requests();
        }
        // What the program says from the moment when it hears of the connection keeps its order.
        self.core.set_up(true);
        self.core.tell(Event::Connected { server: server.clone(), info });
        self.discover(client, &server, &raw.connect_urls);
        later.iter().for_each(|info| self.update(info));
        errors.iter().for_each(|text| self.server_error(text));
    }

    /// The server of the connection says more about itself.
    fn update(self: &Arc<Self>, raw: &async_nats::ServerInfo) {
        let progress = lock(&self.progress);
        let (client, server) = (progress.client.clone(), progress.connected.clone());
        drop(progress);
        let (Some(client), Some(server), Some(info)) = (client, server, self.core.info()) else {
            return;
        };
        let ducked = |info: &ServerInfo| info.fields.contains_key("ldm");
        let before = ducked(&info);
        let mut info = ServerInfo::clone(&info);
        let said = info.merge(raw);
        let after = ducked(&info);
        let info = Arc::new(info);
        self.core.set_info(info.clone());
        self.core.tell(Event::Updated { said, info });
        if after && !before {
            self.core.tell(Event::LameDuck(server.clone()));
        }
        self.discover(client, &server, &raw.connect_urls);
    }

    /// Adds servers that the pool does not know. The engine must know them first, or it would not
    /// take them from [`Reconnector::choose`]; it hears of them one list after the other.
    fn discover(self: &Arc<Self>, client: Client, from: &ServerEntry, urls: &[String]) {
        if urls.is_empty() || self.core.setting(|s| s.ignore_discovered) {
            return;
        }
        let (reconnector, from, urls) = (self.clone(), from.clone(), urls.to_vec());
        self.core.tasks.spawn(async move {
            let _one = reconnector.discovering.lock().await;
            let mut bad = Vec::new();
            let mut fresh = reconnector.core.pool().unknown(&urls, |url| bad.push(url.to_owned()));
            for url in bad {
                reconnector.core.tell(Event::BadServerUrl(url));
            }
            if from.is_websocket() {
                // Over a WebSocket a server tells the WebSocket addresses of the others.
                fresh.iter_mut().for_each(|entry| entry.scheme.clone_from(&from.scheme));
            }
            fresh.retain(|server| server_addr(server).is_some());
            if fresh.is_empty() {
                return;
            }
            let entries = reconnector.core.pool().entries();
            let addrs: Vec<_> = entries.iter().chain(&fresh).filter_map(server_addr).collect();
            if client.set_server_pool(addrs).await.is_ok() {
                let added: Vec<_> = fresh.iter().map(ServerEntry::address).collect();
                reconnector.core.pool().insert(fresh);
                for address in added {
                    reconnector.core.tell(Event::PoolAdded(address));
                }
            }
        });
    }

    /// The text of an `-ERR` on the connection.
    fn server_error(self: &Arc<Self>, text: &str) {
        let (error, fatal) = failure::server_error(text);
        if !fatal {
            match Denial::read(text) {
                Some(denial) => self.core.denied(&denial, error),
                None => self.core.tell(Event::AsyncError(error)),
            }
            return;
        }
        // Servers end the connection after such an error; one that does not is left.
        self.abandon(error, ERROR_GRACE);
    }

    /// Leaves the connection for this reason, unless it ends by itself within this time.
    fn abandon(self: &Arc<Self>, error: Error, grace: Duration) {
        let mut progress = lock(&self.progress);
        progress.fatal.get_or_insert(error);
        let generation = progress.generation;
        drop(progress);
        // What is said from now on goes over the next connection.
        self.core.set_up(false);
        let reconnector = self.clone();
        self.core.tasks.spawn(async move {
            tokio::time::sleep(grace).await;
            reconnector.leave(generation).await;
        });
    }

    /// Makes the engine leave the connection, if it still is the one meant.
    async fn leave(&self, generation: u64) {
        let client = {
            let mut progress = lock(&self.progress);
            // Told twice, it might do it twice, and leave the next one as well.
            let current = progress.generation == generation
                && progress.connected.is_some()
                && !progress.leaving;
            progress.leaving |= current;
            progress.client.clone().filter(|_| current)
        };
        if let Some(client) = client {
            // Fails only if the engine has ended.
            let _ = client.force_reconnect().await;
        }
    }

    /// The owner wants another connection.
    pub async fn leave_for_another(&self) {
        let generation = {
            let mut progress = lock(&self.progress);
            let Some(server) = progress.connected.clone() else { return };
            progress.fatal.get_or_insert_with(|| failure::unwanted(&server));
            progress.unwanted = true;
            progress.generation
        };
        self.core.set_up(false);
        self.leave(generation).await;
    }
}
