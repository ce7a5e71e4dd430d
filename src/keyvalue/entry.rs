//! Entries: one revision of one key.

use serde_json::Value;

use super::bucket::Bucket;
use super::headers::{EntryHeaders, HeaderSource, is_reserved};
use super::lifetime::{self, Lifetime};
use crate::error::{Error, Kind, Result};
use crate::jetstream::messages::direct;
use crate::jetstream::metadata::Metadata;
use crate::jetstream::stored::StoredMessage;
use crate::rfc3339;
use crate::transport::Message;

const OPERATION: &str = "KV-Operation";
const REASON: &str = "Nats-Marker-Reason";

/// What an entry did to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Put,
    Delete,
    Purge,
}

impl Operation {
    /// Whether the key is gone after it.
    pub fn deletes(self) -> bool {
        self != Operation::Put
    }

    pub fn name(self) -> &'static str {
        match self {
            Operation::Put => "PUT",
            Operation::Delete => "DEL",
            Operation::Purge => "PURGE",
        }
    }

    /// Reads the headers of an entry. The server's own markers, left behind by limits and by TTLs,
    /// have a reason in place of an operation.
    pub fn of(headers: &(impl HeaderSource + ?Sized)) -> Self {
        Operation::said(headers.first(OPERATION), || headers.first(REASON))
    }

    fn said<'a>(operation: Option<&str>, reason: impl FnOnce() -> Option<&'a str>) -> Self {
        match operation {
            Some("DEL") => Operation::Delete,
            Some("PURGE") => Operation::Purge,
            Some(_) => Operation::Put,
            None => match reason() {
                Some("MaxAge" | "Purge") => Operation::Purge,
                Some("Remove") => Operation::Delete,
                _ => Operation::Put,
            },
        }
    }
}

/// One revision of a key. Key and value share one allocation: an entry is made for every message of
/// a watch.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    text: Box<[u8]>,
    key_len: usize,
    pub revision: u64,
    /// ms since the epoch, truncated.
    pub created_ms: i64,
    /// Messages still waiting behind this one; 0 in entries that were asked for one by one.
    pub delta: u64,
    pub operation: Operation,
    /// If it has one of its own.
    pub lifetime: Option<Lifetime>,
    /// Those of the program, if there are any.
    pub headers: Option<Box<EntryHeaders>>,
}

impl Entry {
    pub fn new(key: &str, value: &[u8], operation: Operation) -> Self {
        let value = if operation == Operation::Put { value } else { &[] };
        Entry {
            text: [key.as_bytes(), value].concat().into_boxed_slice(),
            key_len: key.len(),
            revision: 0,
            created_ms: 0,
            delta: 0,
            operation,
            lifetime: None,
            headers: None,
        }
    }

    /// What the headers of its message say of it.
    fn read(key: &str, value: &[u8], headers: &(impl HeaderSource + ?Sized)) -> Self {
        let entry = Entry::new(key, value, Operation::of(headers));
        let lifetime = headers.first(lifetime::HEADER).and_then(Lifetime::of_header);
        Entry { lifetime, headers: EntryHeaders::of(headers), ..entry }
    }

    pub fn key(&self) -> &str {
        // The front was copied from a &str, so there is always a text.
        self.text.get(..self.key_len).and_then(|key| std::str::from_utf8(key).ok()).unwrap_or("")
    }

    /// Empty for deletions, and for entries that were asked for without values.
    pub fn value(&self) -> &[u8] {
        self.text.get(self.key_len..).unwrap_or(&[])
    }

    /// From a message of a watch; `None` when its subject is none of this bucket.
    pub fn from_watch(
        bucket: &Bucket,
        subject: &str,
        meta: &Metadata<'_>,
        headers: &(impl HeaderSource + ?Sized),
        payload: &[u8],
    ) -> Option<Self> {
        let key = bucket.key_of(subject)?;
        Some(Entry {
            revision: meta.stream_seq,
            created_ms: meta.timestamp_ms(),
            delta: meta.pending,
            ..Entry::read(key, payload, headers)
        })
    }

    /// From the reply to a direct get, which is the message itself with four headers more, behind
    /// those of the same names that it may have from elsewhere.
    pub fn from_direct(
        bucket: &Bucket,
        key: &str,
        headers: &(impl HeaderSource + ?Sized),
        payload: &[u8],
    ) -> Result<Self> {
        let needed = |name: &str| {
            headers.last(name).ok_or_else(|| malformed(format!("Direct get reply without {name}")))
        };
        expect_key(bucket, key, needed("Nats-Subject")?)?;
        let sequence = needed("Nats-Sequence")?;
        let revision = sequence
            .parse()
            .map_err(|_| malformed(format!("Invalid sequence in direct get reply: {sequence}")))?;
        let created_ms = created(needed("Nats-Time-Stamp")?)?;
        Ok(Entry { revision, created_ms, ..Entry::read(key, payload, headers) })
    }

    /// From one of the replies to a direct get for many keys. Its headers are looked at once.
    pub fn from_reply(bucket: &Bucket, reply: &Message) -> Result<Self> {
        let [mut subject, mut sequence, mut time] = [None; 3];
        let [mut operation, mut reason, mut lives] = [None; 3];
        let mut more = false;
        for (name, mut values) in reply.headers() {
            match name {
                // The server's are the last ones.
                direct::SUBJECT => subject = values.next_back(),
                direct::SEQUENCE => sequence = values.next_back(),
                direct::TIME => time = values.next_back(),
                OPERATION => operation = values.next(),
                REASON => reason = values.next(),
                lifetime::HEADER => lives = values.next(),
                _ => more |= !is_reserved(name),
            }
        }
        let subject = direct::needed(subject, direct::SUBJECT)?;
        let key = bucket
            .key_of(subject)
            .ok_or_else(|| malformed(format!("Reply of another bucket: {subject}")))?;
        let operation = Operation::said(operation, || reason);
        Ok(Entry {
            revision: direct::sequence(direct::needed(sequence, direct::SEQUENCE)?)?,
            created_ms: created(direct::needed(time, direct::TIME)?)?,
            lifetime: lives.and_then(Lifetime::of_header),
            headers: if more { EntryHeaders::of(reply) } else { None },
            ..Entry::new(key, reply.payload(), operation)
        })
    }

    /// From the reply to a `STREAM.MSG.GET` request.
    pub fn from_stored(bucket: &Bucket, key: &str, reply: &Value) -> Result<Self> {
        let stored = StoredMessage::from_reply(reply)?;
        expect_key(bucket, key, &stored.subject)?;
        let created_ms = created(&stored.time)?;
        let entry = Entry::read(key, &stored.data, &stored);
        Ok(Entry { revision: stored.seq, created_ms, ..entry })
    }

    /// From a message of a watch that had to be read in this way; `None` as in [`Entry::from_watch`].
    pub fn from_stored_watch(
        bucket: &Bucket,
        stored: &StoredMessage,
        with_value: bool,
    ) -> Option<Self> {
        let key = bucket.key_of(&stored.subject)?;
        let created_ms = created(&stored.time).ok()?;
        let value = if with_value { stored.data.as_slice() } else { &[] };
        Some(Entry { revision: stored.seq, created_ms, ..Entry::read(key, value, stored) })
    }

    /// A key that has vanished without a message that says so. No revision of it is left, and 0 is
    /// what an update must expect to write it again.
    pub fn vanished(key: &str, now_ms: i64) -> Self {
        Entry { created_ms: now_ms, ..Entry::new(key, &[], Operation::Delete) }
    }

    /// `get` refuses what was deleted; `create` has to see it.
    pub fn not_deleted(self) -> Result<Self> {
        if self.operation == Operation::Put {
            return Ok(self);
        }
        Err(Error::about_key(Kind::KeyNotFound, "Key ", self.key(), " was deleted or purged"))
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (key, operation) = (self.key(), self.operation.name());
        write!(f, "{key} r{} +{} {operation}", self.revision, self.delta)
    }
}

/// `{NATS ErrKeyNotFound}` for a key that has no entry at all.
pub fn key_not_found(bucket: &str, key: &str) -> Error {
    Error::about_key(Kind::KeyNotFound, "Key ", key, &format!(" not found in bucket {bucket}"))
}

/// A revision belongs to exactly one key.
fn expect_key(bucket: &Bucket, key: &str, subject: &str) -> Result<()> {
    if bucket.key_of(subject) == Some(key) {
        return Ok(());
    }
    let text = format!("Expected {}, got {subject}", bucket.read_subject(key));
    Err(Error::new(Kind::KeyNotFound, text))
}

fn created(time: &str) -> Result<i64> {
    rfc3339::milliseconds(time).ok_or_else(|| malformed(format!("Invalid time in reply: {time}")))
}

fn malformed(text: String) -> Error {
    Error::new(Kind::Protocol, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    fn bucket() -> Bucket {
        let info = json!({"config": {"max_msgs_per_subject": 1}});
        Bucket::from_infos("B", &[info], "$JS.API").expect("a bucket")
    }

    const NONE: &[(&str, &str)] = &[];

    const META: Metadata<'static> = Metadata {
        stream: "KV_B",
        consumer: "C",
        delivered: 1,
        stream_seq: 9,
        consumer_seq: 1,
        timestamp_ns: 1_700_000_000_051_999_999,
        domain: "",
        pending: 4,
    };

    #[test]
    fn watch_entries() {
        for (fields, operation, value) in [
            (&[][..], Operation::Put, &b"v"[..]),
            (&[("KV-Operation", "PUT")], Operation::Put, b"v"),
            (&[("KV-Operation", "DEL")], Operation::Delete, b""),
            (&[("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")], Operation::Purge, b""),
            (&[("Nats-Marker-Reason", "MaxAge")], Operation::Purge, b""),
            (&[("Nats-Marker-Reason", "Purge")], Operation::Purge, b""),
            (&[("Nats-Marker-Reason", "Remove")], Operation::Delete, b""),
            (&[("Nats-Marker-Reason", "Else")], Operation::Put, b"v"),
        ] {
            let entry =
                Entry::from_watch(&bucket(), "$KV.B.a.b", &META, fields, b"v").expect("an entry");
            assert_eq!((entry.key(), entry.value()), ("a.b", value), "{fields:?}");
            assert_eq!(entry.operation, operation);
            assert_eq!((entry.revision, entry.delta), (9, 4));
            assert_eq!(entry.created_ms, 1_700_000_000_051);
        }
        let expiring = [("Nats-TTL", "2m"), ("A", "b")];
        let entry = Entry::from_watch(&bucket(), "$KV.B.a", &META, &expiring[..], b"v");
        let lifetime = entry.and_then(|entry| entry.lifetime).map(Lifetime::ms);
        assert_eq!(lifetime, Some(120_000));
        let foreign = Entry::from_watch(&bucket(), "$KV.C.a", &META, NONE, b"v");
        assert_eq!(foreign, None);
    }

    #[test]
    fn direct_get() {
        let fields = [
            ("Nats-Subject", "$KV.B.k"),
            ("Nats-Sequence", "12"),
            ("Nats-Time-Stamp", "2026-11-22T17:04:03.051999Z"),
            ("KV-Operation", "DEL"),
        ];
        let entry = Entry::from_direct(&bucket(), "k", &fields[..], b"").expect("an entry");
        assert_eq!((entry.revision, entry.delta), (12, 0));
        assert_eq!(entry.created_ms, 1_795_367_043_051);
        let error = entry.not_deleted().expect_err("deleted");
        assert_eq!(error.kind, Kind::KeyNotFound);
        assert_eq!(error.message, "Key k was deleted or purged");

        let entry = Entry::from_direct(&bucket(), "k", &fields[..3], b"\0\xff");
        assert_eq!(entry.and_then(Entry::not_deleted).expect("an entry").value(), b"\0\xff");

        let error = Entry::from_direct(&bucket(), "x", &fields[..], b"").expect_err("other");
        assert_eq!(error.kind, Kind::KeyNotFound);
        assert_eq!(error.message, "Expected $KV.B.x, got $KV.B.k");
        for missing in 0..3 {
            let mut fields = fields.to_vec();
            fields.remove(missing);
            let error = Entry::from_direct(&bucket(), "k", &fields[..], b"");
            assert_eq!(error.expect_err("malformed").kind, Kind::Protocol);
        }
    }

    #[test]
    fn direct_get_of_what_was_republished() {
        let fields = [
            ("Nats-Subject", "elsewhere"),
            ("Nats-Sequence", "999"),
            ("Nats-Time-Stamp", "nonsense"),
            ("X", "y"),
            ("Nats-Subject", "$KV.B.k"),
            ("Nats-Sequence", "12"),
            ("Nats-Time-Stamp", "2026-11-22T17:04:03.051999Z"),
        ];
        let entry = Entry::from_direct(&bucket(), "k", &fields[..], b"v").expect("an entry");
        assert_eq!((entry.revision, entry.created_ms), (12, 1_795_367_043_051));
        let headers = entry.headers.expect("headers");
        assert_eq!(headers.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["X"]);
    }

    #[test]
    fn message_get() {
        let reply = |hdrs: &str| {
            json!({"message": {"subject": "$KV.B.k", "seq": 3, "data": STANDARD.encode("val"),
                "hdrs": STANDARD.encode(hdrs), "time": "2026-11-22T17:04:03Z"}})
        };
        let entry = Entry::from_stored(&bucket(), "k", &reply("")).expect("an entry");
        assert_eq!((entry.key(), entry.value()), ("k", &b"val"[..]));
        assert_eq!((entry.revision, entry.created_ms), (3, 1_795_367_043_000));
        let purge = reply("NATS/1.0\r\nKV-Operation: PURGE\r\nNats-Rollup: sub\r\n\r\n");
        let entry = Entry::from_stored(&bucket(), "k", &purge).expect("an entry");
        assert_eq!((entry.operation, entry.value()), (Operation::Purge, &b""[..]));
        assert!(Entry::from_stored(&bucket(), "other", &purge).is_err());
        assert_eq!(key_not_found("B", "k").message, "Key k not found in bucket B");
    }

    #[test]
    fn empty_value_and_long_key() {
        let subject = format!("$KV.B.{}", "k".repeat(5000));
        let entry = Entry::from_watch(&bucket(), &subject, &META, NONE, b"").expect("entry");
        assert_eq!(entry.key().len(), 5000);
        assert!(entry.value().is_empty());
    }
}
