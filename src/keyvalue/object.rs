//! `nats::key_value`: the object and its commands.

use super::bucket::{self, Bucket, bucket_gone};
use super::entry::Entry;
use super::entry_dict::{EntryWords, value_obj};
use super::headers;
use super::names::{KeyOrigin, check_key, origin_of};
use super::store::{self, Store};
use crate::bridge::Promise;
use crate::error::Error;
use crate::jetstream::api::Op;
use crate::jetstream::context::JetStream;
use crate::jetstream::stream;
use crate::json;
use crate::message::header;
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

    /// The message that writes to a key, and the store to write it to.
    fn writing(&self, key: &str, headers: Headers, value: &Obj) -> Result<(Store, Outgoing)> {
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

/// The headers that the options behind the first arguments give the value.
fn own_headers(call: &Call<'_>, method: &Method) -> Result<Headers> {
    const OPTIONS: &[options::Spec] = &[("header", Type::Dict)];
    let words = call.args().get(method.min..).unwrap_or_default();
    match words {
        [] => return Ok(Headers::new()),
        // Before there were options it was one argument too many.
        [_] => return Err(call.wrong_args(method.usage)),
        _ => {}
    }
    let given = options::parse(call.interp, OPTIONS, words)?;
    let Some(dict) = given.get("header") else { return Ok(Headers::new()) };
    let own = header::from_dict(call.interp, dict)?;
    headers::check(&own)?;
    Ok(own)
}

/// Waits for the number of a new revision.
fn write(call: &Call<'_>, key: &str, headers: Headers, value: &Obj) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let (store, out) = this.writing(key, headers, value)?;
    let send = |promise: Promise<u64>| store.write(out, move |revision| promise.complete(revision));
    this.js.request(call.interp, &store.link, send, written)
}

fn put(call: &Call<'_>) -> Result<Return> {
    let key = call.arg(0)?.text();
    check_key(&key)?;
    write(call, &key, own_headers(call, &PUT)?, call.arg(1)?)
}

fn update(call: &Call<'_>) -> Result<Return> {
    let key = call.arg(0)?.text();
    let origin = origin_of(&key)?;
    let own = own_headers(call, &UPDATE)?;
    let word = call.arg(2)?;
    let revision = if word.is_empty() { None } else { Some(revision_of(word)?) };
    if origin == KeyOrigin::Foreign && revision.is_none_or(|revision| revision == 0) {
        // It could make the key; with a revision there must be one.
        check_key(&key)?;
    }
    let headers = match revision {
        None => own,
        Some(revision) => store::expecting(revision, own),
    };
    write(call, &key, headers, call.arg(1)?)
}

fn create_key(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = call.arg(0)?.text();
    check_key(&key)?;
    let own = own_headers(call, &CREATE)?;
    let (store, out) = this.writing(&key, store::expecting(0, own), call.arg(1)?)?;
    this.js.run(call.interp, |_| store.create(&key, out), written)
}

/// Writes the entry that ends a key, whose revision nobody wants to know.
fn write_marker(call: &Call<'_>, expected: bool, headers: Headers) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = call.arg(0)?.text();
    let origin = origin_of(&key)?;
    let (store, out) = this.writing(&key, headers, &Obj::empty())?;
    let done = |_: Interp<'_>, revision: crate::error::Result<u64>| {
        revision?;
        Ok(Return::Empty)
    };
    if origin == KeyOrigin::Foreign && !expected {
        return this.js.run(call.interp, |_| store.end_foreign(&key, out), done);
    }
    let send = |promise: Promise<u64>| store.write(out, move |revision| promise.complete(revision));
    this.js.request(call.interp, &store.link, send, done)
}

fn delete(call: &Call<'_>) -> Result<Return> {
    let revision = match call.args().get(1) {
        Some(word) if !word.is_empty() => Some(revision_of(word)?).filter(|n| *n > 0),
        _ => None,
    };
    write_marker(call, revision.is_some(), store::deleting(revision))
}

fn purge(call: &Call<'_>) -> Result<Return> {
    write_marker(call, false, store::purging())
}

fn revert(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = call.arg(0)?.text();
    let origin = origin_of(&key)?;
    let revision = revision_of(call.arg(1)?)?;
    let (store, out) = this.writing(&key, Headers::new(), &Obj::empty())?;
    let interp = call.interp;
    match origin {
        KeyOrigin::Ours => {
            let old = store.reading(&key, Some(revision));
            this.js.run(interp, |_| store.revert(old, out), written)
        }
        KeyOrigin::Foreign => {
            let old = store.read_foreign(&key, Some(revision));
            this.js.run(interp, |_| store.revert(old, out), written)
        }
    }
}

/// Reads one entry that is not a deletion.
fn read(
    call: &Call<'_>,
    show: impl FnOnce(&KeyValue, &Obj, &Entry) -> Obj + 'static,
) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let word = call.arg(0)?.clone();
    let key = word.text();
    let origin = origin_of(&key)?;
    const OPTIONS: &[options::Spec] = &[("revision", Type::PosInt)];
    let given = options::parse(call.interp, OPTIONS, &call.args()[1..])?;
    let revision = given.get("revision").map(revision_of).transpose()?;
    let store = this.store()?;
    subject::check_literal(&this.bucket.read_subject(&key))?;
    let (js, shown) = (this.js.clone(), word.clone());
    let finish = move |_: Interp<'_>, entry: crate::error::Result<Entry>| {
        let entry = entry?.not_deleted()?;
        Ok(show(&this, &shown, &entry).into())
    };
    if origin == KeyOrigin::Foreign {
        return js.run(call.interp, |_| store.read_foreign(&key, revision), finish);
    }
    let send =
        |promise: Promise<Entry>| store.read(&key, revision, move |entry| promise.complete(entry));
    js.request(call.interp, &store.link, send, finish)
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

const CREATE: Method =
    Method { name: "create", usage: "key value ?arg ...?", min: 2, max: ANY, body: create_key };
const PUT: Method =
    Method { name: "put", usage: "key value ?arg ...?", min: 2, max: ANY, body: put };
const UPDATE: Method = Method {
    name: "update",
    usage: "key value revision ?arg ...?",
    min: 3,
    max: ANY,
    body: update,
};

const METHODS: &[Method] = &[
    CREATE,
    Method { name: "delete", usage: "key ?revision?", min: 1, max: 2, body: delete },
    Method { name: "get", usage: "key ?arg ...?", min: 1, max: ANY, body: get },
    Method { name: "get_value", usage: "key ?arg ...?", min: 1, max: ANY, body: get_value },
    Method { name: "purge", usage: "key", min: 1, max: 1, body: purge },
    PUT,
    Method { name: "revert", usage: "key revision", min: 2, max: 2, body: revert },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
    UPDATE,
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, METHODS)
}
