//! `nats::service_group`: endpoints whose subjects begin alike.

use super::methods::add_endpoint;
use super::object::{Service, queue_of};
use crate::error::{Error, Kind};
use crate::options::{self, Type};
use crate::subject;
use crate::tcl::call::ANY;
use crate::tcl::{Call, Interp, Method, Native, ObjectHandle, Result, Return, oo};
use std::rc::{Rc, Weak};

const CLASS: &str = "::nats::service_group";

struct Group {
    handle: ObjectHandle,
    service: Weak<Service>,
    prefix: String,
    queue: Option<String>,
}

impl Group {
    fn service(&self) -> Result<Rc<Service>> {
        let gone = || Error::new(Kind::ServiceStopped, "The service was destroyed");
        Ok(self.service.upgrade().ok_or_else(gone)?)
    }
}

impl Native for Group {
    fn gone(&self) {
        if let Some(service) = self.service.upgrade() {
            service.release_group(&self.handle);
        }
    }
}

/// Makes a group, below another one if there is a prefix.
pub fn make(
    call: &Call<'_>,
    service: &Service,
    outer: Option<&str>,
    queue: &Option<String>,
) -> Result<Return> {
    const OPTIONS: &[options::Spec] = &[("queue_group", Type::Str)];
    let prefix = call.arg(0)?.string();
    let words = call.args().get(1..).unwrap_or_default();
    let given = options::parse(call.interp, OPTIONS, words)?;
    service.check_running()?;
    subject::check_publish(&prefix)?;
    let queue = queue_of(&given, queue)?;
    let prefix = match outer {
        Some(outer) => format!("{outer}.{prefix}"),
        None => prefix,
    };
    let weak = service.weak.clone();
    let group = oo::instantiate(call.interp, CLASS, |handle| {
        Rc::new(Group { handle, service: weak, prefix, queue })
    })?;
    service.adopt_group(&group.handle);
    Ok(group.handle.command(call.interp).into())
}

fn endpoint(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Group>()?;
    add_endpoint(call, &*this.service()?, Some(&this.prefix), &this.queue)
}

fn group(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Group>()?;
    make(call, &*this.service()?, Some(&this.prefix), &this.queue)
}

const METHODS: &[Method] = &[
    Method { name: "endpoint", usage: "name ?arg ...?", min: 1, max: ANY, body: endpoint },
    Method { name: "group", usage: "prefix ?arg ...?", min: 1, max: ANY, body: group },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, CLASS, None, None, METHODS)
}
