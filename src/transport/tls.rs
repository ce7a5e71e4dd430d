//! The TLS configuration for what the settings say.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_nats::rustls::client::WebPkiServerVerifier;
use async_nats::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use async_nats::rustls::crypto::{CryptoProvider, ring};
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use async_nats::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
};

use super::settings::TlsSettings;
use crate::error::{Error, Kind, Result};

/// A configuration for these settings; `None` if they say nothing, since the engine's own default
/// then does the same and reads the system's authorities only when a server wants TLS.
///
/// # Errors
/// `ErrTLS`, for a client certificate or key that cannot be used.
pub(super) fn config(settings: &TlsSettings) -> Result<Option<ClientConfig>> {
    if *settings == TlsSettings::default() {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(roots(settings));
    let inner: Option<Arc<WebPkiServerVerifier>> = if settings.verify {
        // Without any authority no certificate can be good; that is found out at the handshake.
        WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build().ok()
    } else {
        None
    };
    let verifier = Verifier {
        provider: provider.clone(),
        verify: settings.verify,
        check_name: settings.check_name,
        inner,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(Kind::Tls, e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some(certfile) = &settings.certfile else {
        return Ok(Some(builder.with_no_client_auth()));
    };
    let chain = certificates(certfile)
        .map_err(|text| Error::new(Kind::Tls, format!("unable to set certificate file: {text}")))?;
    let keyfile = settings.keyfile.as_ref().unwrap_or(certfile);
    let key_error = |text: String| {
        let name = keyfile.display();
        Error::new(Kind::Tls, format!("unable to set public key file {name}: {text}"))
    };
    let key = PrivateKeyDer::from_pem_file(keyfile).map_err(|e| key_error(e.to_string()))?;
    builder.with_client_auth_cert(chain, key).map(Some).map_err(|e| key_error(e.to_string()))
}

/// The system's authorities and the user's. What cannot be read is left out: a server that needs
/// it fails the verification, which says more than the name of some file of the system would.
fn roots(settings: &TlsSettings) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    if !settings.verify {
        return roots;
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = &settings.cafile {
        roots.add_parsable_certificates(certificates(file).unwrap_or_default());
    }
    let entries = settings.cadir.as_ref().and_then(|dir| fs::read_dir(dir).ok());
    for entry in entries.into_iter().flatten().flatten() {
        roots.add_parsable_certificates(certificates(&entry.path()).unwrap_or_default());
    }
    roots
}

fn certificates(file: &Path) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|e| format!("{}: {e}", file.display()))
}

/// The usual verification, with parts of it switched off.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    verify: bool,
    check_name: bool,
    inner: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, TlsError> {
        if !self.verify {
            return Ok(ServerCertVerified::assertion());
        }
        let Some(inner) = &self.inner else {
            return Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        let result =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match result {
            // The name is looked at last, so everything else is in order.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        async_nats::rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        async_nats::rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
