//! What a connection is told before and while it lives.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::server::ServerEntry;

/// Asks the user how long to wait before the next attempt at a server. `None` as the answer, or a
/// dropped sender, means the usual wait.
pub type DelayCallback =
    Arc<dyn Fn(ServerEntry) -> oneshot::Receiver<Option<Duration>> + Send + Sync>;

/// Settings of a connection.
///
/// Read at each use, so [`Link::update`](super::Link::update) changes them at any time:
/// `reconnect_time_wait`, `max_reconnect_attempts`, `delay_callback`, `user`, `password`, `token`.
/// Fixed when the link is opened, because the engine copies them: everything else.
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
    pub ping_interval: Duration,
    pub user: String,
    pub password: String,
    pub token: String,
    /// Demand TLS from every server, not only from those with `tls://`.
    pub secure: bool,
    pub tls: TlsSettings,
    pub delay_callback: Option<DelayCallback>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            servers: Vec::new(),
            name: String::new(),
            echo: true,
            connect_timeout: Duration::from_secs(2),
            reconnect_time_wait: Duration::from_secs(2),
            max_reconnect_attempts: 60,
            ping_interval: Duration::from_secs(120),
            user: String::new(),
            password: String::new(),
            token: String::new(),
            secure: false,
            tls: TlsSettings::default(),
            delay_callback: None,
        }
    }
}

impl fmt::Debug for Settings {
    /// Leaves out the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How servers are verified and which certificate is shown to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file with further authorities.
    pub cafile: Option<PathBuf>,
    /// Directory of PEM files with further authorities.
    pub cadir: Option<PathBuf>,
    pub certfile: Option<PathBuf>,
    /// Where the key is; absent = in `certfile`.
    pub keyfile: Option<PathBuf>,
    /// Whether the server's certificate must be signed by a known authority.
    pub verify: bool,
    /// Whether it must also have been made for the host of the URL.
    pub check_name: bool,
}

impl Default for TlsSettings {
    fn default() -> TlsSettings {
        TlsSettings {
            cafile: None,
            cadir: None,
            certfile: None,
            keyfile: None,
            verify: true,
            check_name: true,
        }
    }
}
