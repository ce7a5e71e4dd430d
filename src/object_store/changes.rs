//! The methods that change what there is beside data: `delete`, `update_meta`, `add_link`, `add_bucket_link`.

use super::info::Link;
use super::info_dict::to_dict;
use super::links::to_object;
use super::names::check_object;
use super::object::ObjectStore;
use super::update::Changes;
use crate::bucket::names::check_bucket;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};

fn delete(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<ObjectStore>()?;
    let name = call.arg(0)?.string();
    check_object(&name)?;
    let store = this.store()?;
    let deleted = |_| async move { store.delete(&name).await };
    this.js.run(call.interp, deleted, |_, outcome| {
        outcome?;
        Ok(Return::Empty)
    })
}

fn texts(interp: Interp<'_>, dict: &Obj) -> Result<Vec<(String, String)>> {
    let pairs = dict.pairs(interp)?.into_iter();
    Ok(pairs.map(|(name, value)| (name.string(), value.string())).collect())
}

/// Name and values, as dicts of headers have them.
fn lists(interp: Interp<'_>, dict: &Obj) -> Result<Vec<(String, Vec<String>)>> {
    let pairs = dict.pairs(interp)?.into_iter();
    let values = |values: &Obj| -> Result<Vec<String>> {
        Ok(values.elements(interp)?.iter().map(Obj::string).collect())
    };
    pairs.map(|(name, list)| Ok((name.string(), values(&list)?))).collect()
}

fn update_meta(call: &Call<'_>) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[
        ("name", Type::Str),
        ("description", Type::Str),
        ("metadata", Type::Dict),
        ("header", Type::Dict),
    ];
    let interp = call.interp;
    let this = call.data::<ObjectStore>()?;
    let name = call.arg(0)?.string();
    check_object(&name)?;
    let given = options::parse(interp, OPTIONS, &call.args()[1..])?;
    let changes = Changes {
        name: given.string("name"),
        description: given.string("description"),
        metadata: given.get("metadata").map(|dict| texts(interp, dict)).transpose()?,
        headers: given.get("header").map(|dict| lists(interp, dict)).transpose()?,
    };
    if let Some(name) = &changes.name {
        check_object(name)?;
    }
    let store = this.store()?;
    let updated = |_| async move { store.update_meta(&name, &changes).await };
    this.js.run(interp, updated, |_, outcome| Ok(to_dict(&outcome?).into()))
}

/// The target of a link: what `info` returns, or the part of it that counts.
fn target(call: &Call<'_>, this: &ObjectStore, dict: &Obj) -> Result<Link> {
    let field = |name: &str| dict.dict_get(call.interp, name);
    let bucket = field("bucket")?.map_or_else(|| this.bucket.name.clone(), |word| word.string());
    let name = field("name")?.map(|word| word.string()).unwrap_or_default();
    let options = field("options")?;
    let is_link = match options {
        Some(options) => options.dict_get(call.interp, "link")?.is_some(),
        None => false,
    };
    let deleted = field("deleted")?.and_then(|word| options::boolean(&word.text()));
    Ok(to_object(&bucket, &name, is_link, deleted == Some(true))?)
}

fn link(call: &Call<'_>, this: &ObjectStore, link: Link) -> Result<Return> {
    let name = call.arg(0)?.string();
    check_object(&name)?;
    let store = this.store()?;
    let made = |_| async move { store.add_link(&name, link).await };
    this.js.run(call.interp, made, |_, outcome| Ok(to_dict(&outcome?).into()))
}

fn add_link(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<ObjectStore>()?;
    let target = target(call, &this, call.arg(1)?)?;
    link(call, &this, target)
}

fn add_bucket_link(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<ObjectStore>()?;
    let bucket = call.arg(1)?.string();
    check_bucket(&bucket)?;
    link(call, &this, Link { bucket, name: None })
}

const METHODS: &[Method] = &[
    Method { name: "add_bucket_link", usage: "name bucket", min: 2, max: 2, body: add_bucket_link },
    Method { name: "add_link", usage: "name target", min: 2, max: 2, body: add_link },
    Method { name: "delete", usage: "name", min: 1, max: 1, body: delete },
    Method { name: "update_meta", usage: "name ?arg ...?", min: 1, max: ANY, body: update_meta },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::object_store", None, None, METHODS)
}
