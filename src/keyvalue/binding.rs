//! How a program wants to work with a bucket: the options of `bind_kv_bucket`.

use super::codec::Codecs;
use crate::bucket::own_writes::OwnWrites;
use crate::options::{self, Type};
use crate::tcl::{Interp, Obj, Result};
use std::rc::Rc;
use std::sync::Arc;

/// Buckets that were just made have none of it.
#[derive(Default)]
pub struct Binding {
    /// Nothing is written through this handle.
    pub read_only: bool,
    /// What was written through it, if it shall not read anything older.
    pub own_writes: Option<Arc<OwnWrites>>,
    /// In what form keys and values are stored.
    pub codecs: Option<Rc<Codecs>>,
}

impl Binding {
    pub fn parse(interp: Interp<'_>, words: &[Obj]) -> Result<Binding> {
        const OPTIONS: &[options::Spec] = &[
            ("read_only", Type::Bool),
            ("read_your_writes", Type::Bool),
            ("key_codec", Type::Str),
            ("value_codec", Type::Str),
        ];
        let given = options::parse(interp, OPTIONS, words)?;
        let codecs = Codecs::of(interp, given.get("key_codec"), given.get("value_codec"))?;
        Ok(Binding {
            codecs: Some(Rc::new(codecs)),
            read_only: given.flag("read_only"),
            own_writes: given.flag("read_your_writes").then(Arc::default),
        })
    }
}
