//! The steps of `modify`, which is a method in Tcl: the program's command runs between them, and may wait
//! as it likes.

use super::cas::{pause, present, write};
use super::commands::writing;
use crate::error::Error;
use crate::keyvalue::entry::key_not_found;
use crate::keyvalue::many::put::lived;
use crate::keyvalue::object::KeyValue;
use crate::keyvalue::writes::{TTL, lifetime_of};
use crate::options::{self, Type};
use crate::subject;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Method, Obj, Result, Return};
use std::time::Duration;

const ATTEMPTS: i64 = 100;
/// Of what pauses between attempts consist.
const UNIT: Duration = Duration::from_millis(1);

/// `key ?options?` → whether there is a default, the default, the number of attempts, the TTL or nothing.
fn options(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("default", Type::Str), ("attempts", Type::PosInt), TTL];
    let kv = call.data::<KeyValue>()?;
    let key = kv.codecs.new_key_in(call.arg(0)?)?;
    subject::check_literal(&kv.bucket.write_subject(&key))?;
    let given = options::parse(call.interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    kv.check_writable()?;
    lifetime_of(&kv.js, &given)?;
    let default = given.get("default");
    let attempts = given.int("attempts").unwrap_or(ATTEMPTS);
    if attempts == 0 {
        return Err(Error::invalid("-attempts must be 1 or more").into());
    }
    Ok(Obj::list(&[
        Obj::int(default.is_some().into()),
        default.cloned().unwrap_or_else(Obj::empty),
        Obj::int(attempts),
        given.get(TTL.0).cloned().unwrap_or_else(Obj::empty),
    ])
    .into())
}

/// `key hasDefault met conflicts` → whether the key is there, its revision, its value. Waits a moment
/// first if there were conflicts.
fn read(call: &Call<'_>) -> Result<Return> {
    let kv = call.data::<KeyValue>()?;
    let key = kv.codecs.new_key_in(call.arg(0)?)?.into_owned();
    let has_default = call.arg(1)?.as_int() == Some(1);
    let met = options::unsigned(call.arg(2)?);
    let conflicts = call.arg(3)?.as_int().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let (store, js, shown) = (kv.store()?, kv.js.clone(), call.arg(0)?.string());
    let work = async move {
        if conflicts > 1 {
            tokio::time::sleep(pause(conflicts, UNIT)).await;
        }
        present(&store, &key, met).await
    };
    js.run(
        call.interp,
        |_| work,
        move |_, outcome| {
            let present = outcome?;
            let value = match &present.entry {
                Some(entry) => kv.codecs.value_out(&kv.js, entry)?,
                None if has_default => Obj::empty(),
                None => return Err(key_not_found(&kv.bucket.name, &shown).into()),
            };
            let there = Obj::int(present.entry.is_some().into());
            Ok(Obj::list(&[there, Obj::uint(present.revision), value]).into())
        },
    )
}

/// `key value revision isLast ?-ttl ttl?` → whether it was written, and the new revision or the one that was met. The
/// last conflict is thrown.
fn put(call: &Call<'_>) -> Result<Return> {
    let kv = call.data::<KeyValue>()?;
    let key = kv.codecs.new_key_in(call.arg(0)?)?.into_owned();
    const OPTIONS: &[options::Spec] = &[TTL];
    let given = options::parse(call.interp, OPTIONS, call.args().get(4..).unwrap_or_default())?;
    let (own, expires) = lived(&kv, &given)?;
    let (store, out) = writing(&kv, &key, own, call.arg(1)?)?;
    let revision = options::unsigned(call.arg(2)?).unwrap_or(0);
    let is_last = call.arg(3)?.as_int() == Some(1);
    let work = store.with_lifetime(expires, move |store| {
        let store = store.clone();
        async move { write(&store, out, revision).await }
    });
    kv.js.run(
        call.interp,
        |_| work,
        move |_, outcome| match outcome? {
            Ok(revision) => Ok(Obj::list(&[Obj::int(1), Obj::uint(revision)]).into()),
            Err((_, conflict)) if is_last => Err(conflict.into()),
            Err((met, _)) => Ok(Obj::list(&[Obj::int(0), Obj::uint(met)]).into()),
        },
    )
}

/// They are not exported.
pub const METHODS: &[Method] = &[
    Method { name: "ModifyOptions", usage: "key ?arg ...?", min: 1, max: ANY, body: options },
    Method {
        name: "ModifyRead",
        usage: "key hasDefault met conflicts",
        min: 4,
        max: 4,
        body: read,
    },
    Method {
        name: "ModifyPut",
        usage: "key value revision isLast ?arg ...?",
        min: 4,
        max: ANY,
        body: put,
    },
];
