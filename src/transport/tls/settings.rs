//! What a connection is told about TLS.

use std::path::PathBuf;

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
    /// Ask the [`TlsCallback`](super::TlsCallback) for the password of a key that is encrypted.
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
