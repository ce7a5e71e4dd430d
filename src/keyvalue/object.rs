//! `nats::key_value`: the object and its commands.

use super::bucket::{self, Bucket, bucket_gone};
use super::entry::Entry;
use super::entry_dict::{EntryWords, value_obj};
use super::names::check_key;
use super::store::{self, Store};
use crate::bridge::Promise;
use crate::error::Error;
use crate::jetstream::api::Op;
use crate::jetstream::context::JetStream;
use crate::jetstream::stream;
use crate::json;
use crate::options::{self, Type};
use crate::subject;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Dict, Interp, Method, Native, Obj, ObjectHandle, Result, Return, oo};
use crate::transport::{Headers, Outgoing};
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
            prefix: self.js.prefix.clone(),
            timeout: self.js.timeout(),
            bucket: self.bucket.clone(),
        })
    }

    /// The message that writes a value, and the store to write it to.
    fn writing(&self, key: &str, headers: Headers, value: &Obj) -> Result<(Store, Outgoing)> {
        check_key(key)?;
        let store = self.store()?;
        let subject = self.bucket.write_subject(key);
        Ok((store, self.js.connection.outgoing_to(&subject, headers, value)?))
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

fn revision_of(word: &Obj) -> Result<u64> {
    options::unsigned(word).ok_or_else(|| {
        let text = format!("Invalid value for the pos_int option revision : {}", word.text());
        Error::invalid(text).into()
    })
}

/// The result of a write: the number of the new revision.
fn written(_: Interp<'_>, revision: crate::error::Result<u64>) -> Result<Return> {
    Ok(Obj::uint(revision?).into())
}

/// Waits for the number of a new revision.
fn write(call: &Call<'_>, key: &str, headers: Headers, value: &Obj) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let (store, out) = this.writing(key, headers, value)?;
    let send = |promise: Promise<u64>| store.write(out, move |revision| promise.complete(revision));
    this.js.request(call.interp, &store.link, send, written)
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
    let (store, out) = this.writing(&key, store::expecting(0), call.arg(1)?)?;
    this.js.run(call.interp, |_| store.create(&key, out), written)
}

/// Writes the entry that ends a key, whose revision nobody wants to know.
fn write_marker(call: &Call<'_>, headers: Headers) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = call.arg(0)?.text();
    let (store, out) = this.writing(&key, headers, &Obj::empty())?;
    let send = |promise: Promise<u64>| store.write(out, move |revision| promise.complete(revision));
    this.js.request(call.interp, &store.link, send, |_, revision| {
        revision?;
        Ok(Return::Empty)
    })
}

fn delete(call: &Call<'_>) -> Result<Return> {
    let revision = match call.args().get(1) {
        Some(word) if !word.is_empty() => Some(revision_of(word)?).filter(|n| *n > 0),
        _ => None,
    };
    write_marker(call, store::deleting(revision))
}

fn purge(call: &Call<'_>) -> Result<Return> {
    write_marker(call, store::purging())
}

fn revert(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = call.arg(0)?.text();
    check_key(&key)?;
    let revision = revision_of(call.arg(1)?)?;
    let (store, out) = this.writing(&key, Headers::new(), &Obj::empty())?;
    this.js.run(call.interp, |_| store.revert(&key, revision, out), written)
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
    let send =
        |promise: Promise<Entry>| store.read(&key, revision, move |entry| promise.complete(entry));
    let (js, shown) = (this.js.clone(), word.clone());
    js.request(call.interp, &store.link, send, move |_, entry| {
        let entry = entry?.not_deleted()?;
        Ok(show(&this, &shown, &entry).into())
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

fn status(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let bucket = this.bucket.clone();
    this.js.clone().call(call.interp, Op::StreamInfo(&bucket.stream), None, move |_, outcome| {
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
    Method { name: "purge", usage: "key", min: 1, max: 1, body: purge },
    Method { name: "put", usage: "key value", min: 2, max: 2, body: put },
    Method { name: "revert", usage: "key revision", min: 2, max: 2, body: revert },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
    Method { name: "update", usage: "key value revision", min: 3, max: 3, body: update },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, METHODS)
}
