//! `nats::key_value`: the object, and its commands that read an entry.

use super::abilities::Abilities;
use super::binding::Binding;
use super::bucket::Bucket;
use super::codec::{Codecs, Encoded};
use super::entry::Entry;
use super::entry_dict::EntryWords;
use super::names::{KeyOrigin, origin_of};
use super::store::Store;
use crate::bridge::Promise;
use crate::error::{Error, Kind};
use crate::jetstream::context::JetStream;
use crate::options::{self, Type};
use crate::subject;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Native, Obj, ObjectHandle, Result, Return, oo};
use crate::transport::{Headers, Outgoing};
use std::rc::Rc;
use std::sync::Arc;

pub struct KeyValue {
    handle: ObjectHandle,
    pub js: Rc<JetStream>,
    pub bucket: Arc<Bucket>,
    binding: Binding,
    abilities: Arc<Abilities>,
    pub codecs: Rc<Codecs>,
}

impl KeyValue {
    /// For reading; whatever writes has to ask [`KeyValue::check_writable`], too.
    pub fn store(&self) -> crate::error::Result<Store> {
        Ok(Store {
            link: self.js.connection.link()?,
            prefix: self.js.prefix.clone(),
            timeout: self.js.timeout(),
            bucket: self.bucket.clone(),
            abilities: self.abilities.clone(),
            own_writes: self.binding.own_writes.clone(),
        })
    }

    /// # Errors
    /// `ErrReadOnly` if the program has bound the bucket like that.
    pub fn check_writable(&self) -> crate::error::Result<()> {
        if self.binding.read_only {
            let text = format!("Bucket {} is bound read-only", self.bucket.name);
            return Err(Error::new(Kind::ReadOnly, text));
        }
        Ok(())
    }

    /// The message that writes to a key, and the store to write it to.
    pub fn writing(&self, key: &str, headers: Headers, value: &Obj) -> Result<(Store, Outgoing)> {
        self.check_writable()?;
        let store = self.store()?;
        let subject = self.bucket.write_subject(key);
        let out = |value: &Obj| self.js.connection.outgoing_to(&subject, headers, value);
        let out = match self.codecs.value_in(&self.js, value)? {
            Encoded::Value(value) => out(&value)?,
            Encoded::Bytes(bytes) => Outgoing { payload: bytes.into(), ..out(&Obj::empty())? },
        };
        Ok((store, out))
    }
}

impl Native for KeyValue {
    fn gone(&self) {
        self.js.release(&self.handle);
    }
}

/// Makes the object of a bucket and returns its command.
pub fn create(
    interp: Interp<'_>,
    js: &Rc<JetStream>,
    bucket: Bucket,
    abilities: Abilities,
    mut binding: Binding,
) -> Result<Obj> {
    let codecs = binding.codecs.take().unwrap_or_else(|| Rc::new(Codecs::none(interp)));
    let (bucket, abilities) = (Arc::new(bucket), Arc::new(abilities));
    let kv = oo::instantiate(interp, "::nats::key_value", |handle| {
        Rc::new(KeyValue { handle, js: js.clone(), bucket, binding, abilities, codecs })
    })?;
    js.adopt(interp, &kv.handle)?;
    Ok(kv.handle.command(interp))
}

pub fn revision_of(word: &Obj) -> Result<u64> {
    options::unsigned(word).ok_or_else(|| {
        let text = format!("Invalid value for the pos_int option revision : {}", word.text());
        Error::invalid(text).into()
    })
}

/// Reads one entry that is not a deletion.
fn read(
    call: &Call<'_>,
    show: impl FnOnce(&KeyValue, &Obj, &Entry) -> Result<Obj> + 'static,
) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let word = call.arg(0)?.clone();
    let key = this.codecs.key_in(&word)?;
    let naming = this.codecs.naming(&word);
    let origin = origin_of(&key).map_err(&naming)?;
    const OPTIONS: &[options::Spec] = &[("revision", Type::PosInt), ("consistent", Type::Bool)];
    let given = options::parse(call.interp, OPTIONS, &call.args()[1..])?;
    let revision = given.get("revision").map(revision_of).transpose()?;
    let consistent = given.flag("consistent");
    let store = this.store()?;
    subject::check_literal(&this.bucket.read_subject(&key))?;
    let (js, shown) = (this.js.clone(), word.clone());
    let finish = move |_: Interp<'_>, entry: crate::error::Result<Entry>| {
        let entry = entry.and_then(Entry::not_deleted).map_err(&naming)?;
        Ok(show(&this, &shown, &entry)?.into())
    };
    if origin == KeyOrigin::Foreign {
        let entry = store.read_foreign(&key, revision, consistent);
        return js.run(call.interp, |_| entry, finish);
    }
    if consistent || store.own_writes.is_some() {
        let entry = store.reading_as(&key, revision, consistent);
        return js.run(call.interp, |_| entry, finish);
    }
    let send =
        |promise: Promise<Entry>| store.read(&key, revision, move |entry| promise.complete(entry));
    js.request(call.interp, &store.link, send, finish)
}

fn get(call: &Call<'_>) -> Result<Return> {
    read(call, |this, word, entry| {
        let key = match this.codecs.keeps_keys() {
            true => word.clone(),
            false => this.codecs.key_out(&this.js, entry.key()),
        };
        let value = this.codecs.value_out(&this.js, entry)?;
        Ok(EntryWords::new(&this.bucket.name).dict(entry, &key, &value))
    })
}

fn get_value(call: &Call<'_>) -> Result<Return> {
    read(call, |this, _, entry| Ok(this.codecs.value_out(&this.js, entry)?))
}

const METHODS: &[Method] = &[
    Method { name: "get", usage: "key ?arg ...?", min: 1, max: ANY, body: get },
    Method { name: "get_value", usage: "key ?arg ...?", min: 1, max: ANY, body: get_value },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, METHODS)
}
