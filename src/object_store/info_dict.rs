//! The description of an object as Tcl has it.

use super::info::ObjectInfo;
use crate::json;
use crate::tcl::{Dict, Obj};

/// All fields are there, whatever the object has.
pub fn to_dict(info: &ObjectInfo) -> Obj {
    let mut metadata = Dict::new();
    for (name, value) in &info.metadata {
        metadata.put(name, &Obj::new(value));
    }
    let mut headers = Dict::new();
    for (name, values) in &info.headers {
        let values: Vec<Obj> = values.iter().map(|value| Obj::new(value)).collect();
        headers.put(name, &Obj::list(&values));
    }
    let mut dict = Dict::new();
    dict.put("name", &Obj::new(&info.name));
    dict.put("description", &Obj::new(&info.description));
    dict.put("metadata", &metadata.into());
    dict.put("headers", &headers.into());
    dict.put("options", &json::to_dict(&info.options()));
    dict.put("bucket", &Obj::new(&info.bucket));
    dict.put("nuid", &Obj::new(&info.nuid));
    dict.put("size", &Obj::uint(info.size));
    dict.put("mtime", &Obj::int(info.mtime));
    dict.put("chunks", &Obj::uint(info.chunks));
    dict.put("digest", &Obj::new(&info.digest));
    dict.put("deleted", &Obj::word(info.deleted));
    dict.into()
}
