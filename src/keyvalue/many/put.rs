//! `mput`.

use super::atomic;
use super::failure::Outcome;
use super::write::{self, Write};
use crate::error::Error;
use crate::keyvalue::lifetime::roll_up;
use crate::keyvalue::object::KeyValue;
use crate::keyvalue::writes::{TTL, lifetime_of};
use crate::options::{self, Options, Type};
use crate::schema::Version;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return};
use crate::transport::{Headers, Outgoing};
use std::collections::HashMap;

/// The first server that knows atomic batches.
const BATCHES: Version = (2, 12, 0);

/// The pairs of a dict.
fn pairs(interp: Interp<'_>, name: &str, dict: &Obj) -> Result<Vec<(Obj, Obj)>> {
    let pairs = interp.aside(|| dict.pairs(interp).ok());
    pairs.ok_or_else(|| options::refused(name, Type::Dict, dict).into())
}

/// Key → revision.
fn expected(interp: Interp<'_>, dict: Option<&Obj>) -> Result<HashMap<String, u64>> {
    let pairs = dict.map_or(Ok(Vec::new()), |dict| pairs(interp, "expect", dict))?;
    let read = |(key, word): &(Obj, Obj)| {
        let revision = options::exactly_unsigned(word)
            .ok_or_else(|| options::refused("revision", Type::PosInt, word))?;
        Ok((key.string(), revision))
    };
    pairs.iter().map(read).collect()
}

/// The headers that the option `-ttl` gives a value, and whether there are any.
pub fn lived(kv: &KeyValue, given: &Options) -> Result<(Headers, bool)> {
    let mut headers = Headers::new();
    let lifetime = lifetime_of(&kv.js, given)?;
    if let Some(lifetime) = lifetime {
        lifetime.add_to(&mut headers);
        roll_up(&mut headers);
    }
    Ok((headers, lifetime.is_some()))
}

fn mput(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("atomic", Type::Bool), ("expect", Type::Dict), TTL];
    let interp = call.interp;
    let kv = call.data::<KeyValue>()?;
    let given = options::parse(interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    let mut expected = expected(interp, given.get("expect"))?;
    kv.check_writable()?;
    let store = kv.store()?;
    let (own, expires) = lived(&kv, &given)?;
    let (mut keys, mut writes) = (Vec::new(), Vec::new());
    for (key, value) in pairs(interp, "values", call.arg(0)?)? {
        let shown = key.string();
        let key = kv.codecs.new_key_in(&key)?.into_owned();
        let expect = expected.remove(&shown);
        keys.push(shown);
        let (_, out) = kv.writing(&key, own.clone(), &value)?;
        store.link.check(&out)?;
        // The window bounds how many of them wait to be sent.
        writes.push(Write { key, out: Outgoing { refusable: false, ..out }, expect });
    }
    if let Some(key) = expected.keys().min() {
        return Err(Error::invalid(format!("-expect names {key}, which is not written")).into());
    }
    if given.flag("atomic") {
        kv.js.needs("mput -atomic", BATCHES)?;
        if writes.len() > atomic::MOST {
            let text = format!("mput -atomic takes {} keys at most", atomic::MOST);
            return Err(Error::invalid(text).into());
        }
    }
    if writes.is_empty() {
        return Ok(Return::Empty);
    }
    let revision = |revision: &u64| Obj::uint(*revision);
    if given.flag("atomic") {
        let together =
            store.with_lifetime(expires, |store| atomic::together(store.clone(), writes));
        return kv.js.run(
            interp,
            |_| together,
            move |_, revisions| {
                let answers: Vec<_> = revisions?.into_iter().map(Ok).collect();
                Ok(Outcome { keys: &keys, answers: &answers }.shown(revision).into())
            },
        );
    }
    let separately = store.with_lifetime(expires, |store| {
        let store = store.clone();
        async { Ok(write::separately(store, writes).await) }
    });
    kv.js.run(
        interp,
        |_| separately,
        move |interp, answers| {
            let answers = answers?;
            let outcome = Outcome { keys: &keys, answers: &answers };
            outcome.check(interp, "written", revision)?;
            Ok(outcome.shown(revision).into())
        },
    )
}

pub const METHODS: &[Method] =
    &[Method { name: "mput", usage: "dict ?arg ...?", min: 1, max: ANY, body: mput }];
