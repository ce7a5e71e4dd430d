//! Whose certificates are good.
//!
//! nats-tcl trusts the user's authorities and those of the system, and never looks for the name of
//! the server. For the user's own authorities it stays so, unless more is asked for. But whoever
//! has any domain has a certificate that some authority of the system has signed: those must be
//! for the right name.

use std::fmt;
use std::sync::Arc;

use async_nats::rustls::client::WebPkiServerVerifier;
use async_nats::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use async_nats::rustls::client::verify_server_name;
use async_nats::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use async_nats::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use async_nats::rustls::server::ParsedCertificate;
use async_nats::rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use once_cell::sync::OnceCell;

use super::settings::TlsSettings;
use super::{Review, Tls};
use crate::transport::failure::certificate_problem;

type Verified = Result<ServerCertVerified, TlsError>;

/// Asks the files of the attempt.
pub(super) struct Verifier(pub Arc<Tls>);

/// What the settings and files say on it.
pub(super) struct Trust {
    verify: bool,
    /// Whether the user has the last word.
    ask: bool,
    check_name: Option<bool>,
    server_name: Option<ServerName<'static>>,
    /// The user's authorities, if there are any.
    own: Option<Arc<WebPkiServerVerifier>>,
    own_certificates: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

/// A certificate and what goes with it.
struct Shown<'a> {
    certificate: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    now: UnixTime,
}

impl Trust {
    pub fn new(
        settings: &TlsSettings,
        authorities: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Trust, String> {
        let server_name = match &settings.server_name {
            None => None,
            Some(name) => Some(
                ServerName::try_from(name.clone())
                    .map_err(|_| format!("bad -servername \"{name}\""))?,
            ),
        };
        Ok(Trust {
            verify: settings.verify,
            ask: settings.ask_about_server,
            check_name: settings.check_name,
            server_name,
            own: verifier(&authorities, &provider),
            own_certificates: authorities,
            provider,
        })
    }

    fn check(&self, shown: &Shown<'_>, host: &ServerName<'_>) -> Verified {
        if !self.verify {
            return Ok(ServerCertVerified::assertion());
        }
        let name = self.server_name.as_ref().unwrap_or(host);
        let check_name = self.check_name.unwrap_or(self.server_name.is_some());
        let own = self.check_own(shown, name, check_name);
        if own.is_ok() || is_wrong_name(&own) {
            return own;
        }
        let Some(system) = system(&self.provider) else { return own };
        let found = verify(system, shown, name);
        match found {
            Ok(_) => found,
            _ if is_wrong_name(&found) => {
                if self.check_name == Some(false) {
                    return Ok(ServerCertVerified::assertion());
                }
                found
            }
            // What the user's authorities say about it is more to the point.
            _ if self.own.is_some() => own,
            _ => found,
        }
    }

    fn check_own(&self, shown: &Shown<'_>, name: &ServerName<'_>, check_name: bool) -> Verified {
        let Some(own) = &self.own else {
            return Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        let found = verify(own, shown, name);
        if is_wrong_name(&found) && !check_name {
            return Ok(ServerCertVerified::assertion());
        }
        if self.is_itself_trusted(shown, &found) {
            if check_name {
                verify_server_name(&ParsedCertificate::try_from(shown.certificate)?, name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        found
    }

    /// Whether the server shows one of the user's authorities itself: the usual self-signed
    /// certificate, which rustls refuses. It has looked at the time of the certificate before.
    fn is_itself_trusted(&self, shown: &Shown<'_>, found: &Verified) -> bool {
        let Err(TlsError::InvalidCertificate(CertificateError::Other(error))) = found else {
            return false;
        };
        error.to_string() == "CaUsedAsEndEntity"
            && self.own_certificates.iter().any(|own| own.as_ref() == shown.certificate.as_ref())
    }
}

/// The authorities of the system, read at the first need of the process and then kept: there are
/// more than a hundred, which takes milliseconds. So long the others on its thread wait, at a handshake only.
/// If there are none, they are looked for again.
fn system(provider: &Arc<CryptoProvider>) -> Option<&'static WebPkiServerVerifier> {
    static SYSTEM: OnceCell<Arc<WebPkiServerVerifier>> = OnceCell::new();
    let read = || verifier(&rustls_native_certs::load_native_certs().certs, provider).ok_or(());
    SYSTEM.get_or_try_init(read).ok().map(|system| &**system)
}

fn verifier(
    authorities: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    // Fails if there is none: then no certificate can be good.
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok()
}

fn verify(verifier: &WebPkiServerVerifier, shown: &Shown<'_>, name: &ServerName<'_>) -> Verified {
    verifier.verify_server_cert(shown.certificate, shown.intermediates, name, &[], shown.now)
}

/// The name is looked at last, so everything else is in order.
fn is_wrong_name(found: &Verified) -> bool {
    matches!(
        found,
        Err(TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ))
    )
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Verified {
        self.0.note_certificate();
        let files = self.0.files().map_err(TlsError::General)?;
        let shown = Shown { certificate: end_entity, intermediates, now };
        let found = files.trust.check(&shown, server_name);
        if !files.trust.ask {
            return found;
        }
        // Nobody can be asked here. Until he has been, nothing is told to the server.
        let chain = std::iter::once(end_entity).chain(intermediates);
        self.0.put_by(Review {
            chain: chain.map(|certificate| certificate.to_vec()).collect(),
            problem: found.err().map(|e| certificate_problem(&e.to_string()).to_owned()),
        });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}
