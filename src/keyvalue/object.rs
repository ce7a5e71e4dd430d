//! `nats::key_value`: the object and its commands.

use super::bucket::{self, Bucket};
use super::entry::{Entry, Operation};
use super::names::check_key;
use super::store::{self, Store};
use super::{gather, watcher};
use crate::bridge;
use crate::error::{Error, Kind};
use crate::jetstream::context::JetStream;
use crate::jetstream::stream;
use crate::json;
use crate::options::{self, Type};
use crate::subject;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Dict, Interp, Method, Native, Obj, ObjectHandle, Result, Return, oo};
use crate::transport::Headers;
use bytes::Bytes;
use std::rc::Rc;
use std::sync::Arc;

pub struct KeyValue {
    handle: ObjectHandle,
    pub js: Rc<JetStream>,
    pub bucket: Arc<Bucket>,
}

impl KeyValue {
    pub fn store(&self) -> crate::error::Result<Store> {
        Ok(Store {
            link: self.js.connection.link()?,
            prefix: self.js.prefix.as_str().into(),
            timeout: self.js.timeout(),
            bucket: self.bucket.clone(),
        })
    }

    /// The payload of a value, if the server takes it, and the store to write it to.
    fn writing(&self, key: &str, value: &Obj) -> Result<(Store, Bytes)> {
        check_key(key)?;
        let store = self.store()?;
        let connection = &self.js.connection;
        let payload = connection.payload(value)?;
        subject::check_publish(&self.bucket.write_subject(key))?;
        Ok((store, payload))
    }

    /// The result of a write of several steps, which may all have ended with the connection.
    fn written(&self, revision: crate::error::Result<u64>) -> Result<Return> {
        let revision = revision.map_err(|error| self.js.connection.ended(error))?;
        Ok(Obj::int(revision as i64).into())
    }
}

impl Native for KeyValue {
    fn gone(&self) {
        self.js.release(&self.handle);
    }
}

/// Makes the object of a bucket and returns its command.
pub fn create(interp: Interp<'_>, js: &Rc<JetStream>, bucket: Bucket) -> Result<Obj> {
    let kv = oo::instantiate(interp, "::nats::key_value", |handle| {
        Rc::new(KeyValue { handle, js: js.clone(), bucket: Arc::new(bucket) })
    })?;
    js.adopt(interp, &kv.handle)?;
    Ok(kv.handle.command(interp))
}

/// The words and key names of entry dicts, made once for many entries.
pub struct EntryWords {
    bucket: Obj,
    keys: [Obj; 7],
    operations: [Obj; 3],
}

impl EntryWords {
    pub fn new(bucket: &str) -> EntryWords {
        EntryWords {
            bucket: Obj::new(bucket),
            keys: ["bucket", "key", "value", "revision", "created", "delta", "operation"]
                .map(Obj::new),
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
        let [k_bucket, k_key, k_value, k_revision, k_created, k_delta, k_operation] = &self.keys;
        let revision = Obj::int(entry.revision as i64);
        let created = Obj::int(entry.created_ms);
        let delta = Obj::int(entry.delta as i64);
        Obj::list_of([
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
            self.operation(entry.operation),
        ])
    }
}

/// The value of an entry as the connection's `-utf8_convert` wants it now.
pub fn value_obj(js: &JetStream, entry: &Entry) -> Obj {
    match js.connection.utf8_convert() {
        true => Obj::from_encoded(entry.value()),
        false => Obj::from_bytes(entry.value()),
    }
}

fn revision_of(word: &Obj) -> Result<u64> {
    options::integer(word).and_then(|n| u64::try_from(n).ok()).ok_or_else(|| {
        let text = format!("Invalid value for the pos_int option revision : {}", word.text());
        Error::invalid(text).into()
    })
}

/// Waits for the number of a new revision.
fn write(call: &Call<'_>, key: &str, headers: Headers, value: &Obj) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let (store, payload) = this.writing(key, value)?;
    let (promise, answer) = bridge::promise(call.interp);
    store.write(key, headers, payload, move |revision| promise.complete(revision))?;
    answer.wait(call.interp, |_, revision| Ok(Obj::int(revision? as i64).into()))
}

fn put(call: &Call<'_>) -> Result<Return> {
    write(call, &call.arg(0)?.text(), Headers::new(), call.arg(1)?)
}

fn update(call: &Call<'_>) -> Result<Return> {
    let revision = call.arg(2)?;
    let headers = match revision.is_empty() {
        true => Headers::new(),
        false => store::expecting(revision_of(revision)?),
    };
    write(call, &call.arg(0)?.text(), headers, call.arg(1)?)
}

fn create_key(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = call.arg(0)?.text();
    let (store, payload) = this.writing(&key, call.arg(1)?)?;
    let (promise, answer) = bridge::promise(call.interp);
    store.create(&key, payload, move |revision| promise.complete(revision));
    answer.wait(call.interp, move |_, revision| this.written(revision))
}

/// A write whose revision nobody wants to know.
fn mark(call: &Call<'_>, headers: Headers) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = call.arg(0)?.text();
    let (store, payload) = this.writing(&key, &Obj::empty())?;
    let (promise, answer) = bridge::promise(call.interp);
    store.write(&key, headers, payload, move |revision| promise.complete(revision))?;
    answer.wait(call.interp, |_, revision| {
        revision?;
        Ok(Return::Empty)
    })
}

fn delete(call: &Call<'_>) -> Result<Return> {
    let revision = match call.args().get(1) {
        Some(word) if !word.is_empty() => Some(revision_of(word)?).filter(|n| *n > 0),
        _ => None,
    };
    mark(call, store::deleting(revision))
}

fn purge(call: &Call<'_>) -> Result<Return> {
    mark(call, store::purging())
}

fn revert(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = call.arg(0)?.text();
    check_key(&key)?;
    let revision = revision_of(call.arg(1)?)?;
    subject::check_publish(&this.bucket.write_subject(&key))?;
    let store = this.store()?;
    let (promise, answer) = bridge::promise(call.interp);
    store.revert(&key, revision, move |revision| promise.complete(revision));
    answer.wait(call.interp, move |_, revision| this.written(revision))
}

/// Reads one entry that is not a deletion.
fn read(
    call: &Call<'_>,
    show: impl FnOnce(&KeyValue, &Obj, &Entry) -> Obj + 'static,
) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let word = call.arg(0)?.clone();
    let key = word.text();
    check_key(&key)?;
    const OPTIONS: &[options::Spec] = &[("revision", Type::PosInt)];
    let given = options::parse(call.interp, OPTIONS, &call.args()[1..])?;
    let revision = given.get("revision").map(revision_of).transpose()?;
    let store = this.store()?;
    subject::check_publish(&this.bucket.read_subject(&key))?;
    let (promise, answer) = bridge::promise(call.interp);
    store.read(&key, revision, move |entry| promise.complete(entry))?;
    drop(key);
    answer.wait(call.interp, move |_, entry| {
        let entry = entry?.not_deleted()?;
        Ok(show(&this, &word, &entry).into())
    })
}

fn get(call: &Call<'_>) -> Result<Return> {
    read(call, |this, key, entry| {
        EntryWords::new(&this.bucket.name).dict(entry, key, &value_obj(&this.js, entry))
    })
}

fn get_value(call: &Call<'_>) -> Result<Return> {
    read(call, |this, _, entry| value_obj(&this.js, entry))
}

/// A missing stream as status, watch, keys and history report it.
pub fn bucket_gone(bucket: &str, error: Error) -> Error {
    match error.kind {
        Kind::StreamNotFound => {
            Error::new(Kind::BucketNotFoundBare, format!("Bucket {bucket} not found"))
        }
        _ => error,
    }
}

fn status(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let operation = format!("STREAM.INFO.{}", this.bucket.stream);
    this.js.clone().request(call.interp, &operation, None, move |_, outcome| {
        let name = &this.bucket.name;
        let mut info = outcome.map_err(|error| bucket_gone(name, error))?;
        stream::config::reply::TABLE.show(&mut info);
        let mut dict = Dict::new();
        for (field, value) in bucket::status(name, &info) {
            dict.put(field, &json::to_obj(&value));
        }
        Ok(dict.into())
    })
}

const METHODS: &[Method] = &[
    Method { name: "create", usage: "key value", min: 2, max: 2, body: create_key },
    Method { name: "delete", usage: "key ?revision?", min: 1, max: 2, body: delete },
    Method { name: "get", usage: "key ?arg ...?", min: 1, max: ANY, body: get },
    Method { name: "get_value", usage: "key ?arg ...?", min: 1, max: ANY, body: get_value },
    Method { name: "history", usage: "key", min: 1, max: 1, body: gather::history },
    Method { name: "keys", usage: "", min: 0, max: 0, body: gather::keys },
    Method { name: "purge", usage: "key", min: 1, max: 1, body: purge },
    Method { name: "put", usage: "key value", min: 2, max: 2, body: put },
    Method { name: "revert", usage: "key revision", min: 2, max: 2, body: revert },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
    Method { name: "update", usage: "key value revision", min: 3, max: 3, body: update },
    Method { name: "watch", usage: "key ?arg ...?", min: 1, max: ANY, body: watcher::watch },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, METHODS)
}
