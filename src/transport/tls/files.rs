//! Certificates and keys: from files, or as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::rustls::crypto::CryptoProvider;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::sign::CertifiedKey;
use async_nats::rustls::{Error as TlsError, InconsistentKeys};

use super::key::Key;
use super::settings::{Material, TlsSettings};
use super::verifier::Trust;

type Certificates = Vec<CertificateDer<'static>>;

/// A key that was encrypted, or why it still is.
pub(super) type Opened = Result<PrivateKeyDer<'static>, String>;

/// The settings with the contents of their files.
pub(super) struct Files {
    pub trust: Trust,
    pub client: Option<Arc<CertifiedKey>>,
}

impl Files {
    /// Takes the key that a password has opened, if one had to.
    ///
    /// # Errors
    /// A text, for a file that cannot be used.
    pub fn read(
        settings: &TlsSettings,
        opened: Option<Opened>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Files, String> {
        let authorities = authorities(settings)?;
        Ok(Files {
            trust: Trust::new(settings, authorities, provider.clone())?,
            client: client(settings, opened, provider)?,
        })
    }
}

/// The user's authorities. Files of a directory that are something else are passed over.
fn authorities(settings: &TlsSettings) -> Result<Certificates, String> {
    let mut found = Vec::new();
    if let Some(file) = &settings.cafile {
        let problem = |text: String| format!("unable to use the authorities in {text}");
        found = pem_certificates(&bytes(file).map_err(problem)?)
            .filter(|found| !found.is_empty())
            .ok_or_else(|| problem(format!("{}: no PEM certificate", file.display())))?;
    }
    if let Some(dir) = &settings.cadir {
        let problem = |e| format!("unable to use the authorities in {}: {e}", dir.display());
        for entry in fs::read_dir(dir).map_err(problem)?.flatten() {
            let path: PathBuf = entry.path();
            if path.is_file()
                && let Ok(bytes) = bytes(&path)
            {
                found.extend(pem_certificates(&bytes).unwrap_or_default());
            }
        }
    }
    Ok(found)
}

/// Our own certificate with its key.
fn client(
    settings: &TlsSettings,
    opened: Option<Opened>,
    provider: &CryptoProvider,
) -> Result<Option<Arc<CertifiedKey>>, String> {
    let Some(certificate) = &settings.certificate else { return Ok(None) };
    let problem =
        |text: &str| format!("unable to set certificate file {}", named(certificate, text));
    let content = content(certificate).map_err(|text| problem(&text))?;
    let chain = pem_certificates(&content)
        .filter(|chain| !chain.is_empty())
        .or_else(|| der_certificate(certificate, &content))
        .ok_or_else(|| problem("no certificate"))?;
    let source = settings.key.as_ref().unwrap_or(certificate);
    let found = || match Key::find(source)? {
        Key::Open(key) => Ok(key),
        Key::Locked(_) => Err("it is encrypted, and there is no -password".into()),
    };
    let problem = |text: &str| format!("unable to set public key file {}", named(source, text));
    let key = opened.unwrap_or_else(found).map_err(|text| problem(&text))?;
    match CertifiedKey::from_der(chain, key, provider) {
        Ok(pair) => Ok(Some(Arc::new(pair))),
        Err(TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(problem("it does not belong to the certificate"))
        }
        Err(e) => Err(problem(&e.to_string())),
    }
}

/// The name of a file and what is wrong with it.
fn named(source: &Material, text: &str) -> String {
    match source {
        Material::File(path) => format!("{}: {text}", path.display()),
        Material::Data(_) => format!("(given as data): {text}"),
    }
}

pub(super) fn content(source: &Material) -> Result<Vec<u8>, String> {
    match source {
        Material::File(path) => fs::read(path).map_err(|e| e.to_string()),
        Material::Data(data) => Ok(data.clone()),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// All certificates in the text; `None` if one of them is malformed.
fn pem_certificates(content: &[u8]) -> Option<Certificates> {
    CertificateDer::pem_slice_iter(content).collect::<Result<_, _>>().ok()
}

/// Only what is given as data may be DER, as in nats-tcl.
fn der_certificate(source: &Material, content: &[u8]) -> Option<Certificates> {
    // What begins a DER sequence; rustls looks closer later.
    let is_der = matches!(source, Material::Data(_)) && content.first() == Some(&0x30);
    is_der.then(|| vec![CertificateDer::from(content.to_vec())])
}
