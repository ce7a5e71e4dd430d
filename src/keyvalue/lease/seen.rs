//! What a key has, and whose it is.

use crate::keyvalue::entry::Operation;
use crate::keyvalue::headers::HeaderSource;
use crate::keyvalue::lifetime::{self, Lifetime};
use std::time::Duration;

/// The header that says who has written a value. Servers know it as a message's own name, and other
/// clients do not show it.
pub const WRITER: &str = "Nats-Msg-Id";
/// The header of the server's own deletions, and what it says of a value that has expired.
const MARKER: &str = "Nats-Marker-Reason";
const EXPIRED: &str = "MaxAge";

/// Tells what one claim has written from what others have.
#[derive(Clone, Debug)]
pub struct Identity(String);

impl Identity {
    pub fn new(name: String) -> Identity {
        Identity(name)
    }

    /// What a write of ours is called.
    pub fn of_write(&self, number: u64) -> String {
        format!("{}.{number}", self.0)
    }

    /// The number of a write, if it is ours.
    fn number(&self, writer: &str) -> Option<u64> {
        writer.strip_prefix(&*self.0)?.strip_prefix('.')?.parse().ok()
    }
}

/// The last message of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// 0 if there is none.
    pub revision: u64,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing, or a deletion. `expired`: the server has removed the value in its time.
    Gone {
        expired: bool,
    },
    /// Our write of this number.
    Ours(u64),
    Others(Holder),
}

/// Who has a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The same for all that one lease or candidate writes; others may write without it.
    pub writer: Option<Box<str>>,
    pub value: Vec<u8>,
    /// For how long, if he does not renew it; `None` is for ever.
    pub ttl: Option<Duration>,
}

impl Holder {
    /// Whether it is the same one.
    pub fn is(&self, other: &Holder) -> bool {
        match (&self.writer, &other.writer) {
            (Some(one), Some(other)) => one == other,
            (None, None) => self.value == other.value,
            _ => false,
        }
    }
}

impl Seen {
    /// There is no message.
    pub const NOTHING: Seen = Seen { revision: 0, content: Content::Gone { expired: false } };

    pub fn read(
        identity: &Identity,
        revision: u64,
        headers: &(impl HeaderSource + ?Sized),
        value: &[u8],
    ) -> Seen {
        if Operation::of(headers).deletes() {
            let expired = headers.first(MARKER) == Some(EXPIRED);
            return Seen { revision, content: Content::Gone { expired } };
        }
        let writer = headers.first(WRITER);
        if let Some(number) = writer.and_then(|writer| identity.number(writer)) {
            return Seen { revision, content: Content::Ours(number) };
        }
        let ttl = headers.first(lifetime::HEADER).and_then(Lifetime::of_header);
        let holder = Holder {
            writer: writer
                .map(|writer| writer.rsplit_once('.').map_or(writer, |(name, _)| name).into()),
            value: value.to_vec(),
            ttl: ttl.and_then(|ttl| u64::try_from(ttl.ms()).ok()).map(Duration::from_millis),
        };
        Seen { revision, content: Content::Others(holder) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Content {
        Seen::read(&Identity::new("me".to_owned()), 7, fields, b"v").content
    }

    #[test]
    fn whose_it_is() {
        assert_eq!(read(&[(WRITER, "me.12")]), Content::Ours(12));
        for (fields, writer, ttl) in [
            (&[][..], None, None),
            (&[(WRITER, "you.1"), ("Nats-TTL", "2s")], Some("you"), Some(2000)),
            (&[(WRITER, "me"), ("Nats-TTL", "never")], Some("me"), None),
            (&[(WRITER, "me.x")], Some("me"), None),
            (&[(WRITER, "met.1")], Some("met"), None),
        ] {
            let Content::Others(holder) = read(fields) else { panic!("{fields:?}") };
            assert_eq!(holder.writer.as_deref(), writer);
            assert_eq!(holder.ttl, ttl.map(Duration::from_millis));
            assert_eq!(holder.value, b"v");
        }
    }

    #[test]
    fn deletions() {
        for (fields, expired) in [
            ([("KV-Operation", "DEL")], false),
            ([("KV-Operation", "PURGE")], false),
            ([(MARKER, "Remove")], false),
            ([(MARKER, EXPIRED)], true),
        ] {
            assert_eq!(read(&fields), Content::Gone { expired });
        }
        let own = [("KV-Operation", "PURGE"), (WRITER, "me.3")];
        assert_eq!(read(&own), Content::Gone { expired: false });
    }

    #[test]
    fn the_same_holder() {
        let holder = |writer: Option<&str>, value: &str| Holder {
            writer: writer.map(Into::into),
            value: value.into(),
            ttl: None,
        };
        assert!(holder(Some("a"), "1").is(&holder(Some("a"), "2")));
        assert!(!holder(Some("a"), "1").is(&holder(Some("b"), "1")));
        assert!(holder(None, "1").is(&holder(None, "1")));
        assert!(!holder(None, "1").is(&holder(None, "2")));
        assert!(!holder(None, "1").is(&holder(Some("a"), "1")));
    }
}
