//! TLS: the engine's configuration for what the settings say.
//!
//! The engine copies the configuration when the link is opened. What may change later (files, whom
//! to trust, the name to look for) is therefore looked up by the two callbacks that rustls calls in
//! each handshake: the verifier of the server's certificate, and the resolver of ours. They cannot
//! wait, so the user is asked before the handshake for the password of a key, and after it whether
//! the server's certificates will do; the login waits for that.

mod ciphers;
mod files;
mod key;
mod question;
mod settings;
mod verifier;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::rustls::client::{ResolvesClientCert, Resumption};
use async_nats::rustls::crypto::{CryptoProvider, ring};
use async_nats::rustls::sign::CertifiedKey;
use async_nats::rustls::version::{TLS12, TLS13};
use async_nats::rustls::{ClientConfig, ConfigBuilder, SignatureScheme, WantsVerifier};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::{Error, Kind, Result};
use crate::lock::lock;
use files::{Files, Opened};
use key::Key;
pub use question::{Review, TlsCallback, TlsQuestion};
pub use settings::{Material, TlsOptions, TlsSettings};
use verifier::Verifier;

/// How long the user may think about certificates. The limit of the attempt may be shorter.
const REVIEW_ANSWER: Duration = Duration::from_secs(5);

/// Why a handshake fails when he thinks longer.
pub(super) const NO_ANSWER: &str = "the callback gave no answer";

/// Reads the settings as they are now, and whom to ask.
type Live = Box<dyn Fn() -> (TlsOptions, Option<TlsCallback>) + Send + Sync>;

/// What a handshake looks at.
pub(super) struct Tls {
    live: Live,
    provider: Arc<CryptoProvider>,
    /// Why the engine's configuration is not what the settings say.
    unfit: Option<String>,
    handshake: Mutex<Handshake>,
}

/// What belongs to one attempt.
#[derive(Default)]
struct Handshake {
    /// Our key, if it took a password.
    opened: Option<Opened>,
    /// Read at the first need.
    files: Option<Arc<Files>>,
    /// Why the handshake was given up.
    failure: Option<String>,
    /// Whether the server has shown its certificate.
    shown: bool,
    /// Whether it has asked for ours.
    asked: bool,
    /// What the user has yet to see of it.
    review: Option<Review>,
}

impl Tls {
    /// The engine's configuration, and what it will look at. Reads no file: whatever is wrong with
    /// the settings fails the handshakes, not this.
    ///
    /// # Errors
    /// `ErrTLS`, if the library below has no TLS at all.
    pub fn new(
        live: impl Fn() -> (TlsOptions, Option<TlsCallback>) + Send + Sync + 'static,
    ) -> Result<(Arc<Tls>, ClientConfig)> {
        let settings = live().0.unwrap_or_default();
        let (builder, unfit) = match builder(&settings) {
            Ok(builder) => (builder, None),
            Err(text) => {
                let usual = builder(&TlsSettings::default());
                (usual.map_err(|text| Error::new(Kind::Tls, text))?, Some(text))
            }
        };
        let provider = Arc::new(ring::default_provider());
        let live: Live = Box::new(live);
        let tls = Arc::new(Tls { live, provider, unfit, handshake: Mutex::default() });
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier(tls.clone())))
            .with_client_cert_resolver(Arc::new(Resolver(tls.clone())));
        config.alpn_protocols = settings.alpn;
        // A resumed session would skip the look at the certificates.
        config.resumption = Resumption::disabled();
        Ok((tls, config))
    }

    /// An attempt begins. If it may come to a handshake, it may need a password first.
    pub async fn begin(&self, maybe_tls: bool) {
        *lock(&self.handshake) = Handshake::default();
        if maybe_tls {
            let opened = self.open_key().await;
            lock(&self.handshake).opened = opened;
        }
    }

    /// Opens our key with the user's password; `None` if it needs none or cannot be had anyway.
    async fn open_key(&self) -> Option<Opened> {
        let (settings, ask) = (self.live)();
        let settings = settings.ok().filter(|settings| settings.ask_for_password)?;
        let source = settings.key.as_ref().or(settings.certificate.as_ref());
        let Ok(Key::Locked(locked)) = Key::find(source.filter(|_| settings.certificate.is_some())?)
        else {
            return None;
        };
        let (answer, asked) = oneshot::channel();
        ask?(TlsQuestion::Password(answer));
        // No limit: somebody may have to type it, and until then there is nothing else to do.
        let Ok(Some(password)) = asked.await else {
            return Some(Err("it is encrypted, and -password gave no answer".into()));
        };
        let opened = tokio::task::spawn_blocking(move || locked.open(&password)).await;
        Some(opened.unwrap_or_else(|_| Err("it cannot be decrypted".into())))
    }

    /// If the user has yet to say whether the certificates of the handshake will do: asks him.
    /// Fails with the reason if they will not.
    pub fn review(&self) -> Option<impl Future<Output = std::result::Result<(), String>> + use<>> {
        let review = lock(&self.handshake).review.take()?;
        let (_, ask) = (self.live)();
        Some(async move {
            let refused =
                review.problem.clone().unwrap_or_else(|| "the callback refused it".into());
            let (answer, asked) = oneshot::channel();
            if let Some(ask) = ask {
                ask(TlsQuestion::Review(review, answer));
            }
            match timeout(REVIEW_ANSWER, asked).await {
                Ok(Ok(true)) => Ok(()),
                Ok(_) => Err(refused),
                Err(_) => Err(NO_ANSWER.into()),
            }
        })
    }

    /// Why the handshake of this attempt was given up, if it was for a reason of ours.
    pub fn failure(&self) -> Option<String> {
        lock(&self.handshake).failure.clone()
    }

    /// Whether the server of this attempt has shown its certificate.
    pub fn was_shown_certificate(&self) -> bool {
        lock(&self.handshake).shown
    }

    /// Whether the server of this attempt has asked for our certificate.
    pub fn was_asked_for_certificate(&self) -> bool {
        lock(&self.handshake).asked
    }

    fn put_by(&self, review: Review) {
        lock(&self.handshake).review = Some(review);
    }

    fn note_certificate(&self) {
        lock(&self.handshake).shown = true;
    }

    /// The files, read once for each attempt.
    fn files(&self) -> std::result::Result<Arc<Files>, String> {
        let mut handshake = lock(&self.handshake);
        if let Some(files) = &handshake.files {
            return Ok(files.clone());
        }
        if let Some(text) = &handshake.failure {
            return Err(text.clone());
        }
        let (settings, _) = (self.live)();
        let opened = handshake.opened.take();
        let read = match &self.unfit {
            Some(text) => Err(text.clone()),
            None => settings.and_then(|settings| Files::read(&settings, opened, &self.provider)),
        };
        match read {
            Ok(files) => Ok(handshake.files.insert(Arc::new(files)).clone()),
            Err(text) => Err(handshake.failure.insert(text).clone()),
        }
    }
}

/// The fixed part of a configuration.
fn builder(
    settings: &TlsSettings,
) -> std::result::Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    let mut versions = Vec::new();
    if settings.tls13 {
        versions.push(&TLS13);
    }
    if settings.tls12 {
        versions.push(&TLS12);
    }
    if versions.is_empty() {
        return Err("no protocols available: there are TLS 1.2 and TLS 1.3".into());
    }
    let mut provider = ring::default_provider();
    ciphers::keep(&mut provider.cipher_suites, settings)?;
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .map_err(|e| e.to_string())
}

/// Shows our certificate, if there is one.
struct Resolver(Arc<Tls>);

impl ResolvesClientCert for Resolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // Called exactly when the server asks.
        lock(&self.0.handshake).asked = true;
        // Files that cannot be read are an error of the verifier, which comes next.
        self.0.files().ok()?.client.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.files().is_ok_and(|files| files.client.is_some())
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}
