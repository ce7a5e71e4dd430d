//! Which server is tried next, after how long a wait, and why an attempt has failed.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{ReconnectToServer, Server, ServerAddr};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Reconnector, now, server_addr};
use crate::error::Error;
use crate::lock::lock;
use crate::transport::event::Event;
use crate::transport::failure::{self, Attempt};
use crate::transport::pool::{self, Next, Pass};
use crate::transport::server::ServerEntry;

/// How long the user's delay callback may take before the usual wait is taken instead.
const DELAY_ANSWER: Duration = Duration::from_secs(5);

impl Reconnector {
    /// The engine wants to know where to connect. Does not return when there is nothing left.
    pub async fn choose(&self, known: Vec<Server>) -> ReconnectToServer {
        // Twice: the first time the task of the events may be the one that woke us.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        self.left();
        self.lost();
        self.attempt_failed(&known);
        self.core.sweep();
        loop {
            let Some(server) = self.next_server().await else {
                // The link is ended around this.
                return std::future::pending().await;
            };
            self.core.tell(Event::Attempt(server.clone()));
            match self.address(&server, &known).await {
                Ok(addr) => {
                    self.tls.begin(server.scheme != "ws").await;
                    let mut progress = lock(&self.progress);
                    progress.dial();
                    progress.attempt = Some(server);
                    progress.attempts += 1;
                    progress.refusal = None;
                    progress.client_error = None;
                    return ReconnectToServer { addr, delay: Some(Duration::ZERO) };
                }
                Err(error) => self.count_failure(server, error),
            }
        }
    }

    /// The next server, after the wait for it; `None` if all is over.
    async fn next_server(&self) -> Option<ServerEntry> {
        loop {
            let (limit, retry) = self.core.setting(|s| (s.max_reconnect_attempts, s.retry));
            let pass = match lock(&self.progress).generation {
                0 if retry => Pass::Retry,
                0 => Pass::First,
                _ => Pass::Again,
            };
            let mut removed = Vec::new();
            let next = self.core.pool().next(pass, limit, &mut removed);
            for server in removed {
                self.core.tell(Event::PoolRemoved(server.address()));
            }
            let server = match next {
                Next::Try(server) => server,
                Next::GiveUp(reason) => {
                    self.end_reason.send_replace(Some(reason));
                    return None;
                }
            };
            let wait = if server.reconnects == 0 {
                let limit = self.core.setting(|s| s.reconnect_time_wait);
                lock(&self.progress).rest(limit)
            } else {
                pool::remaining(&server, self.wait_for(&server).await, now())
            };
            if !wait.is_zero() {
                self.core.tell(Event::Waiting(wait));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.core.attempt_now.notified() => {}
                }
            }
            // The pool may have been cleared meanwhile.
            let current = self.core.pool().current().is_some_and(|c| c.same_url(&server));
            if current {
                return Some(server);
            }
        }
    }

    /// The wait between two attempts at this server.
    async fn wait_for(&self, server: &ServerEntry) -> Duration {
        let (usual, ask) = self.core.setting(|s| (s.reconnect_time_wait, s.delay_callback.clone()));
        let Some(ask) = ask else { return usual };
        let answer: oneshot::Receiver<Option<Duration>> = ask(server.clone());
        match timeout(DELAY_ANSWER, answer).await {
            Ok(Ok(Some(wait))) => wait,
            _ => usual,
        }
    }

    /// The engine's name for a server. Names are resolved here first, since the engine would wait
    /// for the resolver without a limit and would not say what went wrong.
    async fn address(
        &self,
        server: &ServerEntry,
        known: &[Server],
    ) -> std::result::Result<ServerAddr, Error> {
        let Some(addr) = server_addr(server).filter(|a| known.iter().any(|s| s.addr == *a)) else {
            return Err(failure::refused(server, "invalid address"));
        };
        // The engine would take it without TLS.
        if server.scheme == "ws" && self.wants_tls(server) {
            return Err(failure::no_tls(server));
        }
        let host = server.bare_host();
        if host.parse::<std::net::IpAddr>().is_err() {
            let limit = self.core.setting(|s| s.connect_timeout);
            let resolved = timeout(limit, tokio::net::lookup_host((host, addr.port()))).await;
            match resolved {
                Err(_) => return Err(failure::timeout(server)),
                Ok(Err(error)) => return Err(failure::unresolved(server, &error.to_string())),
                Ok(Ok(_)) => {}
            }
        }
        Ok(addr)
    }

    /// If an attempt was under way, it has failed.
    pub(super) fn attempt_failed(&self, known: &[Server]) {
        let mut progress = lock(&self.progress);
        let Some(server) = progress.attempt.take() else { return };
        let refusal = progress.refusal.take();
        let client_error = progress.client_error.take();
        drop(progress);
        let info = self.tell_attempt_info();
        let secure = self.wants_tls(&server);
        let no_tls = info.as_ref().is_some_and(|info| !info.tls_required)
            && secure
            && !server.is_websocket()
            && !self.tls.was_shown_certificate();
        let unfit = || Some(failure::tls(&server, &self.tls.failure()?)).filter(|_| !no_tls);
        let error = refusal.or_else(unfit).unwrap_or_else(|| {
            let addr = server_addr(&server);
            let recorded = known
                .iter()
                .find(|s| Some(&s.addr) == addr.as_ref())
                .and_then(|s| s.last_error.clone());
            // A failure to resolve the name is not recorded, so the record may be an older one.
            let text = match client_error.filter(|text| text == "DNS error") {
                Some(text) => format!("{text}: Name or service not known"),
                None => recorded.unwrap_or_else(|| "IO error: unknown".to_owned()),
            };
            let tls_first = self.core.setting(|s| s.tls_first) && !server.is_websocket();
            let attempt = Attempt { server: &server, has_info: info.is_some(), no_tls, tls_first };
            attempt.error(&text)
        });
        self.count_failure(server, error);
    }

    /// Tells what the server of an attempt that has failed has said about itself.
    pub(super) fn tell_attempt_info(&self) -> Option<async_nats::ServerInfo> {
        let info = self.last_info();
        if let Some(info) = &info {
            self.core.tell(Event::AttemptInfo(Arc::new(self.server_info(info))));
        }
        info
    }

    pub(super) fn wants_tls(&self, server: &ServerEntry) -> bool {
        server.is_secure() || self.core.setting(|s| s.secure)
    }

    pub(super) fn count_failure(&self, server: ServerEntry, error: Error) {
        // It is in the pool no more if that was cleared meanwhile.
        let server = self.core.pool().failed(now()).unwrap_or(server);
        self.core.tell(Event::AttemptFailed { server, error });
    }
}
