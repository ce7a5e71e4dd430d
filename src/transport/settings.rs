//! What a connection is told before and while it lives.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::inbox::DEFAULT_PREFIX;
use super::login::{LoginCallback, LoginSettings};
use super::server::ServerEntry;
use super::tls::TlsCallback;

/// Asks the user how long to wait before the next attempt at a server. `None` as the answer, or a
/// dropped sender, means the usual wait.
pub type DelayCallback =
    Arc<dyn Fn(ServerEntry) -> oneshot::Receiver<Option<Duration>> + Send + Sync>;

/// Settings of a connection.
///
/// Read at each use, so [`Link::update`](super::Link::update) changes them at any time:
/// `reconnect_time_wait`, `max_reconnect_attempts`, `delay_callback`, `login`, and of `tls` all but
/// protocol versions, cipher suites and ALPN. Fixed when the link is opened, because the engine
/// copies them: everything else.
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
            login: LoginSettings::default(),
            secure: false,
            tls_first: false,
            tls: Ok(TlsSettings::default()),
            inbox_prefix: DEFAULT_PREFIX.to_owned(),
            delay_callback: None,
            login_callback: None,
            tls_callback: None,
        }
    }
}

impl Settings {
    /// Takes over what a program may change while the link is open.
    pub fn take_live(&mut self, new: Settings) {
        self.reconnect_time_wait = new.reconnect_time_wait;
        self.max_reconnect_attempts = new.max_reconnect_attempts;
        self.login = new.login;
        self.tls = new.tls;
    }
}

impl fmt::Debug for Settings {
    /// Leaves out the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The TLS settings, or what is wrong with them, which is the failure of each TLS handshake.
pub type TlsOptions = std::result::Result<TlsSettings, String>;

/// How servers are verified and which certificate is shown to them. Files are read at each
/// handshake.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file with further authorities.
    pub cafile: Option<PathBuf>,
    /// Directory of PEM files with further authorities.
    pub cadir: Option<PathBuf>,
    pub certificate: Option<Material>,
    /// Where the key is; absent = together with the certificate.
    pub key: Option<Material>,
    /// Ask the [`TlsCallback`] for the password of a key that is encrypted.
    pub ask_for_password: bool,
    /// Ask it whether to go on with a server, whatever we think of its certificates.
    pub ask_about_server: bool,
    /// Whether the server's certificate must be signed by a known authority.
    pub verify: bool,
    /// Whether it must also have been made for the name of the server. Without a word on it: if it
    /// is an authority of the system that signed it, or if there is a `server_name`.
    pub check_name: Option<bool>,
    /// The name to look for instead of the host of the URL.
    pub server_name: Option<String>,
    pub tls12: bool,
    pub tls13: bool,
    /// Cipher suites of TLS 1.2 and of TLS 1.3, as OpenSSL names them; empty = all.
    pub ciphers: String,
    pub ciphers13: String,
    pub alpn: Vec<Vec<u8>>,
}

/// A certificate or a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Material {
    File(PathBuf),
    /// PEM or DER.
    Data(Vec<u8>),
}

impl Default for TlsSettings {
    fn default() -> TlsSettings {
        TlsSettings {
            cafile: None,
            cadir: None,
            certificate: None,
            key: None,
            ask_for_password: false,
            ask_about_server: false,
            verify: true,
            check_name: None,
            server_name: None,
            tls12: true,
            tls13: true,
            ciphers: String::new(),
            ciphers13: String::new(),
            alpn: Vec::new(),
        }
    }
}
