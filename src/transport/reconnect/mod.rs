//! Steers the engine: chooses the server of every attempt (`attempt`), logs in there (`login`), and
//! learns what becomes of it (`connection`).
//!
//! The engine asks a callback before each attempt. Being asked again without having connected in
//! between means that the last attempt failed; being asked while connected means that the
//! connection is lost. The callback cannot tell the engine to give up, so then it tells everybody
//! else and never answers; the link is ended around it.
//!
//! Everything runs on the one thread of the runtime. The engine reports its events through a queue
//! and a task of its own, hence the callback yields first: when it goes on, they are known. What it
//! says in its trace is known at once.

mod attempt;
mod connection;
mod login;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_nats::{Client, ServerAddr};
use serde_json::Value;
use tokio::sync::watch;

use super::inflow::Inflow;
use super::info::ServerInfo;
use super::link_core::LinkCore;
use super::server::ServerEntry;
use super::tls::Tls;
use crate::error::Error;
use crate::lock::lock;

pub(super) struct Reconnector {
    core: Arc<LinkCore>,
    progress: Mutex<Progress>,
    tls: Arc<Tls>,
    /// Held while the engine is told of new servers.
    discovering: tokio::sync::Mutex<()>,
    /// Why it is all over, once it is.
    end_reason: watch::Sender<Option<&'static str>>,
}

#[derive(Default)]
struct Progress {
    client: Option<Client>,
    /// The attempt that the engine is making.
    attempt: Option<ServerEntry>,
    /// Counts attempts.
    attempts: u64,
    /// Why we did not even try to log in.
    refusal: Option<Error>,
    /// The connection in use.
    connected: Option<ServerEntry>,
    /// Counts connections.
    generation: u64,
    /// What the server sends.
    inflow: Inflow,
    /// What the server has said about itself since it was dialled: first in the handshake.
    infos: Vec<async_nats::ServerInfo>,
    /// Errors that the server reported before we knew of the connection.
    early_errors: Vec<String>,
    /// Why the connection has to go: the server said so, or its owner.
    fatal: Option<Error>,
    stale: bool,
    read_failed: bool,
    /// Why the engine itself gave the connection up.
    cause: Option<String>,
    /// The engine has, or had until now, a connection.
    on: bool,
    /// The connection broke, rather than that the engine was told to leave it.
    broke: bool,
    /// The engine was told to leave the connection and has not done it yet.
    leaving: bool,
    /// The engine's word for the failure of the last attempt.
    client_error: Option<String>,
    /// The owner wants another connection.
    unwanted: bool,
    /// When the last connection was made.
    since: Option<Instant>,
    /// How many connections in a row were lost soon after they were made.
    bounces: u32,
}

/// A connection that was lost sooner may be lost again, and for the same reason.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// So many of them in a row are followed by the next attempt at once.
const FREE_BOUNCES: u32 = 3;

impl Progress {
    /// The connection was lost.
    fn count_bounce(&mut self) {
        let unwanted = std::mem::take(&mut self.unwanted);
        let short = self.since.take().is_some_and(|since| since.elapsed() < SHORT_LIFE);
        self.bounces = if short && !unwanted { self.bounces.saturating_add(1) } else { 0 };
    }

    /// How long the next attempt has to wait for that, at most `limit`.
    fn rest(&self, limit: Duration) -> Duration {
        match self.bounces.saturating_sub(FREE_BOUNCES) {
            0 => Duration::ZERO,
            more => limit.min(Duration::from_millis(5 << more.min(11))),
        }
    }

    /// Another address is dialled.
    fn dial(&mut self) {
        self.inflow.dial();
        self.infos.clear();
        self.early_errors.clear();
        self.fatal = None;
        self.cause = None;
        (self.stale, self.read_failed) = (false, false);
    }
}

impl Reconnector {
    pub fn new(core: Arc<LinkCore>, tls: Arc<Tls>) -> Reconnector {
        let end_reason = watch::Sender::new(None);
        let discovering = tokio::sync::Mutex::default();
        Reconnector { core, progress: Mutex::default(), tls, discovering, end_reason }
    }

    /// Becomes the reason when there is no server left to try.
    pub fn end_reason(&self) -> watch::Receiver<Option<&'static str>> {
        self.end_reason.subscribe()
    }

    /// What the server of the present attempt says about itself, and what its handshake has shown:
    /// the engine drops `tls_verify`.
    fn server_info(&self, said: &async_nats::ServerInfo) -> ServerInfo {
        let mut info = ServerInfo::new(said);
        if self.tls.was_asked_for_certificate() {
            info.fields.insert("tls_verify".to_owned(), Value::Bool(true));
        }
        info
    }

    /// This is the engine from now on.
    pub fn set_client(&self, client: Client) {
        self.core.set_statistics(client.statistics());
        let mut progress = lock(&self.progress);
        progress.inflow.begin(client.statistics());
        progress.client = Some(client);
    }
}

/// The engine's form of a server, if its port is one.
pub(super) fn server_addr(server: &ServerEntry) -> Option<ServerAddr> {
    let port = server.port_number()?;
    format!("{}://{}:{port}{}", server.scheme, server.host, server.path).parse().ok()
}

/// Milliseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_are_lost_soon_again_and_again_are_waited_for() {
        let mut progress = Progress::default();
        let mut lose = |lived: Duration, unwanted| {
            (progress.since, progress.unwanted) = (Instant::now().checked_sub(lived), unwanted);
            progress.count_bounce();
            progress.rest(Duration::from_millis(50)).as_millis()
        };
        let soon = Duration::ZERO;
        let rests: Vec<_> = (0..8).map(|_| lose(soon, false)).collect();
        assert_eq!(rests, [0, 0, 0, 10, 20, 40, 50, 50]);
        assert_eq!(lose(SHORT_LIFE, false), 0);
        // It begins anew, and so it does when the owner wanted another connection.
        let rests: Vec<_> = (0..4).map(|n| lose(soon, n == 1)).collect();
        assert_eq!(rests, [0, 0, 0, 0]);
        for _ in 0..100 {
            lose(soon, false);
        }
        assert_eq!(progress.rest(Duration::MAX), Duration::from_millis(10240));
    }
}
