//! The texts of the engine and what becomes of them.

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
            "IO error: expected INFO, got Error(Other(\"Maximum Connections Exceeded\"))",
            Kind::Server,
            "maximum connections exceeded",
        ),
        (
            "IO error: expected INFO, got Error(AuthorizationViolation)",
            Kind::Authorization,
            "authorization violation",
        ),
        ("IO error: expected INFO, got Ping", Kind::Protocol, "Invalid protocol PING"),
        (
            "IO error: expected value at line 1 column 2",
            Kind::Protocol,
            "Invalid protocol: expected value at line 1 column 2",
        ),
        (
            "IO error: invalid server operation: 'HELLO\r\n'",
            Kind::Protocol,
            "Invalid protocol HELLO",
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
fn lost_connections() {
    use std::io::{Error as Io, ErrorKind};
    let server = ServerEntry::parse("h:1").expect("url");
    let invalid = |text: &str| Io::new(ErrorKind::InvalidInput, text);
    let utf8 = String::from_utf8(vec![0xff]).map_err(|e| e.utf8_error()).expect_err("no text");
    let json = serde_json::from_str::<Vec<u8>>("{").expect_err("no JSON");
    for (reason, reading, kind, wanted) in [
        (None, true, Kind::BrokenSocket, "Server h:1 closed the connection"),
        (
            Some(ErrorKind::ConnectionReset.into()),
            true,
            Kind::BrokenSocket,
            "Server h:1 closed the connection",
        ),
        (
            Some(Io::from_raw_os_error(104)),
            true,
            Kind::BrokenSocket,
            "Connection to h:1 broken - connection reset by peer",
        ),
        (
            Some(Io::from_raw_os_error(32)),
            false,
            Kind::BrokenSocket,
            "Failed to send data to h:1: broken pipe",
        ),
        (
            Some(invalid("invalid server operation: 'HELLO \"x\"\r\n'")),
            false,
            Kind::Protocol,
            "Invalid protocol HELLO \"x\"",
        ),
        (
            Some(invalid("header isn't valid utf-8")),
            false,
            Kind::BadHeaderMsg,
            "Invalid header: header isn't valid utf-8",
        ),
        (
            Some(invalid("header version line does not begin with `NATS/1.0`")),
            false,
            Kind::BadHeaderMsg,
            "Unknown header version",
        ),
        (
            Some(Io::new(ErrorKind::InvalidInput, utf8)),
            false,
            Kind::Protocol,
            "Invalid protocol: Utf8Error",
        ),
        (
            Some(Io::new(ErrorKind::InvalidInput, json)),
            false,
            Kind::Protocol,
            "Invalid protocol: invalid type: map, expected a sequence",
        ),
        (
            Some(Io::new(ErrorKind::UnexpectedEof, "no close_notify")),
            true,
            Kind::BrokenSocket,
            "Server h:1 closed the connection",
        ),
        (
            Some(Io::new(ErrorKind::InvalidData, "received fatal alert")),
            true,
            Kind::BrokenSocket,
            "Connection to h:1 broken - received fatal alert",
        ),
    ] {
        let error = lost(&server, &format!("{reason:?}"), reading);
        assert_eq!((error.kind, &*error.message), (kind, wanted), "{reason:?}");
    }
}

#[test]
fn what_depends_on_the_attempt() {
    let plain = "IO error: received corrupt message of type InvalidContentType";
    let server = ServerEntry::parse("h:1").expect("url");
    for text in [plain, "timed out", "IO error: tls handshake eof"] {
        let attempt = Attempt { server: &server, has_info: true, no_tls: true, tls_first: false };
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

#[test]
fn what_stands_in_quotes_keeps_its_case() {
    for (text, lower) in [
        (
            "Permissions Violation for Publish to \"A.b\"",
            "permissions violation for publish to \"A.b\"",
        ),
        (
            "'Permissions Violation for Subscription to \"A.*\" using queue \"Q\"'",
            "permissions violation for subscription to \"A.*\" using queue \"Q\"",
        ),
        ("To \"A\\\"B\" And \"C\\\\\" Then", "to \"A\\\"B\" and \"C\\\\\" then"),
        ("Never \"Closed", "never \"Closed"),
    ] {
        assert_eq!(server_error(text).0.message, lower);
    }
}

#[test]
fn what_is_denied() {
    let publish = |subject: &str| Some(Denial::Publish(subject.into()));
    let subscription = |subject: &str| Some(Denial::Subscription(subject.into()));
    for (text, denial) in [
        ("'Permissions Violation for Publish to \"A.b\"'", publish("A.b")),
        ("permissions violation for publish to \"a\"", publish("a")),
        ("Permissions Violation for Publish with Reply of \"r\"", Some(Denial::Reply("r".into()))),
        ("Permissions Violation for Subscription to \"a.>\" (sid \"1\")", subscription("a.>")),
        ("Permissions Violation for Subscription to \"a\" using queue \"q\"", subscription("a")),
        (
            "Permissions Violation for Publish to \"\\u00a0\\\"\\\\\\U0001f600é\\xc3\\xa9\"",
            publish("\u{a0}\"\\😀éé"),
        ),
        ("Permissions Violation for Publish to \"\\xff\"", None),
        ("Permissions Violation for Publish to \"a", None),
        ("Permissions Violation for Publish to \"\\u00", None),
        ("Permissions Violation for Publish to \"\\é", None),
        ("Permissions Violation", None),
        ("Permissions Violation for Something to \"a\"", None),
        ("Invalid Subject \"a\"", None),
    ] {
        assert_eq!(Denial::read(text), denial, "{text}");
    }
}
