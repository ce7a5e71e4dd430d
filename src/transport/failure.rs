//! From the engine's words to the error kinds and texts of the contract.
//!
//! The engine tells of a failed attempt only as text, and of a lost connection only in its trace.
//! Whatever is matched here is therefore text of async-nats 0.51, of rustls or of the system; what
//! matches nothing still becomes a sensible error.

use super::server::ServerEntry;
use super::trace;
use crate::error::{Error, Kind};

/// The engine gives up when it would have to send one PING more than this.
const UNANSWERED_PINGS: u32 = 2;

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
        if let Some(op) = reason.strip_prefix("expected INFO, got ").filter(|op| *op != "nothing") {
            return not_info(op);
        }
        if is_of_parser(reason) {
            return malformed(reason);
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

/// There is nothing to log in with, perhaps because something lacks its other half.
pub(super) fn no_credentials(server: &ServerEntry, half: Option<&str>) -> Error {
    let place = server.address();
    let why = half.map(|half| format!(": {half}")).unwrap_or_default();
    let text = format!("No credentials known for NATS server at {place}{why}");
    Error::new(Kind::Authorization, text)
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

/// The engine has ended in the middle of its work: there are answers that it does not survive, such
/// as an `-ERR` without a text.
pub(super) fn unreadable() -> Error {
    Error::new(Kind::Server, "error without a text")
}

/// The server has sent so much that neither a message nor a line of it ends.
pub(super) fn endless(limit: u64) -> Error {
    let text = format!("Invalid protocol: no end of a message or a line within {limit} bytes");
    Error::new(Kind::Protocol, text)
}

/// The one error of the engine's parser that has a kind of its own.
const BAD_STATUS: &str = "could not parse status parameter";

/// Why a connection was lost. `reason` is the `Debug` form of an `Option<io::Error>`.
pub(super) fn lost(server: &ServerEntry, reason: &str, reading: bool) -> Error {
    let place = server.address();
    let reason = reason.strip_prefix("Some(").and_then(|r| r.strip_suffix(')')).unwrap_or("None");
    let member = |name: &str| reason.split_once(&format!("{name}: ")).map(|(_, rest)| rest);
    if reason.starts_with("Os {") {
        let text = member("message").and_then(|rest| trace::string(rest.strip_prefix('"')?));
        let text = text.map_or_else(|| reason.to_owned(), |(text, _)| tcl_spelling(&text));
        let text = match reading {
            true => format!("Connection to {place} broken - {text}"),
            false => format!("Failed to send data to {place}: {text}"),
        };
        return Error::new(Kind::BrokenSocket, text);
    }
    let Some(text) = member("error").filter(|_| reason.starts_with("Custom {")) else {
        // The end of the stream, also in the middle of something.
        return closed(server);
    };
    let text = plain(text.strip_suffix(" }").unwrap_or(text));
    match member("kind").and_then(|rest| rest.split(',').next()) {
        Some("UnexpectedEof" | "ConnectionReset" | "BrokenPipe") => closed(server),
        Some("InvalidInput") => malformed(&text),
        Some("Other") if text == BAD_STATUS => malformed(&text),
        _ => Error::new(Kind::BrokenSocket, format!("Connection to {place} broken - {text}")),
    }
}

/// The server began with something else than its INFO; `op` is the `Debug` form of that.
fn not_info(op: &str) -> Error {
    if let Some(error) = op.strip_prefix("Error(") {
        let text = error.strip_prefix("Other(\"").and_then(trace::string);
        return match text {
            Some((text, _)) => server_error(&text).0,
            None => Error::new(Kind::Authorization, "authorization violation"),
        };
    }
    let word = match op.split([' ', '(', '{']).next() {
        Some("Ok") => "+OK",
        Some("Ping") => "PING",
        Some("Pong") => "PONG",
        _ => "MSG",
    };
    Error::new(Kind::Protocol, format!("Invalid protocol {word}"))
}

/// Whether the text comes from the engine's parser, of operations or of the JSON of an INFO.
fn is_of_parser(text: &str) -> bool {
    const SIGNS: [&str; 6] = [
        "invalid server operation: '",
        "unable to parse unknown input",
        "invalid number of arguments after",
        "invalid utf-8 sequence",
        "cannot parse ",
        "invalid digit found",
    ];
    SIGNS.iter().any(|sign| text.starts_with(sign)) || text.contains(" at line ")
}

/// The server said something that is no protocol.
fn malformed(text: &str) -> Error {
    if let Some(error) = unknown_operation(text) {
        return error;
    }
    if text == "header version line does not begin with `NATS/1.0`" {
        return Error::new(Kind::BadHeaderMsg, "Unknown header version");
    }
    const OF_HEADERS: [&str; 5] =
        ["header isn't", "no header version", "ParseHeaderName", "ParseHeaderValue", BAD_STATUS];
    if OF_HEADERS.iter().any(|start| text.starts_with(start)) {
        return Error::new(Kind::BadHeaderMsg, format!("Invalid header: {text}"));
    }
    Error::new(Kind::Protocol, format!("Invalid protocol: {text}"))
}

/// `Invalid protocol <line>`.
fn unknown_operation(text: &str) -> Option<Error> {
    let line = text.strip_prefix("invalid server operation: '")?;
    let line = line.strip_suffix('\'').unwrap_or(line).trim_end_matches(['\r', '\n']);
    Some(Error::new(Kind::Protocol, format!("Invalid protocol {line}")))
}

/// What the `Debug` form of an error says: the text in quotes, else its name.
fn plain(debug: &str) -> String {
    match debug.split_once('"').and_then(|(_, rest)| trace::string(rest)) {
        Some((text, _)) => text,
        None => debug.split([' ', '(']).next().unwrap_or(debug).to_owned(),
    }
}

/// The server left the keep-alive unanswered.
pub(super) fn stale() -> Error {
    let text = format!("The server did not respond to {UNANSWERED_PINGS} PINGs");
    Error::new(Kind::StaleConnection, text)
}

/// What is not allowed, as the server names it in an `-ERR`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denial {
    Publish(String),
    /// To publish with this reply subject.
    Reply(String),
    Subscription(String),
}

impl Denial {
    pub fn read(text: &str) -> Option<Denial> {
        let (what, rest) = text.split_once('"')?;
        let what = what.trim_matches([' ', '\'']).to_lowercase();
        let kind = match what.strip_prefix("permissions violation for ")? {
            "publish to" => Denial::Publish,
            "publish with reply of" => Denial::Reply,
            "subscription to" => Denial::Subscription,
            _ => return None,
        };
        quoted(rest).map(|(subject, _)| kind(subject))
    }
}

/// What Go has put into quotes, after the opening one, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut bytes = Vec::new();
    let mut rest = text;
    loop {
        let c = rest.chars().next()?;
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => return Some((String::from_utf8(bytes).ok()?, rest)),
            '\\' => {
                let escape = rest.chars().next()?;
                rest = &rest[escape.len_utf8()..];
                let digits = match escape {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    // Other control characters are in no subject.
                    other => {
                        bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                        continue;
                    }
                };
                let code = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
                rest = &rest[digits..];
                match escape {
                    'x' => bytes.push(u8::try_from(code).ok()?),
                    _ => {
                        let c = char::from_u32(code)?;
                        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
            }
            other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// In lower case, except for what stands in quotes: subjects.
fn lower_case(text: &str) -> String {
    let (mut lower, mut quoted, mut escaped) = (String::with_capacity(text.len()), false, false);
    for c in text.chars() {
        match quoted {
            true => lower.push(c),
            false => lower.extend(c.to_lowercase()),
        }
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
    }
    lower
}

/// The error for the text of an `-ERR`, and whether the connection is to be abandoned.
pub(super) fn server_error(text: &str) -> (Error, bool) {
    let text = lower_case(text.trim_matches([' ', '\'']));
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
    Some((tcl_spelling(text), number.parse().ok()?))
}

fn tcl_spelling(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_lowercase);
    first.chain(chars).collect()
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
#[path = "failure_tests.rs"]
mod tests;
