//! What a certificate says, in the form that the Tcl package `tls` gives it.

use crate::tcl::{List, Obj};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use std::fmt::Write;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::pem::{LineEnding, encode_string};
use x509_cert::time::Time;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A list of names and values. Of a certificate that cannot be read, which no authority that we
/// know has signed, it has only what any bytes have.
pub fn describe(der: &[u8]) -> Obj {
    let mut list = List::new();
    for (name, value) in fields(der) {
        list.push(&Obj::new(name));
        list.push(&Obj::new(&value));
    }
    list.into()
}

fn fields(der: &[u8]) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("sha1_hash", hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref())),
        ("sha256_hash", hex(digest(&SHA256, der).as_ref())),
    ];
    if let Ok(certificate) = Certificate::from_der(der) {
        let told = certificate.tbs_certificate;
        fields.extend([
            ("subject", told.subject.to_string()),
            ("issuer", told.issuer.to_string()),
            ("notBefore", time(&told.validity.not_before)),
            ("notAfter", time(&told.validity.not_after)),
            ("serial", serial(told.serial_number.as_bytes())),
        ]);
    }
    // Fails only for what does not fit into memory.
    let pem = encode_string("CERTIFICATE", LineEnding::LF, der).unwrap_or_default();
    fields.push(("certificate", pem));
    fields
}

/// Without the byte that only says that a number is not negative.
fn serial(bytes: &[u8]) -> String {
    match bytes {
        [0, rest @ ..] if !rest.is_empty() => hex(rest),
        _ => hex(bytes),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// `Nov  9 08:05:00 2026 GMT`.
fn time(time: &Time) -> String {
    let at = time.to_date_time();
    let month = MONTHS.get(usize::from(at.month()).wrapping_sub(1)).copied().unwrap_or_default();
    let (day, hour, minutes, seconds) = (at.day(), at.hour(), at.minutes(), at.seconds());
    format!("{month} {day:2} {hour:02}:{minutes:02}:{seconds:02} {} GMT", at.year())
}
