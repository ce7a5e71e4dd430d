//! `touch`: a value is written again as it is, so that it lives as long again.

use super::entry::Entry;
use super::lifetime::{self, Lifetime};
use super::names::{KeyOrigin, origin_of};
use super::object::KeyValue;
use super::store::{Store, expecting, revision_in};
use super::writes::{TTL, lifetime_of, written};
use crate::error::{Kind, Result};
use crate::options;
use crate::tcl::call::ANY;
use crate::tcl::{self, Call, Interp, Method, Obj, Return, oo};
use crate::transport::{Headers, Outgoing};
use bytes::Bytes;
use std::future::Future;

/// How often others may be quicker.
const ATTEMPTS: usize = 100;

impl Store {
    /// Writes what `found` has once more, under the revision that it has: with this lifetime, or with the
    /// one that it has. When somebody was quicker, what he has written.
    fn touch<F: Future<Output = Result<Entry>> + Send>(
        &self,
        key: String,
        found: F,
        out: Outgoing,
        lifetime: Option<Lifetime>,
    ) -> impl Future<Output = Result<u64>> + Send + use<F> {
        let this = self.clone();
        async move {
            let mut found = found.await;
            let mut attempts = 1;
            loop {
                let entry = this.surely(&key, found).await?.not_deleted()?;
                match this.writing(again(&entry, &out, lifetime)).await {
                    Err(error) if error.kind == Kind::WrongLastSequence && attempts < ATTEMPTS => {
                        attempts += 1;
                        found = this.reading_after(&key, revision_in(&error)).await;
                    }
                    outcome => return outcome,
                }
            }
        }
    }

    /// What was found, unless it is that there is nothing: a replica or a mirror may not have it yet.
    async fn surely(&self, key: &str, found: Result<Entry>) -> Result<Entry> {
        let absent = match &found {
            Ok(entry) => entry.operation.deletes(),
            Err(error) => error.kind == Kind::KeyNotFound,
        };
        if !absent {
            return found;
        }
        match self.reading_written(key).await {
            Err(error) if error.kind != Kind::KeyNotFound => found,
            last => last,
        }
    }
}

fn again(entry: &Entry, out: &Outgoing, lifetime: Option<Lifetime>) -> Outgoing {
    let mut headers = expecting(entry.revision, Headers::new());
    if let Some(own) = &entry.headers {
        own.add_to(&mut headers);
    }
    if let Some(lifetime) = lifetime.or(entry.lifetime) {
        lifetime.add_to(&mut headers);
        lifetime::roll_up(&mut headers);
    }
    let payload = Bytes::copy_from_slice(entry.value());
    Outgoing { payload, headers, ..out.clone() }
}

fn touch(call: &Call<'_>) -> tcl::Result<Return> {
    const OPTIONS: &[options::Spec] = &[TTL];
    let this = call.data::<KeyValue>()?;
    let key = this.codecs.key_in(call.arg(0)?)?.into_owned();
    let naming = this.codecs.naming(call.arg(0)?);
    let origin = origin_of(&key).map_err(&naming)?;
    let given = options::parse(call.interp, OPTIONS, &call.args()[1..])?;
    let lifetime = lifetime_of(&this.js, &given)?;
    let (store, out) = this.writing(&key, Headers::new(), &Obj::empty())?;
    let expires = lifetime.is_some();
    let finish =
        move |interp: Interp<'_>, revision: Result<u64>| written(interp, revision.map_err(&naming));
    match origin {
        KeyOrigin::Ours => {
            let work = store.with_lifetime(expires, move |store| {
                let found = store.reading_as(&key, None, false);
                store.touch(key, found, out, lifetime)
            });
            this.js.run(call.interp, |_| work, finish)
        }
        KeyOrigin::Foreign => {
            let work = store.with_lifetime(expires, move |store| {
                let found = store.read_foreign(&key, None, false);
                store.touch(key, found, out, lifetime)
            });
            this.js.run(call.interp, |_| work, finish)
        }
    }
}

const METHODS: &[Method] =
    &[Method { name: "touch", usage: "key ?arg ...?", min: 1, max: ANY, body: touch }];

pub fn register(interp: Interp<'_>) -> tcl::Result<()> {
    oo::define(interp, "::nats::key_value", None, None, METHODS)
}
