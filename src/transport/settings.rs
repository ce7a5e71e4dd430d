//! What a connection is told before and while it lives.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::login::{LoginCallback, LoginSettings};
use super::outgoing::Room;
use super::server::ServerEntry;
use super::tls::{TlsCallback, TlsOptions};

/// Asks the user how long to wait before the next attempt at a server. `None` as the answer, or a
/// dropped sender, means the usual wait.
pub type DelayCallback =
    Arc<dyn Fn(ServerEntry) -> oneshot::Receiver<Option<Duration>> + Send + Sync>;

/// Settings of a connection.
///
/// What [`Settings::take_live`] takes over is read at each use and may change at any time, of `tls`
/// all but protocol versions, cipher suites and ALPN. Everything else is fixed when the link is
/// opened, because the engine copies it.
#[derive(Clone)]
pub struct Settings {
    /// The pool, already in the order in which it shall be tried.
    pub servers: Vec<ServerEntry>,
    pub name: String,
    /// Whether the server sends back what this connection publishes.
    pub echo: bool,
    /// Limit for one attempt at one address of a server.
    pub connect_timeout: Duration,
    /// Wait between a failed attempt at a server and the next one at the same server.
    pub reconnect_time_wait: Duration,
    /// Failures after which a server leaves the pool; negative = never.
    pub max_reconnect_attempts: i64,
    /// Whether the first connection is tried again and again as well, like those after a loss.
    pub retry: bool,
    /// Whether the pool has only the servers that the user has named.
    pub ignore_discovered: bool,
    pub room: Room,
    pub ping_interval: Duration,
    pub login: LoginSettings,
    /// Demand TLS from every server, not only from those with `tls://` and `wss://`.
    pub secure: bool,
    /// Begin with the TLS handshake, before the server says anything.
    pub tls_first: bool,
    pub tls: TlsOptions,
    /// What the subjects of inboxes begin with.
    pub inbox_prefix: String,
    pub delay_callback: Option<DelayCallback>,
    pub login_callback: Option<LoginCallback>,
    pub tls_callback: Option<TlsCallback>,
}

/// For tests of links; a connection's options have defaults of their own.
#[cfg(test)]
impl Default for Settings {
    fn default() -> Settings {
        Settings {
            servers: Vec::new(),
            name: String::new(),
            echo: true,
            connect_timeout: Duration::from_secs(2),
            reconnect_time_wait: Duration::from_secs(2),
            max_reconnect_attempts: 60,
            retry: false,
            ignore_discovered: false,
            room: Room::default(),
            ping_interval: Duration::from_secs(120),
            login: LoginSettings::default(),
            secure: false,
            tls_first: false,
            tls: Ok(super::tls::TlsSettings::default()),
            inbox_prefix: super::inbox::DEFAULT_PREFIX.to_owned(),
            delay_callback: None,
            login_callback: None,
            tls_callback: None,
        }
    }
}

impl Settings {
    /// Takes over what a program may change while the link is open.
    pub fn take_live(&mut self, new: Settings) {
        let Settings {
            reconnect_time_wait,
            max_reconnect_attempts,
            ignore_discovered,
            room,
            login,
            tls,
            // Fixed.
            servers: _,
            name: _,
            echo: _,
            connect_timeout: _,
            retry: _,
            ping_interval: _,
            secure: _,
            tls_first: _,
            inbox_prefix: _,
            delay_callback: _,
            login_callback: _,
            tls_callback: _,
        } = new;
        self.reconnect_time_wait = reconnect_time_wait;
        self.max_reconnect_attempts = max_reconnect_attempts;
        self.ignore_discovered = ignore_discovered;
        self.room = room;
        self.login = login;
        self.tls = tls;
    }
}

impl fmt::Debug for Settings {
    /// Leaves out the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("name", &self.name).finish_non_exhaustive()
    }
}
