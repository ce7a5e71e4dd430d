//! Messages: those that came in, those that go out, and their headers.

use async_nats::Subject;
use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use async_nats::message::OutboundMessage;
use bytes::Bytes;

use crate::error::{Error, Kind, Result};

/// A message from the server.
#[derive(Clone, Debug)]
pub struct Message(async_nats::Message);

impl Message {
    pub(super) fn new(inner: async_nats::Message) -> Message {
        Message(inner)
    }

    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    pub fn reply(&self) -> Option<&str> {
        self.0.reply.as_deref()
    }

    /// The body. It is a slice of the read buffer, so whoever keeps the message keeps up to 64 KiB.
    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// The body itself, which is not copied.
    pub fn into_payload(self) -> Bytes {
        self.0.payload
    }

    /// Bytes of subject, reply, header and payload.
    pub fn size(&self) -> usize {
        let reply = self.0.reply.as_ref().map_or(0, |reply| reply.len());
        let rest = self.0.subject.len() + reply + self.0.payload.len();
        // The engine counts the header with it, of what it has read itself.
        rest.max(self.0.length)
    }

    /// Whether a server reports that nobody is there. Old ones also pass on what a publisher has stored
    /// with such a status; a body, or its place in a stream, tells.
    pub(super) fn says_nobody(&self) -> bool {
        self.status() == Some(503)
            && self.payload().is_empty()
            && self.header("Nats-Sequence").is_none()
    }

    /// The number of a status message, e.g. 503.
    pub fn status(&self) -> Option<u16> {
        self.0.status.map(|status| status.as_u16())
    }

    /// The text after the status number.
    pub fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// The first value of a header; names are compared exactly.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.values(name)?.first().map(HeaderValue::as_str)
    }

    /// The last value of a header: that of the server, which puts its own behind those of the publisher.
    pub fn last_header(&self, name: &str) -> Option<&str> {
        self.values(name)?.last().map(HeaderValue::as_str)
    }

    fn values(&self, name: &str) -> Option<&[HeaderValue]> {
        let mut all = self.0.headers.as_ref()?.iter();
        let (_, values) = all.find(|(known, _)| AsRef::<str>::as_ref(*known) == name)?;
        Some(values)
    }

    /// All headers with their values, in no particular order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, impl DoubleEndedIterator<Item = &str>)> {
        let fields = self.0.headers.iter().flat_map(HeaderMap::iter);
        fields.map(|(name, values)| (name.as_ref(), values.iter().map(HeaderValue::as_str)))
    }

    pub(super) fn inner(&self) -> &async_nats::Message {
        &self.0
    }

    pub(super) fn into_inner(self) -> async_nats::Message {
        self.0
    }
}

/// Headers of an outgoing message, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Adds one value; a name may come several times.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds one value unless no message can be sent with it.
    pub fn push_if_valid(&mut self, name: &str, value: &str) {
        if name.parse::<HeaderName>().is_ok() && value.parse::<HeaderValue>().is_ok() {
            self.push(name, value);
        }
    }

    /// Gives a name this value and no other.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(known, _)| known != name);
        self.push(name, value);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, as they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The bytes of the header block: `NATS/1.0`, a line for each value, an empty line.
    fn wire_len(&self) -> usize {
        if self.0.is_empty() {
            return 0;
        }
        let line = |(name, value): (&str, &str)| match name.trim().len() {
            0 => 0,
            length => length + value.trim().len() + ": \r\n".len(),
        };
        "NATS/1.0\r\n\r\n".len() + self.iter().map(line).sum::<usize>()
    }

    /// The engine's form. Names and values are trimmed, a name that is empty then is left out.
    fn into_map(self) -> Result<Option<HeaderMap>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut map = HeaderMap::new();
        for (name, value) in self.0 {
            let name = name.trim();
            if name.is_empty() {
                continue;
            }
            let key: HeaderName =
                name.parse().map_err(|_| Error::invalid(format!("Invalid header name {name}")))?;
            let value: HeaderValue = value
                .trim()
                .parse()
                .map_err(|_| Error::invalid(format!("Invalid value of the header {name}")))?;
            map.append(key, value);
        }
        Ok(Some(map))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Headers {
        Headers(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// A message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub subject: Subject,
    pub reply: Option<Subject>,
    pub headers: Headers,
    pub payload: Bytes,
    /// Whether it may be refused because too much waits to be sent: a message of the program, rather
    /// than one without which something stops.
    pub refusable: bool,
}

impl Outgoing {
    pub fn new(subject: impl Into<Subject>, payload: impl Into<Bytes>) -> Outgoing {
        Outgoing {
            subject: subject.into(),
            reply: None,
            headers: Headers::new(),
            payload: payload.into(),
            refusable: false,
        }
    }

    /// Refuses a size that a server ends the connection over, and the text of a subject that could
    /// become protocol. `max_payload` is what the server takes, headers included.
    pub(super) fn check(&self, max_payload: usize) -> Result<()> {
        if self.payload.len() + self.headers.wire_len() > max_payload {
            return Err(Error::too_large(max_payload));
        }
        check_subject("subject", &self.subject)?;
        if let Some(reply) = &self.reply {
            check_subject("reply", reply)?;
        }
        check_line(self.subject.len() + self.reply.as_ref().map_or(0, |reply| reply.len()))
    }

    /// The engine's form, after these checks and those of the headers.
    pub(super) fn into_wire(self, max_payload: usize) -> Result<OutboundMessage> {
        self.check(max_payload)?;
        Ok(OutboundMessage {
            subject: self.subject,
            reply: self.reply,
            headers: self.headers.into_map()?,
            payload: self.payload,
        })
    }
}

/// Refuses what would break the protocol line: an empty word, blanks and control characters.
/// The finer rules for subjects belong to the caller.
pub(super) fn check_subject(what: &str, subject: &str) -> Result<()> {
    if is_word(subject) {
        return Ok(());
    }
    Err(Error::new(Kind::BadSubject, format!("Invalid {what} {subject}")))
}

/// The subjects of one line of the protocol, in bytes: what a server takes unless it is told
/// otherwise (`max_control_line`, 4096, which it does not publish) without the line's numbers.
const LONGEST: usize = 4096 - 64;

/// Refuses what would make a server end the connection; a subscription would even do so again after
/// each reconnect.
pub(super) fn check_line(length: usize) -> Result<()> {
    if length <= LONGEST {
        return Ok(());
    }
    let text =
        format!("Invalid subject: {length} bytes are more than the {LONGEST} of a protocol line");
    Err(Error::new(Kind::BadSubject, text))
}

/// One non-empty word of the protocol.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c > b' ' && c != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::PackedMessage;

    #[test]
    fn text_that_would_become_protocol_is_refused() {
        for subject in ["", "a b", "a\r\nPUB x 0", "a\tb", "a\0"] {
            let error = Outgoing::new(subject, "").into_wire(usize::MAX).expect_err(subject);
            assert_eq!(error.kind, Kind::BadSubject);
            assert_eq!(error.message, format!("Invalid subject {subject}"));
        }
        let reply = Outgoing { reply: Some("a b".into()), ..Outgoing::new("a", "") };
        assert_eq!(reply.into_wire(usize::MAX).expect_err("reply").message, "Invalid reply a b");
        for (name, value) in [("a b", "x"), ("a:b", "x"), ("ä", "x"), ("a", "x\r\ny: z")] {
            let headers = Headers::from_iter([(name, value)]);
            let error = Outgoing { headers, ..Outgoing::new("a", "") }.into_wire(usize::MAX);
            assert_eq!(error.expect_err(name).kind, Kind::InvalidArg);
        }
    }

    #[test]
    fn the_limit_counts_headers_as_they_are_sent() {
        for (headers, length) in [
            (&[][..], 0),
            (&[("A", "b")], 18),
            (&[(" A ", " b ")], 18),
            (&[("A", "b"), ("A", ""), (" ", "lost")], 23),
        ] {
            let out = Outgoing {
                headers: headers.iter().copied().collect(),
                ..Outgoing::new("s", "xyz")
            };
            let limit = length + 3;
            assert!(out.clone().into_wire(limit).is_ok(), "{headers:?}");
            let error = out.into_wire(limit - 1).expect_err("too large");
            assert_eq!(error.kind, Kind::MaxPayload);
            assert_eq!(error.message, format!("Maximum size of NATS message is {}", limit - 1));
        }
    }

    #[test]
    fn headers_reach_the_engine_trimmed() {
        let headers = Headers::from_iter([(" K ", " v1 "), ("K", "v2"), (" ", "lost"), ("E", "")]);
        let out = Outgoing { headers, ..Outgoing::new("s", "x") };
        let wire = out.into_wire(usize::MAX).expect("good");
        let message = Message::new(async_nats::Message {
            subject: wire.subject,
            reply: wire.reply,
            payload: wire.payload,
            headers: wire.headers,
            status: None,
            description: None,
            length: 0,
        });
        assert_eq!((message.header("K"), message.last_header("K")), (Some("v1"), Some("v2")));
        assert_eq!(message.header("k"), None);
        let message = PackedMessage::new(message);
        let read: Vec<(&str, Vec<&str>)> =
            message.headers().map(|(name, values)| (name, values.collect())).collect();
        assert_eq!(read, [("E", vec![""]), ("K", vec!["v1", "v2"])]);
    }
}
