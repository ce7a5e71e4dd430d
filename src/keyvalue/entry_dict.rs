//! Entries as Tcl has them.

use super::entry::{Entry, Operation};
use super::headers::EntryHeaders;
use crate::jetstream::context::JetStream;
use crate::tcl::Obj;

/// The words and key names of entry dicts, made once for many entries.
pub struct EntryWords {
    bucket: Obj,
    keys: [Obj; 7],
    ttl: Obj,
    header: Obj,
    operations: [Obj; 3],
}

impl EntryWords {
    pub fn new(bucket: &str) -> EntryWords {
        EntryWords {
            bucket: Obj::new(bucket),
            keys: ["bucket", "key", "value", "revision", "created", "delta", "operation"]
                .map(Obj::new),
            ttl: Obj::new("ttl"),
            header: Obj::new("header"),
            operations: [Operation::Put, Operation::Delete, Operation::Purge]
                .map(|operation| Obj::new(operation.name())),
        }
    }

    fn operation(&self, operation: Operation) -> &Obj {
        let [put, delete, purge] = &self.operations;
        match operation {
            Operation::Put => put,
            Operation::Delete => delete,
            Operation::Purge => purge,
        }
    }

    /// The dict of an entry.
    pub fn dict(&self, entry: &Entry, key: &Obj, value: &Obj) -> Obj {
        self.dict_with(entry, key, value, entry.delta)
    }

    /// The same with another number of entries behind it.
    pub fn dict_with(&self, entry: &Entry, key: &Obj, value: &Obj, delta: u64) -> Obj {
        let [k_bucket, k_key, k_value, k_revision, k_created, k_delta, k_operation] = &self.keys;
        let revision = Obj::uint(entry.revision);
        let created = Obj::int(entry.created_ms);
        let delta = Obj::uint(delta);
        let operation = self.operation(entry.operation);
        let words = [
            k_bucket,
            &self.bucket,
            k_key,
            key,
            k_value,
            value,
            k_revision,
            &revision,
            k_created,
            &created,
            k_delta,
            &delta,
            k_operation,
            operation,
        ];
        let ttl = entry.lifetime.map(|lifetime| Obj::int(lifetime.ms()));
        let header = entry.headers.as_deref().map(header_dict);
        match (&ttl, &header) {
            (None, None) => Obj::list_of(words),
            (Some(ttl), None) => longer(words, [&self.ttl, ttl]),
            (None, Some(header)) => longer(words, [&self.header, header]),
            (Some(ttl), Some(header)) => longer(words, [&self.ttl, ttl, &self.header, header]),
        }
    }
}

fn longer<const N: usize>(words: [&Obj; 14], more: [&Obj; N]) -> Obj {
    let words: Vec<Obj> = words.into_iter().chain(more).cloned().collect();
    Obj::list(&words)
}

/// Name → list of values, as in messages.
fn header_dict(headers: &EntryHeaders) -> Obj {
    let mut words = Vec::new();
    for (name, values) in headers.iter() {
        let values: Vec<Obj> = values.iter().map(|value| Obj::new(value)).collect();
        words.push(Obj::new(name));
        words.push(Obj::list(&values));
    }
    Obj::list(&words)
}

/// The value of an entry as the connection's `-utf8_convert` wants it now.
pub fn value_obj(js: &JetStream, entry: &Entry) -> Obj {
    match js.connection.utf8_convert() {
        true => Obj::from_encoded(entry.value()),
        false => Obj::from_bytes(entry.value()),
    }
}
