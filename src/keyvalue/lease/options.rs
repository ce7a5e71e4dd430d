//! What the commands have in common.

use super::action::Kind;
use super::driver::{Status, Wanted};
use super::seen::Identity;
use crate::error::Error;
use crate::error_code::error_code;
use crate::jetstream::ordered::OrderedConfig;
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::keyvalue::consumer::ordered_config;
use crate::keyvalue::lifetime::Lifetime;
use crate::keyvalue::object::KeyValue;
use crate::keyvalue::store::Store;
use crate::options::{self, Options, Type};
use crate::tcl::{Dict, Interp, Obj, Result};
use crate::transport::{Headers, new_inbox};
use std::time::Duration;

/// In ms: what servers take, and what can be counted.
const SHORTEST: i64 = 1000;
const LONGEST: i64 = 1_000_000_000_000;

pub const TTL: options::Spec = ("ttl", Type::Checked("ttl", |text| ttl(text).is_some()));

fn ttl(text: &str) -> Option<i64> {
    options::integer(&Obj::new(text)).filter(|ms| (SHORTEST..=LONGEST).contains(ms))
}

/// The words that begin a call of the program, none if there is no such option.
pub fn prefix(interp: Interp<'_>, given: &Options, name: &str) -> Result<Option<Vec<Obj>>> {
    given.non_empty(name).map(|prefix| prefix.elements(interp)).transpose()
}

/// Who we are, for people who look at the bucket: `host.pid`.
pub fn usual_value(interp: Interp<'_>) -> Obj {
    let host = interp.aside(|| interp.call(&mut [Obj::new("::info"), Obj::new("hostname")]));
    let host = host.map_or_else(|_| String::new(), |host| host.string());
    Obj::new(&format!("{host}.{}", std::process::id()))
}

/// What the options say, for the key that the program calls `word`.
pub fn wanted(
    kv: &KeyValue,
    what: &'static str,
    kind: Kind,
    word: &Obj,
    value: &Obj,
    given: &Options,
) -> Result<Wanted> {
    let key = kv.codecs.new_key_in(word)?.into_owned();
    kv.js.needs(what, (2, 11, 0))?;
    let Some(ms) = given.get(TTL.0).and_then(|value| ttl(&value.text())) else {
        return Err(Error::invalid("Option ttl is required").into());
    };
    let ttl = Duration::from_millis(ms.unsigned_abs());
    // A server counts whole seconds, and drops the rest: what it has removed must not be believed in.
    let seconds = ttl.as_millis().div_ceil(1000) as i64;
    let lifetime = Lifetime::new(seconds * 1000).ok_or_else(|| Error::invalid("ttl"))?;
    let (store, out) = kv.writing(&key, Headers::new(), value)?;
    let timeout = store.timeout.map_or(ttl, |timeout| timeout.min(ttl));
    let watch = OrderedConfig {
        roll_call: true,
        end_before_news: true,
        ..ordered_config(
            kv,
            vec![key.clone()],
            DeliverPolicy::LastPerSubject,
            kind != Kind::Forever,
            Duration::from_secs(5),
        )?
    };
    Ok(Wanted {
        what,
        kind,
        ttl,
        lifetime,
        patience: None,
        // As hard to guess as the name of an inbox.
        identity: Identity::new(new_inbox("lease").replace('.', "-")),
        key,
        out,
        store: Store { timeout: Some(timeout), ..store },
        api: kv.js.api()?,
        watch,
    })
}

/// What the program is told of a key that is ours.
pub fn put_status(dict: &mut Dict, status: &Status) {
    let last_error = status.last_error.as_ref().map_or_else(Obj::empty, |error| {
        let mut dict = Dict::new();
        dict.put("code", &error_code(error));
        dict.put("errorMessage", &Obj::new(&error.message));
        dict.into()
    });
    dict.put("token", &Obj::uint(status.token));
    dict.put("revision", &Obj::uint(status.revision));
    dict.put("remaining", &Obj::int(status.remaining.as_millis() as i64));
    dict.put("renewals", &Obj::uint(status.renewals));
    dict.put("last_error", &last_error);
}
