//! `nats::object_store`: the object, and its methods `info` and `list`.

use super::bucket::Bucket;
use super::consumer::ordered_config;
use super::info_dict::to_dict;
use super::list;
use super::names::check_object;
use super::observer::Unreadable;
use super::store::{From, Store};
use crate::bucket::own_writes::OwnWrites;
use crate::connection::log::Level;
use crate::jetstream::context::JetStream;
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, List, Method, Native, Obj, ObjectHandle, Result, Return, oo};
use std::rc::Rc;
use std::sync::Arc;

pub struct ObjectStore {
    handle: ObjectHandle,
    pub js: Rc<JetStream>,
    pub bucket: Arc<Bucket>,
    own_writes: Arc<OwnWrites>,
}

impl ObjectStore {
    /// The way to it, for one operation.
    pub fn store(&self) -> crate::error::Result<Store> {
        let (bucket, own_writes) = (self.bucket.clone(), self.own_writes.clone());
        Ok(Store { api: self.js.api()?, bucket, own_writes })
    }
}

impl Native for ObjectStore {
    fn gone(&self) {
        self.js.release(&self.handle);
    }
}

/// Makes the object of an object store and returns its command.
pub fn create(interp: Interp<'_>, js: &Rc<JetStream>, bucket: Bucket) -> Result<Obj> {
    let bucket = Arc::new(bucket);
    let store = oo::instantiate(interp, "::nats::object_store", |handle| {
        let own_writes = Arc::default();
        Rc::new(ObjectStore { handle, js: js.clone(), bucket, own_writes })
    })?;
    js.adopt(interp, &store.handle)?;
    Ok(store.handle.command(interp))
}

/// Whether what was deleted counts.
const DELETED: &[options::Spec] = &[("deleted", Type::Bool)];

fn info(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<ObjectStore>()?;
    let name = call.arg(0)?.string();
    check_object(&name)?;
    let deleted = options::parse(call.interp, DELETED, &call.args()[1..])?.flag("deleted");
    let store = this.store()?;
    let described = |_| async move {
        match deleted {
            true => store.described(&name, From::Anybody).await,
            false => store.present(&name, From::Anybody).await,
        }
    };
    this.js.run(call.interp, described, |_, outcome| Ok(to_dict(&outcome?.info).into()))
}

fn list(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<ObjectStore>()?;
    let deleted = options::parse(call.interp, DELETED, call.args())?.flag("deleted");
    let store = this.store()?;
    let config = ordered_config(&this, DeliverPolicy::LastPerSubject, false);
    let js = this.js.clone();
    this.js.run(
        call.interp,
        |_| list::list(store, config),
        move |_, outcome| {
            let listed = outcome?;
            for Unreadable { text, .. } in &listed.unreadable {
                js.connection.logger.log(Level::Warn, &format!("List of objects: {text}"));
            }
            let mut list = List::new();
            for info in listed.objects.iter().filter(|info| deleted || !info.deleted) {
                list.push(&to_dict(info));
            }
            Ok(list.into())
        },
    )
}

const METHODS: &[Method] = &[
    Method { name: "info", usage: "name ?arg ...?", min: 1, max: ANY, body: info },
    Method { name: "list", usage: "?arg ...?", min: 0, max: ANY, body: list },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::object_store", None, None, METHODS)
}
