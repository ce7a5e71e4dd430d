//! Lists of cipher suites in the language of OpenSSL, as far as there is something to choose.
//!
//! All suites here are strong, so words for the weak ones need nothing done. A word that would
//! have to be obeyed and cannot be is an error, not ignored.

use async_nats::rustls::version::{TLS12, TLS13};
use async_nats::rustls::{CipherSuite, SupportedCipherSuite};

use super::settings::TlsSettings;

/// OpenSSL's names of the suites that there are.
const NAMES: [(&str, CipherSuite); 9] = [
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Words for all suites, and for an order that the server chooses anyway.
const ALL: [&str; 8] =
    ["ALL", "DEFAULT", "HIGH", "ECDHE", "EECDH", "kECDHE", "kEECDH", "@STRENGTH"];

/// Words for suites that there are not.
const ABSENT: [&str; 37] = [
    "aNULL",
    "eNULL",
    "NULL",
    "COMPLEMENTOFDEFAULT",
    "COMPLEMENTOFALL",
    "MEDIUM",
    "LOW",
    "EXP",
    "EXPORT",
    "EXPORT40",
    "EXPORT56",
    "ADH",
    "AECDH",
    "RC2",
    "RC4",
    "DES",
    "3DES",
    "IDEA",
    "SEED",
    "CAMELLIA",
    "ARIA",
    "MD5",
    "SHA1",
    "SHA",
    "PSK",
    "SRP",
    "DSS",
    "aDSS",
    "kRSA",
    "DH",
    "DHE",
    "EDH",
    "kDHE",
    "kEDH",
    "SSLv2",
    "SSLv3",
    "CBC",
];

/// Keeps the suites that the settings allow. As with OpenSSL the two lists are independent: one
/// that leaves nothing of its version leaves the other version.
///
/// # Errors
/// A text, for a word that is not known.
pub(super) fn keep(
    suites: &mut Vec<SupportedCipherSuite>,
    settings: &TlsSettings,
) -> Result<(), String> {
    for (list, version) in [(&settings.ciphers, &TLS12), (&settings.ciphers13, &TLS13)] {
        if !list.trim().is_empty() {
            let allowed = allowed(list)?;
            suites.retain(|suite| suite.version() != version || allowed.contains(&suite.suite()));
        }
    }
    Ok(())
}

/// The suites of a list such as `HIGH:!aNULL` or `ECDHE-RSA-AES256-GCM-SHA384`.
fn allowed(list: &str) -> Result<Vec<CipherSuite>, String> {
    let mut allowed: Vec<CipherSuite> = Vec::new();
    for word in list.split([':', ',', ' ', ';']).filter(|word| !word.is_empty()) {
        let name = word.trim_start_matches(['!', '-', '+']);
        let suite = NAMES.iter().find(|(known, _)| *known == name).map(|(_, suite)| *suite);
        match (word.as_bytes()[0], suite) {
            (b'!' | b'-', Some(suite)) => allowed.retain(|known| *known != suite),
            (b'!' | b'-', None) if ABSENT.contains(&name) => {}
            // Moves suites to the end of an order that nobody looks at.
            (b'+', _) => {}
            (_, Some(suite)) => allowed.push(suite),
            _ if ALL.contains(&word) => allowed.extend(NAMES.iter().map(|(_, suite)| *suite)),
            // The full name of a suite of others: not to be had, but there may be more in the list.
            _ if ABSENT.contains(&word) || is_suite(word) => {}
            _ => return Err(format!("bad word \"{word}\" in the list of ciphers \"{list}\"")),
        }
    }
    Ok(allowed)
}

/// Whether a word has the form of a suite's name: parts, the last of them a digest or a mode.
fn is_suite(word: &str) -> bool {
    word.contains(['-', '_'])
        && word.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || b"-_".contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(ciphers: &str, ciphers13: &str) -> Result<usize, String> {
        let mut suites = async_nats::rustls::crypto::ring::default_provider().cipher_suites;
        let settings = TlsSettings {
            ciphers: ciphers.into(),
            ciphers13: ciphers13.into(),
            ..TlsSettings::default()
        };
        keep(&mut suites, &settings).map(|()| suites.len())
    }

    #[test]
    fn lists_of_suites() {
        for (ciphers, ciphers13, left) in [
            ("", "", 9),
            ("HIGH:!aNULL:!MD5", "", 9),
            ("DEFAULT:!ECDHE-RSA-AES128-GCM-SHA256", "", 8),
            ("ECDHE-RSA-AES256-GCM-SHA384", "", 4),
            ("AES256-SHA:ECDHE-RSA-AES256-GCM-SHA384", "", 4),
            ("AES256-SHA", "", 3),
            ("RC4", "", 3),
            ("", "TLS_AES_256_GCM_SHA384", 7),
            ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384", 3),
        ] {
            assert_eq!(count(ciphers, ciphers13), Ok(left), "{ciphers} {ciphers13}");
        }
        for (ciphers, ciphers13) in [("HIGH:!AES", ""), ("what", ""), ("", "high"), ("!what", "")] {
            assert!(count(ciphers, ciphers13).is_err(), "{ciphers} {ciphers13}");
        }
    }
}
