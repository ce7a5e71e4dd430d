//! Private keys: as they are found, and what a password makes of them.

use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo, SecretDocument};

use super::files::content;
use super::settings::Material;

const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// What only the older form of PEM has.
const OLD_FORM: &str = "Proc-Type: 4,ENCRYPTED";

const UNKNOWN_FORM: &str =
    "it is encrypted in a form that is not known; convert it with: openssl pkcs8 -topk8";

pub(super) enum Key {
    Open(PrivateKeyDer<'static>),
    Locked(Locked),
}

/// A key of PKCS #8 that is encrypted, as DER.
pub(super) struct Locked(Vec<u8>);

impl Key {
    /// # Errors
    /// A text, if there is no key that can be used.
    pub fn find(source: &Material) -> Result<Key, String> {
        let content = content(source)?;
        if let Ok(key) = PrivateKeyDer::from_pem_slice(&content) {
            return Ok(Key::Open(key));
        }
        // Cut out by hand: readers of PEM know no such section, or want nothing else in the file.
        let text = String::from_utf8_lossy(&content);
        if let Some((_, rest)) = text.split_once(BEGIN) {
            let body = rest.split_once(END).map_or(rest, |(body, _)| body);
            return Locked::from_pem(&format!("{BEGIN}{body}{END}\n")).map(Key::Locked);
        }
        if text.contains(OLD_FORM) {
            return Err(UNKNOWN_FORM.into());
        }
        let Material::Data(_) = source else { return Err("no private key".into()) };
        if EncryptedPrivateKeyInfo::try_from(&*content).is_ok() {
            return Ok(Key::Locked(Locked(content)));
        }
        PrivateKeyDer::try_from(content).map(Key::Open).map_err(|_| "no private key".into())
    }
}

impl Locked {
    fn from_pem(pem: &str) -> Result<Locked, String> {
        let (_, der) = SecretDocument::from_pem(pem).map_err(|_| "no private key")?;
        EncryptedPrivateKeyInfo::try_from(der.as_bytes()).map_err(|_| UNKNOWN_FORM)?;
        Ok(Locked(der.as_bytes().to_vec()))
    }

    /// Takes its time: that is what keys are protected by.
    ///
    /// # Errors
    /// A text, which says nothing of the password.
    pub fn open(&self, password: &str) -> Result<PrivateKeyDer<'static>, String> {
        let key = EncryptedPrivateKeyInfo::try_from(&*self.0).map_err(|_| UNKNOWN_FORM)?;
        // What was written for PKCS #5 before its version 2.
        if key.encryption_algorithm.pbes2().is_none() {
            return Err(UNKNOWN_FORM.into());
        }
        // Deciphered by a wrong password it may look good, but not as a key.
        let open = key.decrypt(password).ok();
        open.filter(|open| PrivateKeyInfo::try_from(open.as_bytes()).is_ok())
            .map(|open| PrivatePkcs8KeyDer::from(open.as_bytes().to_vec()).into())
            .ok_or_else(|| "the password is wrong".into())
    }
}
