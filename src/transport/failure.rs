//! From the engine's words to the error kinds and texts of the contract.
//!
//! The engine tells of a failed attempt only as text, and of a lost connection nothing at all but
//! an earlier `-ERR`. Whatever is matched here is therefore text of async-nats 0.51, of rustls or
//! of the system; what matches nothing still becomes a sensible error.

use super::server::ServerEntry;
use super::silence::UNANSWERED_PINGS;
use crate::error::{Error, Kind};

/// How rustls begins when it refuses a certificate.
const BAD_CERTIFICATE: &str = "invalid peer certificate: ";

/// What is known of an attempt when it has failed.
pub(super) struct Attempt<'a> {
    pub server: &'a ServerEntry,
    /// Whether the server got as far as to say its INFO.
    pub has_info: bool,
    /// Whether we want TLS, and the server does not speak of it and has shown no certificate.
    pub no_tls: bool,
    /// Whether TLS was to come before the INFO.
    pub tls_first: bool,
}

impl Attempt<'_> {
    /// The error of an attempt whose engine text is `text`, e.g. `IO error: Connection refused
    /// (os error 111)`.
    pub fn error(&self, text: &str) -> Error {
        if self.no_tls {
            return no_tls(self.server);
        }
        if text == "timed out" {
            return timeout(self.server);
        }
        if text.starts_with("authorization violation") {
            return Error::new(Kind::Authorization, "authorization violation");
        }
        if let Some(reason) = text.strip_prefix("DNS error: ") {
            return unresolved(self.server, reason);
        }
        let (kind, reason) = text.split_once(": ").unwrap_or((text, text));
        match kind {
            "TLS error" => self.tls(reason),
            _ => self.io(reason),
        }
    }

    fn tls(&self, reason: &str) -> Error {
        // What rustls says when the answer to its greeting is plain text.
        if reason.contains("InvalidContentType") {
            if self.server.is_websocket() {
                return no_tls(self.server);
            }
            if self.tls_first {
                return tls(self.server, "the server does not begin with it");
            }
        }
        match reason.starts_with(BAD_CERTIFICATE) {
            true => unfit_certificate(self.server, reason),
            false => tls(self.server, reason),
        }
    }

    fn io(&self, reason: &str) -> Error {
        let place = self.server.address();
        if let Some(text) = reason.strip_prefix("nats: ") {
            return server_error(text).0;
        }
        if let Some((text, number)) = os_error(reason) {
            return match number {
                // ECONNRESET, EPIPE, ECONNABORTED: there was a connection, and it broke. Without
                // an INFO it only sat in the queue of a server that was going.
                104 | 32 | 103 if self.has_info => {
                    Error::new(Kind::BrokenSocket, format!("Connection to {place} broken - {text}"))
                }
                _ => refused(self.server, &text),
            };
        }
        if let Some(line) = reason.strip_prefix("expected INFO, got ").filter(|l| *l != "nothing") {
            return Error::new(Kind::Protocol, format!("Invalid protocol {line}"));
        }
        if let Some(line) = reason.strip_prefix("invalid server operation: '") {
            let line = line.strip_suffix('\'').unwrap_or(line);
            return Error::new(Kind::Protocol, format!("Invalid protocol {line}"));
        }
        match reason {
            "expected INFO, got nothing"
            | "broken pipe"
            | "connection reset"
            | "unexpected end of file"
            | "WebSocket closed" => closed(self.server),
            _ if is_tls(reason) => self.tls(reason),
            // Whoever answers there does not speak WebSocket.
            _ if self.server.is_websocket() && !self.has_info => {
                Error::new(Kind::Protocol, format!("Invalid protocol {reason}"))
            }
            _ => Error::new(Kind::BrokenSocket, format!("Connection to {place} broken - {reason}")),
        }
    }
}

/// `Failed to connect to H:P: <text>`.
pub(super) fn refused(server: &ServerEntry, text: &str) -> Error {
    let place = server.address();
    Error::new(Kind::ConnectionRefused, format!("Failed to connect to {place}: {text}"))
}

/// The name of the server could not be turned into an address.
pub(super) fn unresolved(server: &ServerEntry, reason: &str) -> Error {
    let reason = reason.strip_prefix("failed to lookup address information: ").unwrap_or(reason);
    refused(server, &format!("couldn't open socket: {reason}"))
}

/// There is nothing to log in with.
pub(super) fn no_credentials(server: &ServerEntry) -> Error {
    let place = server.address();
    Error::new(Kind::Authorization, format!("No credentials known for NATS server at {place}"))
}

/// What there is to log in with is of no use.
pub(super) fn unauthorized(server: &ServerEntry, reason: &str) -> Error {
    let place = server.address();
    let text = format!("Cannot log in to the NATS server at {place}: {reason}");
    Error::new(Kind::Authorization, text)
}

/// `Server H:P does not provide TLS`.
pub(super) fn no_tls(server: &ServerEntry) -> Error {
    let text = format!("Server {} does not provide TLS", server.address());
    Error::new(Kind::SecureConnWanted, text)
}

/// `TLS handshake with server H:P failed: <reason>`.
pub(super) fn tls(server: &ServerEntry, reason: &str) -> Error {
    let place = server.address();
    Error::new(Kind::Tls, format!("TLS handshake with server {place} failed: {reason}"))
}

/// The certificate of the server is not accepted.
pub(super) fn unfit_certificate(server: &ServerEntry, reason: &str) -> Error {
    tls(server, &format!("certificate verify failed: {}", certificate_problem(reason)))
}

/// What rustls finds wrong with a certificate, in short.
pub(super) fn certificate_problem(reason: &str) -> &str {
    let why = reason.strip_prefix(BAD_CERTIFICATE).unwrap_or(reason);
    // What rustls has no word of its own for.
    let other = why.strip_prefix("Other(OtherError(");
    other.and_then(|why| why.strip_suffix("))")).unwrap_or(why)
}

/// `Connection timeout for H:P`.
pub(super) fn timeout(server: &ServerEntry) -> Error {
    Error::new(Kind::ConnectionTimeout, format!("Connection timeout for {}", server.address()))
}

/// The owner of the connection wanted another one.
pub(super) fn unwanted(server: &ServerEntry) -> Error {
    let text = format!("Connection to {} broken - reconnect requested", server.address());
    Error::new(Kind::BrokenSocket, text)
}

/// The server ended the connection without a word.
pub(super) fn closed(server: &ServerEntry) -> Error {
    let place = server.address();
    Error::new(Kind::BrokenSocket, format!("Server {place} closed the connection"))
}

/// The server left the keep-alive unanswered.
pub(super) fn stale() -> Error {
    let text = format!("The server did not respond to {UNANSWERED_PINGS} PINGs");
    Error::new(Kind::StaleConnection, text)
}

/// The error for the text of an `-ERR`, and whether the connection is to be abandoned.
pub(super) fn server_error(text: &str) -> (Error, bool) {
    let text = text.trim_matches([' ', '\'']).to_lowercase();
    let starts = |prefix: &str| text.starts_with(prefix);
    let (kind, fatal) = if starts("authorization violation") {
        (Kind::Authorization, true)
    } else if starts("user authentication expired") {
        (Kind::AuthExpired, true)
    } else if starts("user authentication revoked") {
        (Kind::AuthRevoked, true)
    } else if starts("account authentication expired") {
        (Kind::AccountAuthExpired, true)
    } else if starts("stale connection") {
        (Kind::StaleConnection, true)
    } else if starts("permissions violation") {
        (Kind::Permissions, false)
    } else if starts("invalid ") && text.contains("subject") {
        (Kind::BadSubject, false)
    } else {
        (Kind::Server, true)
    };
    (Error::new(kind, text), fatal)
}

/// Splits `Connection refused (os error 111)` into Tcl's spelling of the text and the number.
fn os_error(reason: &str) -> Option<(String, i32)> {
    let (text, number) = reason.strip_suffix(')')?.rsplit_once(" (os error ")?;
    let number = number.parse().ok()?;
    let mut chars = text.chars();
    let first = chars.next()?.to_lowercase();
    Some((first.chain(chars).collect(), number))
}

/// Whether the text comes from rustls; the engine reports its errors as those of the socket.
fn is_tls(reason: &str) -> bool {
    const SIGNS: [&str; 14] = [
        "tls handshake eof",
        "certificate",
        "peer is incompatible",
        "peer misbehaved",
        "peer sent",
        "peer doesn't support",
        "fatal alert",
        "corrupt message",
        "received unexpected",
        "cannot decrypt",
        "cannot encrypt",
        "encrypted",
        "could not load",
        "unexpected error: ",
    ];
    SIGNS.iter().any(|sign| reason.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(url: &str, text: &str, has_info: bool, tls_first: bool) -> (Kind, String) {
        let server = ServerEntry::parse(url).expect("url");
        let error = Attempt { server: &server, has_info, no_tls: false, tls_first }.error(text);
        (error.kind, error.message.into_owned())
    }

    #[test]
    fn failed_attempts() {
        for (text, kind, wanted) in [
            (
                "IO error: Connection refused (os error 111)",
                Kind::ConnectionRefused,
                "Failed to connect to h:1: connection refused",
            ),
            (
                "DNS error: failed to lookup address information: Name or service not known",
                Kind::ConnectionRefused,
                "Failed to connect to h:1: couldn't open socket: Name or service not known",
            ),
            ("timed out", Kind::ConnectionTimeout, "Connection timeout for h:1"),
            (
                "IO error: Connection reset by peer (os error 104)",
                Kind::BrokenSocket,
                "Connection to h:1 broken - connection reset by peer",
            ),
            (
                "IO error: expected INFO, got nothing",
                Kind::BrokenSocket,
                "Server h:1 closed the connection",
            ),
            ("IO error: broken pipe", Kind::BrokenSocket, "Server h:1 closed the connection"),
            (
                "IO error: invalid server operation: 'HELLO x'",
                Kind::Protocol,
                "Invalid protocol HELLO x",
            ),
            (
                "IO error: nats: maximum connections exceeded",
                Kind::Server,
                "maximum connections exceeded",
            ),
            (
                "authorization violation: nats: authorization violation",
                Kind::Authorization,
                "authorization violation",
            ),
            (
                "IO error: invalid peer certificate: UnknownIssuer",
                Kind::Tls,
                "TLS handshake with server h:1 failed: certificate verify failed: UnknownIssuer",
            ),
        ] {
            assert_eq!(failed("h:1", text, true, false), (kind, wanted.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_depends_on_the_attempt() {
        let plain = "IO error: received corrupt message of type InvalidContentType";
        let server = ServerEntry::parse("h:1").expect("url");
        for text in [plain, "timed out", "IO error: tls handshake eof"] {
            let attempt =
                Attempt { server: &server, has_info: true, no_tls: true, tls_first: false };
            assert_eq!(attempt.error(text), no_tls(&server), "{text}");
        }
        assert_eq!(failed("h:1", plain, true, false).0, Kind::Tls);
        assert_eq!(
            failed("h:1", plain, false, true).1,
            "TLS handshake with server h:1 failed: the server does not begin with it"
        );
        let reset = "IO error: Connection reset by peer (os error 104)";
        assert_eq!(failed("h:1", reset, false, false).0, Kind::ConnectionRefused);
        let http = "IO error: expected HTTP 101 Switching Protocols, got status code 404";
        assert_eq!(failed("ws://h:1", http, false, false).0, Kind::Protocol);
        assert_eq!(failed("wss://h:1", plain, false, false).0, Kind::SecureConnWanted);
    }

    #[test]
    fn errors_of_the_server() {
        for (text, kind, fatal) in [
            ("Authorization Violation", Kind::Authorization, true),
            ("User Authentication Expired", Kind::AuthExpired, true),
            ("User Authentication Revoked", Kind::AuthRevoked, true),
            ("Account Authentication Expired", Kind::AccountAuthExpired, true),
            ("'Stale Connection'", Kind::StaleConnection, true),
            ("Permissions Violation for Publish to \"Foo\"", Kind::Permissions, false),
            ("Invalid Subject", Kind::BadSubject, false),
            ("Invalid Publish Subject", Kind::BadSubject, false),
            ("Maximum Payload Violation", Kind::Server, true),
            ("", Kind::Server, true),
        ] {
            let (error, is_fatal) = server_error(text);
            assert_eq!((error.kind, is_fatal), (kind, fatal), "{text}");
        }
        assert_eq!(server_error(" 'Stale Connection' ").0.message, "stale connection");
    }
}
