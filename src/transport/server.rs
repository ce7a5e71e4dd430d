//! One server of the pool: its URL syntax and what is remembered about it.

use std::fmt;
use std::net::Ipv6Addr;

use crate::error::{Error, Result};
use crate::mask::masked;

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
    /// What a WebSocket asks for behind the port: empty, or a path with its query.
    pub path: String,
}

impl fmt::Debug for ServerEntry {
    /// Leaves out the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerEntry { scheme, reconnects, .. } = self;
        write!(f, "{scheme}://{} ({reconnects})", self.address())
    }
}

impl ServerEntry {
    /// Reads `[nats://|tls://|ws://|wss://][user[:password]@]host[:port][/]`; behind the port of a
    /// WebSocket may stand a path.
    ///
    /// # Errors
    /// `ErrInvalidArg`, `Invalid URL <url>`, without what may be a secret.
    pub fn parse(url: &str) -> Result<ServerEntry> {
        read(url).ok_or_else(|| invalid(url))
    }

    /// Reads one URL, or several with commas between them. What is a URL as a whole is one: user and
    /// password may have commas, and keep them.
    ///
    /// # Errors
    /// As [`ServerEntry::parse`], with the whole text.
    pub fn parse_all(urls: &str) -> Result<Vec<ServerEntry>> {
        if let Some(entry) = read(urls) {
            return Ok(vec![entry]);
        }
        if !urls.contains(',') {
            return Err(invalid(urls));
        }
        let mut entries = Vec::new();
        let mut rest = urls;
        while !rest.is_empty() {
            let (url, after) = first_url(rest);
            rest = after;
            if !url.is_empty() {
                entries.push(read(url).ok_or_else(|| invalid(urls))?);
            }
        }
        Ok(entries)
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
            && self.path == other.path
    }
}

/// The first of several URLs, without the blanks around it, and what follows its comma. A comma that
/// stands before an `@` is part of user and password, if that makes a URL.
fn first_url(urls: &str) -> (&str, &str) {
    let (mut end, rest) = urls.split_once(',').map_or((urls.len(), ""), |(url, _)| {
        let end = url.len();
        (end, &urls[end + 1..])
    });
    if let Some(at) = urls.find('@').filter(|at| *at > end) {
        let longer = urls[at..].find(',').map_or(urls.len(), |comma| at + comma);
        if read(urls[..longer].trim()).is_some() {
            end = longer;
            return (urls[..end].trim(), urls.get(end + 1..).unwrap_or_default());
        }
    }
    (urls[..end].trim(), rest)
}

fn invalid(url: &str) -> Error {
    Error::invalid(format!("Invalid URL {}", masked(url))).with_hint(
        "wanted is [nats://|tls://|ws://|wss://][user:password@|token@]host[:port], \
         in user, password and token %XX for other characters",
    )
}

fn read(url: &str) -> Option<ServerEntry> {
    let url = url.trim_end();
    let (scheme, rest) = match url.split_once("://") {
        Some((other, _)) if other.contains(['/', '?', '#']) => ("nats", url),
        Some(split) => split,
        None => ("nats", url),
    };
    let usual_port = SCHEMES.iter().find(|(known, _)| *known == scheme)?.1;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    // Before an `@`, `/`, `?` and `#` would silently turn a user into a host.
    if behind.contains('@') {
        return None;
    }
    let behind = behind.split('#').next().unwrap_or_default();
    let path = match scheme {
        "ws" | "wss" if is_path(behind) => Some(behind).filter(|path| *path != "/").unwrap_or(""),
        "ws" | "wss" => return None,
        // Elsewhere `?` ends the URL.
        _ => match behind.split('?').next() {
            Some("" | "/") => "",
            _ => return None,
        },
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
    let some = |text: &str| Some(decoded(text));
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
        path: path.to_owned(),
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

/// A DNS name or a dotted IPv4 address; a trailing dot is fine, and so are the underscores that
/// containers and service records have in their names: whether there is such a host the resolver
/// says.
fn is_host(host: &str) -> bool {
    host.strip_suffix('.').unwrap_or(host).split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// Letters, digits and some punctuation.
fn is_credential(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || b"$_.+!*'(),;&=-%".contains(&c))
}

/// What a request for a WebSocket may name: nothing that would end it, or the URL among others.
fn is_path(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_graphic() && !br#"",<>\^`{|}"#.contains(&c))
}

/// A part of user and password with each `%XX` as the byte that it stands for. A `%` without two
/// hexadecimal digits is one; and so is each of them if the result would be no text.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|c| char::from(*c).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
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
            ("_nats._tcp.my_host_:1", want("nats", "_nats._tcp.my_host_", "1")),
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
            ("%41b:%2f@h", (some("Ab"), some("/"), None)),
            ("dev%20team:p%40ss%2Fw%3Ard%231@h", (some("dev team"), some("p@ss/w:rd#1"), None)),
            ("%C3%A4:%25@h", (some("ä"), some("%"), None)),
            ("t%3Ak@h", (None, None, some("t:k"))),
            // What is no escape, and what is no text.
            ("5%:%zz%4@h", (some("5%"), some("%zz%4"), None)),
            ("%FF%41:%e4@h", (some("%FF%41"), some("%e4"), None)),
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
            "ws://h/a b",
            "ws://h/ä",
            "ws://u/x:p@h",
            "ws://h/p@th",
            "ws://h?a@b",
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
            "u?x:p@h",
            "u:p?x@h",
            "u#x@h",
            "a,b",
            "nats://a:1,nats://b:2",
            "a:1,b:2",
            "%@h%",
            "{h}",
            "nats://nats://h",
        ] {
            let error = ServerEntry::parse(url).expect_err(url);
            assert_eq!(error.kind, Kind::InvalidArg, "{url}");
            assert_eq!(error.message, format!("Invalid URL {}", masked(url)));
        }
    }

    #[test]
    fn secrets_are_masked() {
        for (url, shown) in [
            ("nats://u:S3cret^@h:1", "nats://********@h:1"),
            ("u:S3cret^@h", "********@h"),
            ("tok#en@h", "********@h"),
            ("nats://u:p@ss@h", "nats://********@h"),
            ("nats:/u:p/w@h", "********@h"),
            ("u:p://x@h", "********@h"),
            ("HTTP://u:p@h/", "HTTP://********@h/"),
            ("nats://a,nats://u:p^@b,c", "nats://********@b,c"),
            ("http://h", "http://h"),
        ] {
            let error = ServerEntry::parse_all(url).expect_err(url);
            assert_eq!(error.message, format!("Invalid URL {shown}"));
        }
    }

    #[test]
    fn several_urls_with_commas() {
        for (urls, wanted) in [
            ("a,b:2", "nats://a:4222 nats://b:2"),
            ("nats://a:1, tls://b ,\tws://c/x,", "nats://a:1 tls://b:4222 ws://c:80/x"),
            (",", ""),
            ("u:p,q@a", "u/p,q@nats://a:4222"),
            ("u:p,q@a,b", "u/p,q@nats://a:4222 nats://b:4222"),
            ("nats://u:p,q@a, nats://t,u@b", "u/p,q@nats://a:4222 t,u@nats://b:4222"),
            ("a:1,nats://u:p@b", "nats://a:1 u/p@nats://b:4222"),
            ("a,b,nats://u:p@c", "nats://a:4222 nats://b:4222 u/p@nats://c:4222"),
        ] {
            let entries = ServerEntry::parse_all(urls).unwrap_or_else(|e| panic!("{urls}: {e}"));
            let shown = entries.iter().map(|e| {
                let login = match (&e.user, &e.password, &e.auth_token) {
                    (Some(user), Some(password), _) => format!("{user}/{password}@"),
                    (_, _, Some(token)) => format!("{token}@"),
                    _ => String::new(),
                };
                format!("{login}{}://{}{}", e.scheme, e.address(), e.path)
            });
            assert_eq!(shown.collect::<Vec<_>>().join(" "), wanted, "{urls}");
        }
        for urls in ["a,b c", "a,http://b", "a,-b"] {
            assert!(ServerEntry::parse_all(urls).is_err(), "{urls}");
        }
    }

    #[test]
    fn what_a_websocket_asks_for() {
        for (url, path) in [
            ("ws://h", ""),
            ("ws://h/", ""),
            ("ws://h:8080/nats", "/nats"),
            ("wss://u:p@h/a/b/", "/a/b/"),
            ("ws://h/a?x=y&z#f", "/a?x=y&z"),
            ("ws://h?x=y", "?x=y"),
            ("h?x=y", ""),
        ] {
            assert_eq!(ServerEntry::parse(url).expect(url).path, path, "{url}");
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
