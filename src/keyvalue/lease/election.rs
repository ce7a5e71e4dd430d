//! `$kv elect` and `nats::kv_election`: one of several programs leads.

use super::action::{Event, Kind};
use super::driver::Leader;
use super::options::{TTL, prefix, usual_value, wanted};
use super::owner::{Owner, Owns, begin};
use crate::error::Error;
use crate::keyvalue::entry::{Entry, Operation};
use crate::keyvalue::object::KeyValue;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Native, Obj, Prefix, Result, Return, oo};

const CLASS: &str = "::nats::kv_election";

struct Election {
    owner: Owner,
    /// As the bucket has it.
    stored_key: String,
    /// Who we are.
    id: Obj,
}

impl Native for Election {
    fn gone(&self) {
        self.owner.gone();
    }
}

impl Owns for Election {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn tell(&self, interp: Interp<'_>, callback: &Prefix, event: Event) {
        let words = match event {
            Event::Acquired(token) => [Obj::new("leader"), Obj::uint(token)],
            Event::Led(value) => [Obj::new("follower"), self.value_obj(&value)],
            Event::Lost(reason) => [Obj::new("lost"), Obj::new(reason.word())],
            _ => return,
        };
        callback.call(interp, words);
    }
}

impl Election {
    fn value_obj(&self, value: &[u8]) -> Obj {
        let (kv, entry) = (&self.owner.kv, Entry::new(&self.stored_key, value, Operation::Put));
        kv.codecs.value_shown(&kv.js, &entry)
    }
}

fn elect(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] =
        &[TTL, ("callback", Type::ValidStr), ("value", Type::ValidStr)];
    let interp = call.interp;
    let kv = call.data::<KeyValue>()?;
    let key = call.arg(0)?.clone();
    let given = options::parse(interp, OPTIONS, &call.args()[1..])?;
    let id = given.get("value").cloned().unwrap_or_else(|| usual_value(interp));
    let wanted = wanted(&kv, "elect", Kind::Forever, &key, &id, &given)?;
    let callback = prefix(interp, &given, "callback")?;
    if callback.is_none() {
        return Err(Error::invalid("Option callback is required").into());
    }
    let stored_key = wanted.key.clone();
    let data = |owner| Election { owner, stored_key, id };
    begin(interp, CLASS, (kv, key, callback), wanted, data)
}

fn leader(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Election>()?;
    Ok(match this.owner.keeper()?.leader()? {
        Leader::Us => this.id.clone(),
        Leader::Other(value) => this.value_obj(&value),
        Leader::Nobody => Obj::empty(),
    }
    .into())
}

fn is_leader(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Election>()?;
    Ok(Obj::int(this.owner.keeper()?.is_valid().into()).into())
}

fn token(call: &Call<'_>) -> Result<Return> {
    Ok(Obj::uint(call.data::<Election>()?.owner.keeper()?.token()?).into())
}

fn resign(call: &Call<'_>) -> Result<Return> {
    call.data::<Election>()?.owner.give_back(call)
}

fn status(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Election>()?;
    this.owner.status(|dict, status| {
        dict.put("id", &this.id);
        dict.put("is_leader", &Obj::int(status.valid.into()));
    })
}

const OF_BUCKETS: &[Method] =
    &[Method { name: "elect", usage: "name ?arg ...?", min: 1, max: ANY, body: elect }];

const METHODS: &[Method] = &[
    Method { name: "leader", usage: "", min: 0, max: 0, body: leader },
    Method { name: "is_leader", usage: "", min: 0, max: 0, body: is_leader },
    Method { name: "token", usage: "", min: 0, max: 0, body: token },
    Method { name: "resign", usage: "", min: 0, max: 0, body: resign },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::key_value", None, None, OF_BUCKETS)?;
    oo::define(interp, CLASS, None, None, METHODS)
}
