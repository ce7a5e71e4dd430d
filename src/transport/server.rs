//! One server of the pool: its URL syntax and what is remembered about it.

use std::fmt;
use std::net::Ipv6Addr;

use crate::error::{Error, Result};

/// The schemes of a URL, and the port of one that names none.
const SCHEMES: [(&str, &str); 4] =
    [("nats", "4222"), ("tls", "4222"), ("ws", "80"), ("wss", "443")];

/// A server as the user wrote it, with the counters of its failed attempts.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerEntry {
    /// `nats`, `tls`, `ws` or `wss`.
    pub scheme: String,
    /// As written; an IPv6 literal keeps its brackets.
    pub host: String,
    /// As written, so `04222` stays `04222`.
    pub port: String,
    /// Learned from a server instead of configured.
    pub discovered: bool,
    /// Consecutive failed attempts.
    pub reconnects: u32,
    /// When the last attempt failed, in milliseconds since the epoch; 0 = never.
    pub last_attempt: i64,
    pub user: Option<String>,
    pub password: Option<String>,
    pub auth_token: Option<String>,
}

impl fmt::Debug for ServerEntry {
    /// Leaves out the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerEntry { scheme, reconnects, .. } = self;
        write!(f, "{scheme}://{} ({reconnects})", self.address())
    }
}

impl ServerEntry {
    /// Reads `[nats://|tls://|ws://|wss://][user[:password]@]host[:port][/]`.
    ///
    /// # Errors
    /// `ErrInvalidArg`, `Invalid URL <url>`.
    pub fn parse(url: &str) -> Result<ServerEntry> {
        read(url).ok_or_else(|| Error::invalid(format!("Invalid URL {url}")))
    }

    /// `host:port`, the way error texts name a server.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host as the resolver wants it: an IPv6 literal without its brackets.
    pub fn bare_host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// The port as a number, if it is one that TCP has.
    pub fn port_number(&self) -> Option<u16> {
        self.port.parse().ok()
    }

    /// Whether it is reached by WebSocket.
    pub fn is_websocket(&self) -> bool {
        matches!(self.scheme.as_str(), "ws" | "wss")
    }

    /// Whether its URL demands TLS.
    pub fn is_secure(&self) -> bool {
        matches!(self.scheme.as_str(), "tls" | "wss")
    }

    /// Same host (compared as text) and same port (compared as number).
    pub fn same_address(&self, other: &ServerEntry) -> bool {
        let digits = |port: &str| port.trim_start_matches('0').to_owned();
        self.host == other.host && digits(&self.port) == digits(&other.port)
    }

    /// Same URL, whatever happened to the server meanwhile.
    pub fn same_url(&self, other: &ServerEntry) -> bool {
        self.scheme == other.scheme
            && self.host == other.host
            && self.port == other.port
            && self.user == other.user
            && self.password == other.password
            && self.auth_token == other.auth_token
    }
}

fn read(url: &str) -> Option<ServerEntry> {
    let url = url.trim_end();
    let (scheme, rest) = match url.split_once("://") {
        Some((other, _)) if other.contains(['/', '?', '#']) => ("nats", url),
        Some(split) => split,
        None => ("nats", url),
    };
    let usual_port = SCHEMES.iter().find(|(known, _)| *known == scheme)?.1;
    // `?` and `#` end the URL. Before an `@` they would silently turn a user into a host.
    let rest = match rest.split_once(['?', '#']) {
        Some((_, ignored)) if ignored.contains('@') => return None,
        Some((kept, _)) => kept,
        None => rest,
    };
    let authority = match rest.split_once('/') {
        Some((authority, "")) => authority,
        Some(_) => return None,
        None => rest,
    };
    let (credentials, place) = match authority.split_once('@') {
        Some((credentials, place)) => (credentials, place),
        None => ("", authority),
    };
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    if !is_credential(user) || !is_credential(password) {
        return None;
    }
    let (host, port) = split_port(place, usual_port)?;
    let some = |text: &str| Some(text.to_owned());
    let (user, password, auth_token) = match (user, password) {
        ("", _) => (None, None, None),
        (token, "") => (None, None, some(token)),
        (user, password) => (some(user), some(password), None),
    };
    Some(ServerEntry {
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        port: port.to_owned(),
        discovered: false,
        reconnects: 0,
        last_attempt: 0,
        user,
        password,
        auth_token,
    })
}

/// Splits `host[:port]` and checks both parts.
fn split_port<'a>(place: &'a str, usual_port: &'a str) -> Option<(&'a str, &'a str)> {
    let (host, port) = if place.starts_with('[') {
        let end = place.find(']')?;
        place[1..end].parse::<Ipv6Addr>().ok()?;
        let (host, port) = place.split_at(end + 1);
        (host, if port.is_empty() { "" } else { port.strip_prefix(':')? })
    } else {
        let (host, port) = place.split_once(':').unwrap_or((place, ""));
        if !is_host(host) {
            return None;
        }
        (host, port)
    };
    if !port.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    Some((host, if port.is_empty() { usual_port } else { port }))
}

/// A DNS name or a dotted IPv4 address; a trailing dot is fine.
fn is_host(host: &str) -> bool {
    host.strip_suffix('.').unwrap_or(host).split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// Letters, digits, some punctuation and `%XX`, which is sent to the server as written.
fn is_credential(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(c) = bytes.next() {
        let good = match c {
            b'%' => {
                let mut hex = || bytes.next().is_some_and(|c| c.is_ascii_hexdigit());
                hex() && hex()
            }
            _ => c.is_ascii_alphanumeric() || b"$_.+!*'(),;&=-".contains(&c),
        };
        if !good {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn parts(url: &str) -> (String, String, String) {
        let entry = ServerEntry::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
        (entry.scheme, entry.host, entry.port)
    }

    fn login(url: &str) -> (Option<String>, Option<String>, Option<String>) {
        let entry = ServerEntry::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
        (entry.user, entry.password, entry.auth_token)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn scheme_host_and_port() {
        let want = |s: &str, h: &str, p: &str| (s.to_owned(), h.to_owned(), p.to_owned());
        for (url, wanted) in [
            ("h", want("nats", "h", "4222")),
            ("nats://h", want("nats", "h", "4222")),
            ("tls://h", want("tls", "h", "4222")),
            ("ws://h", want("ws", "h", "80")),
            ("wss://h:/", want("wss", "h", "443")),
            ("ws://h:8080", want("ws", "h", "8080")),
            ("h:", want("nats", "h", "4222")),
            ("h:1", want("nats", "h", "1")),
            ("h:0", want("nats", "h", "0")),
            ("h:99999", want("nats", "h", "99999")),
            ("h:04222", want("nats", "h", "04222")),
            ("h/", want("nats", "h", "4222")),
            ("nats://h:7/", want("nats", "h", "7")),
            ("a.b-c.d9:1", want("nats", "a.b-c.d9", "1")),
            ("h.:1", want("nats", "h.", "1")),
            ("10.1.2.3:5", want("nats", "10.1.2.3", "5")),
            ("nats://[::1]:5", want("nats", "[::1]", "5")),
            ("[fe80::1]", want("nats", "[fe80::1]", "4222")),
            ("h?x=y", want("nats", "h", "4222")),
            ("h:9#frag", want("nats", "h", "9")),
            ("h/?q", want("nats", "h", "4222")),
            ("h  \n", want("nats", "h", "4222")),
        ] {
            assert_eq!(parts(url), wanted, "{url}");
        }
    }

    #[test]
    fn credentials() {
        for (url, wanted) in [
            ("u:p@h", (some("u"), some("p"), None)),
            ("nats://u:p@h:1", (some("u"), some("p"), None)),
            ("t@h", (None, None, some("t"))),
            ("t:@h", (None, None, some("t"))),
            ("@h", (None, None, None)),
            (":p@h", (None, None, None)),
            (":@h", (None, None, None)),
            ("h", (None, None, None)),
            ("%41b:%2f@h", (some("%41b"), some("%2f"), None)),
            ("$_.+!*'(),;&=-:x@h", (some("$_.+!*'(),;&=-"), some("x"), None)),
        ] {
            assert_eq!(login(url), wanted, "{url}");
        }
    }

    #[test]
    fn what_is_invalid() {
        for url in [
            "",
            " ",
            "/",
            ":",
            "@",
            ":4222",
            "nats://",
            "tls://",
            "NATS://h",
            "WS://h",
            "ws://h/path",
            "http://h",
            "nats:h",
            "://h",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[]",
            "[h]",
            "h:-1",
            "h:2a20",
            "h: 1",
            "h:1:2",
            "under_score",
            ".h",
            "a..b",
            "h..",
            ".",
            "-h",
            "h-",
            "a.-b",
            " h",
            "h/path",
            "h//",
            "h/x?y",
            "hö",
            "u:p:q@h",
            "u@v@h",
            "u:p@",
            "u/x:p@h",
            "u~:p@h",
            "u^@h",
            "u x:p@h",
            "ö:p@h",
            "u:%4@h",
            "u:%zz@h",
            "u?x:p@h",
            "u:p?x@h",
            "u#x@h",
            "a,b",
            "nats://a:1,nats://b:2",
            "a:1,b:2",
            "{h}",
            "nats://nats://h",
        ] {
            let error = ServerEntry::parse(url).expect_err(url);
            assert_eq!(error.kind, Kind::InvalidArg, "{url}");
            assert_eq!(error.message, format!("Invalid URL {url}"));
        }
    }

    #[test]
    fn addresses_compare_ports_as_numbers() {
        let entry = |url: &str| ServerEntry::parse(url).expect(url);
        assert!(entry("h:4222").same_address(&entry("tls://u:p@h:04222")));
        assert!(!entry("h:4222").same_address(&entry("H:4222")));
        assert!(!entry("h:4222").same_address(&entry("h:4223")));
        assert!(!entry("h:1").same_url(&entry("h:01")));
        assert_eq!(entry("[::1]:5").bare_host(), "::1");
        assert_eq!(entry("h:99999").port_number(), None);
    }
}
