//! The commands that write an entry: `put`, `create`, `update`, `delete`, `purge`, `revert`.

use super::headers;
use super::lifetime::{self, Lifetime};
use super::names::{KeyOrigin, check_key, origin_of};
use super::object::{KeyValue, revision_of};
use super::store;
use crate::bridge::Promise;
use crate::jetstream::context::JetStream;
use crate::message::header;
use crate::options::{self, Options, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use crate::transport::Headers;

/// The result of a write: the number of the new revision.
pub fn written(_: Interp<'_>, revision: crate::error::Result<u64>) -> Result<Return> {
    Ok(Obj::uint(revision?).into())
}

/// The option of all that writes.
pub const TTL: options::Spec = ("ttl", Type::Checked("ttl", |text| ttl(text).is_some()));

/// Milliseconds, or `never`.
fn ttl(text: &str) -> Option<Lifetime> {
    match text {
        "never" => Some(Lifetime::NEVER),
        _ => Lifetime::new(options::integer(&Obj::new(text))?),
    }
}

/// The lifetime that the option gives an entry.
pub fn lifetime_of(js: &JetStream, given: &Options) -> crate::error::Result<Option<Lifetime>> {
    let Some(value) = given.get(TTL.0) else { return Ok(None) };
    js.needs(TTL.0, (2, 11, 0))?;
    Ok(ttl(&value.text()))
}

/// The words behind the first arguments. One alone was too many before there were options.
fn option_words<'a>(call: &Call<'a>, method: &Method) -> Result<&'a [Obj]> {
    match call.args().get(method.min..).unwrap_or_default() {
        [_] => Err(call.wrong_args(method.usage)),
        words => Ok(words),
    }
}

/// What the options of a write give the value.
#[derive(Default)]
struct Extras {
    headers: Headers,
    expires: bool,
}

fn extras(call: &Call<'_>, js: &JetStream, method: &Method) -> Result<Extras> {
    const OPTIONS: &[options::Spec] = &[("header", Type::Dict), TTL];
    let words = option_words(call, method)?;
    if words.is_empty() {
        return Ok(Extras::default());
    }
    let given = options::parse(call.interp, OPTIONS, words)?;
    let mut headers = match given.get("header") {
        Some(dict) => header::from_dict(call.interp, dict)?,
        None => Headers::new(),
    };
    headers::check(&headers)?;
    let lifetime = lifetime_of(js, &given)?;
    if let Some(lifetime) = lifetime {
        lifetime.add_to(&mut headers);
    }
    Ok(Extras { headers, expires: lifetime.is_some() })
}

/// Waits for the number of a new revision.
fn write(
    call: &Call<'_>,
    this: &KeyValue,
    key: &str,
    extras: Extras,
    value: &Obj,
) -> Result<Return> {
    let Extras { mut headers, expires } = extras;
    if expires {
        lifetime::roll_up(&mut headers);
    }
    let (store, out) = this.writing(key, headers, value)?;
    if expires {
        let work = store.with_lifetime(true, move |store| store.writing(out));
        return this.js.run(call.interp, |_| work, written);
    }
    let send = |promise: Promise<u64>| store.write(out, move |revision| promise.complete(revision));
    this.js.request(call.interp, &store.link, send, written)
}

fn put(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = this.codecs.new_key_in(call.arg(0)?)?;
    write(call, &this, &key, extras(call, &this.js, &PUT)?, call.arg(1)?)
}

fn update(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = this.codecs.key_in(call.arg(0)?)?;
    let naming = this.codecs.naming(call.arg(0)?);
    let origin = origin_of(&key).map_err(&naming)?;
    let mut extras = extras(call, &this.js, &UPDATE)?;
    let word = call.arg(2)?;
    let revision = if word.is_empty() { None } else { Some(revision_of(word)?) };
    if origin == KeyOrigin::Foreign && revision.is_none_or(|revision| revision == 0) {
        // It could make the key; with a revision there must be one.
        check_key(&key).map_err(&naming)?;
    }
    if let Some(revision) = revision {
        extras.headers = store::expecting(revision, extras.headers);
    }
    write(call, &this, &key, extras, call.arg(1)?)
}

fn create_key(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = this.codecs.new_key_in(call.arg(0)?)?.into_owned();
    let Extras { headers, expires } = extras(call, &this.js, &CREATE)?;
    let (store, out) = this.writing(&key, store::expecting(0, headers), call.arg(1)?)?;
    let work = store.with_lifetime(expires, move |store| store.create(&key, out));
    this.js.run(call.interp, |_| work, written)
}

/// Writes the entry that ends a key, whose revision nobody wants to know.
fn write_marker(
    call: &Call<'_>,
    expected: Option<u64>,
    mut headers: Headers,
    lifetime: Option<Lifetime>,
) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = this.codecs.key_in(call.arg(0)?)?.into_owned();
    let naming = this.codecs.naming(call.arg(0)?);
    let origin = origin_of(&key).map_err(&naming)?;
    if let Some(revision) = expected {
        headers = store::expecting(revision, headers);
    }
    if let Some(lifetime) = lifetime {
        lifetime.add_to(&mut headers);
    }
    let (store, out) = this.writing(&key, headers, &Obj::empty())?;
    let done = move |_: Interp<'_>, revision: crate::error::Result<u64>| {
        revision.map_err(&naming)?;
        Ok(Return::Empty)
    };
    // With a revision there must be one.
    if origin == KeyOrigin::Foreign && expected.is_none_or(|revision| revision == 0) {
        let expires = lifetime.is_some();
        let work = store.with_lifetime(expires, move |store| store.end_foreign(&key, out));
        return this.js.run(call.interp, |_| work, done);
    }
    if lifetime.is_some() {
        let work = store.with_lifetime(true, move |store| store.writing(out));
        return this.js.run(call.interp, |_| work, done);
    }
    let send = |promise: Promise<u64>| store.write(out, move |revision| promise.complete(revision));
    this.js.request(call.interp, &store.link, send, done)
}

fn delete(call: &Call<'_>) -> Result<Return> {
    let revision = match call.args().get(1) {
        Some(word) if !word.is_empty() => Some(revision_of(word)?).filter(|n| *n > 0),
        _ => None,
    };
    write_marker(call, revision, store::deleting(), None)
}

fn purge(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("revision", Type::PosInt), TTL];
    let given = options::parse(call.interp, OPTIONS, option_words(call, &PURGE)?)?;
    let revision = given.get("revision").map(revision_of).transpose()?;
    let lifetime = lifetime_of(&call.data::<KeyValue>()?.js, &given)?;
    write_marker(call, revision, store::purging(), lifetime)
}

fn revert(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<KeyValue>()?;
    let key = this.codecs.key_in(call.arg(0)?)?;
    let naming = this.codecs.naming(call.arg(0)?);
    let origin = origin_of(&key).map_err(&naming)?;
    let revision = revision_of(call.arg(1)?)?;
    let (store, out) = this.writing(&key, Headers::new(), &Obj::empty())?;
    let interp = call.interp;
    let written = move |interp: Interp<'_>, revision: crate::error::Result<u64>| {
        written(interp, revision.map_err(&naming))
    };
    match origin {
        KeyOrigin::Ours => {
            let old = store.reading_as(&key, Some(revision), false);
            this.js.run(interp, |_| store.revert(old, out), written)
        }
        KeyOrigin::Foreign => {
            let old = store.read_foreign(&key, Some(revision), false);
            this.js.run(interp, |_| store.revert(old, out), written)
        }
    }
}

const CREATE: Method =
    Method { name: "create", usage: "key value ?arg ...?", min: 2, max: ANY, body: create_key };
const PURGE: Method =
    Method { name: "purge", usage: "key ?arg ...?", min: 1, max: ANY, body: purge };
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
    PURGE,
    PUT,
    Method { name: "revert", usage: "key revision", min: 2, max: 2, body: revert },
    UPDATE,
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, METHODS)
}
