//! A message that may be kept: one block of its own instead of a piece of the read buffer.

use async_nats::{HeaderMap, HeaderValue};

use super::message::Message;

/// A message from the server, on its way to whoever takes it later. A kept [`Message`] would keep
/// up to 64 KiB of the read buffer with it.
#[derive(Debug)]
pub struct PackedMessage {
    /// Subject, reply and payload, one behind the other.
    block: Box<[u8]>,
    subject: u32,
    reply: Option<u32>,
    size: u32,
    head: Option<Box<Head>>,
}

#[derive(Debug)]
struct Head {
    status: Option<u16>,
    description: Option<Box<str>>,
    map: HeaderMap,
}

/// Nothing in a message is longer than what its protocol line can say.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl PackedMessage {
    pub fn new(message: Message) -> PackedMessage {
        let size = message.size();
        let mut inner = message.into_inner();
        let map = inner.headers.take();
        PackedMessage::pack(&inner, size, map)
    }

    /// Copies a message that others still need.
    pub fn copy(message: &Message) -> PackedMessage {
        let inner = message.inner();
        PackedMessage::pack(inner, message.size(), inner.headers.clone())
    }

    fn pack(inner: &async_nats::Message, size: usize, map: Option<HeaderMap>) -> PackedMessage {
        let (subject, reply) = (inner.subject.as_bytes(), inner.reply.as_ref());
        let reply_bytes = reply.map_or(&b""[..], |reply| reply.as_bytes());
        let mut block = Vec::with_capacity(subject.len() + reply_bytes.len() + inner.payload.len());
        block.extend_from_slice(subject);
        block.extend_from_slice(reply_bytes);
        block.extend_from_slice(&inner.payload);
        let (subject, reply) = (length(subject.len()), reply.map(|_| length(reply_bytes.len())));
        let head = (map.is_some() || inner.status.is_some()).then(|| {
            Box::new(Head {
                status: inner.status.map(|status| status.as_u16()),
                description: inner.description.as_deref().map(Into::into),
                map: map.unwrap_or_default(),
            })
        });
        PackedMessage { block: block.into_boxed_slice(), subject, reply, size: length(size), head }
    }

    #[cfg(test)]
    pub fn of(subject: &str, payload: &[u8]) -> PackedMessage {
        let block = [subject.as_bytes(), payload].concat().into_boxed_slice();
        let size = length(block.len());
        PackedMessage { block, subject: length(subject.len()), reply: None, size, head: None }
    }

    fn part(&self, from: usize, to: usize) -> &[u8] {
        self.block.get(from..to).unwrap_or_default()
    }

    pub fn subject(&self) -> &[u8] {
        self.part(0, self.subject as usize)
    }

    pub fn reply(&self) -> Option<&[u8]> {
        let from = self.subject as usize;
        self.reply.map(|length| self.part(from, from + length as usize))
    }

    pub fn payload(&self) -> &[u8] {
        self.part(self.subject as usize + self.reply.unwrap_or(0) as usize, self.block.len())
    }

    /// Bytes of subject, reply, header and payload.
    pub fn len(&self) -> usize {
        self.size as usize
    }

    /// Whether there is a header at all, be it only a status line.
    pub fn has_header(&self) -> bool {
        self.head.is_some()
    }

    /// The number of a status message, e.g. 503.
    pub fn status(&self) -> Option<u16> {
        self.head.as_ref()?.status
    }

    /// The text after the status number.
    pub fn description(&self) -> Option<&str> {
        self.head.as_ref()?.description.as_deref()
    }

    /// All headers with their values; names are sorted, since the engine forgets their order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        let map = self.head.as_ref().map(|head| &head.map);
        let mut all: Vec<(&str, _)> = map
            .into_iter()
            .flat_map(HeaderMap::iter)
            .map(|(n, values)| (n.as_ref(), values))
            .collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all.into_iter().map(|(name, values)| (name, values.iter().map(HeaderValue::as_str)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_has_the_header_in_it() {
        let message = |length| {
            Message::new(async_nats::Message {
                subject: "s".into(),
                reply: Some("r".into()),
                payload: "xyz".into(),
                headers: None,
                status: None,
                description: None,
                length,
            })
        };
        // What the engine has read has its length; what we make ourselves may have none.
        for (length, size) in [(0, 5), (5, 5), (505, 505)] {
            assert_eq!(message(length).size(), size);
            assert_eq!(PackedMessage::new(message(length)).len(), size);
        }
    }
}
