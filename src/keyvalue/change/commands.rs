//! `incr`, `append`, `getset`.

use super::cas::change;
use super::compute::{integer, longer, sum};
use super::decoded::{self, Change};
use crate::error::Error;
use crate::keyvalue::entry::Entry;
use crate::keyvalue::entry_dict::EntryWords;
use crate::keyvalue::many::put::lived;
use crate::keyvalue::object::KeyValue;
use crate::keyvalue::store::{Store, expecting};
use crate::keyvalue::writes::TTL;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Method, Obj, Result, Return};
use crate::transport::{Headers, Outgoing};
use bytes::Bytes;

/// The store, and a message to the key with this value.
pub fn writing(kv: &KeyValue, key: &str, own: Headers, value: &Obj) -> Result<(Store, Outgoing)> {
    // With its condition, so that a server without headers is known before anything is asked.
    kv.writing(key, expecting(0, own), value)
}

/// The summand: a number that fits 64 bits, in any of Tcl's notations.
fn summand(word: &Obj) -> Result<i64> {
    let exact =
        |n: &i64| !matches!(*n, i64::MIN | i64::MAX) || integer(word.tcl_bytes()) == Some(*n);
    let refused = || options::refused("by", Type::Int, word).into();
    options::integer(word).filter(exact).ok_or_else(refused)
}

fn incr(call: &Call<'_>) -> Result<Return> {
    let kv = call.data::<KeyValue>()?;
    let key = kv.codecs.new_key_in(call.arg(0)?)?.into_owned();
    let shown = call.arg(0)?.string();
    let mut words = call.args().get(1..).unwrap_or_default();
    let mut by = 1;
    // The number is there if the options behind it are pairs.
    if words.len() % 2 == 1
        && let Some((first, rest)) = words.split_first()
    {
        by = summand(first)?;
        words = rest;
    }
    const OPTIONS: &[options::Spec] = &[TTL];
    let given = options::parse(call.interp, OPTIONS, words)?;
    let (own, expires) = lived(&kv, &given)?;
    if !kv.codecs.keeps_values() {
        kv.check_writable()?;
        let compute = Box::new(move |old: Option<(&Entry, &Obj)>| {
            let sum = sum(&shown, old.map(|(_, value)| value.tcl_bytes()), by)?;
            Ok((Obj::int(sum), Some(Obj::int(sum))))
        });
        return decoded::change(call.interp, Change { kv, key, own, expires, compute });
    }
    let (store, out) = writing(&kv, &key, own, &Obj::empty())?;
    let (js, limit) = (kv.js.clone(), store.timeout);
    let compute = move |entry: Option<Entry>| {
        let sum = sum(&shown, entry.as_ref().map(Entry::value), by)?;
        Ok((Bytes::from(sum.to_string()), sum))
    };
    let work =
        store.with_lifetime(expires, move |store| change(store.clone(), key, out, limit, compute));
    js.run(
        call.interp,
        |_| work,
        |_, outcome| {
            let (_, sum) = outcome?;
            Ok(Obj::int(sum).into())
        },
    )
}

fn append(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("separator", Type::Str)];
    let kv = call.data::<KeyValue>()?;
    let key = kv.codecs.new_key_in(call.arg(0)?)?.into_owned();
    let given = options::parse(call.interp, OPTIONS, call.args().get(2..).unwrap_or_default())?;
    if !kv.codecs.keeps_values() {
        let (text, separator) = (call.arg(1)?.string(), given.string("separator"));
        let compute = Box::new(move |old: Option<(&Entry, &Obj)>| {
            let between = separator.as_deref().unwrap_or_default();
            let new = match old {
                Some((_, value)) => [&*value.text(), between, &*text].concat(),
                None => text.clone(),
            };
            Ok((Obj::new(&new), None))
        });
        let (own, expires) = (Headers::new(), false);
        kv.check_writable()?;
        return decoded::change(call.interp, Change { kv, key, own, expires, compute });
    }
    let (store, out) = writing(&kv, &key, Headers::new(), call.arg(1)?)?;
    let separator = match given.get("separator") {
        Some(separator) => writing(&kv, &key, Headers::new(), separator)?.1.payload,
        None => Bytes::new(),
    };
    let (js, limit, text) = (kv.js.clone(), store.timeout, out.payload.clone());
    let compute = move |entry: Option<Entry>| Ok((longer(entry.as_ref(), &separator, &text), ()));
    let work = change(store, key, out, limit, compute);
    js.run(
        call.interp,
        |_| work,
        |_, outcome| {
            let (revision, ()) = outcome?;
            Ok(Obj::uint(revision).into())
        },
    )
}

fn getset(call: &Call<'_>) -> Result<Return> {
    let kv = call.data::<KeyValue>()?;
    let key = kv.codecs.new_key_in(call.arg(0)?)?.into_owned();
    // The key as it is shown, and the entry.
    let shown = |kv: &KeyValue, entry: &Entry, value: &Obj| {
        let key = kv.codecs.key_out(&kv.js, entry.key());
        EntryWords::new(&kv.bucket.name).dict(entry, &key, value)
    };
    if !kv.codecs.keeps_values() {
        // What cannot be decoded is not written over: the program would not have it any more.
        let (own, expires, new, handle) = (Headers::new(), false, call.arg(1)?.clone(), kv.clone());
        let compute = Box::new(move |old: Option<(&Entry, &Obj)>| {
            let old = old.map_or_else(Obj::empty, |(entry, value)| shown(&handle, entry, value));
            Ok((new.clone(), Some(old)))
        });
        kv.check_writable()?;
        return decoded::change(call.interp, Change { kv, key, own, expires, compute });
    }
    let (store, out) = writing(&kv, &key, Headers::new(), call.arg(1)?)?;
    let (js, limit, value) = (kv.js.clone(), store.timeout, out.payload.clone());
    let compute = move |entry: Option<Entry>| Ok::<_, Error>((value.clone(), entry));
    let work = change(store, key, out, limit, compute);
    js.run(
        call.interp,
        |_| work,
        move |_, outcome| {
            let (_, old) = outcome?;
            let Some(old) = old else { return Ok(Return::Empty) };
            Ok(shown(&kv, &old, &kv.codecs.value_out(&kv.js, &old)?).into())
        },
    )
}

pub const METHODS: &[Method] = &[
    Method { name: "append", usage: "key text ?arg ...?", min: 2, max: ANY, body: append },
    Method { name: "getset", usage: "key value", min: 2, max: 2, body: getset },
    Method { name: "incr", usage: "key ?by? ?arg ...?", min: 1, max: ANY, body: incr },
];
