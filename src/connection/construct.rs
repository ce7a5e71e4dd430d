//! How a connection object is made, and destroyed.

use super::delivery::Delivery;
use super::drain::Drains;
use super::event_callback::EventCallback;
use super::lifecycle::{FLUSH_LIMIT, Lifecycle};
use super::links::Links;
use super::log::{self, Level, Logger, Target};
use super::options::Config;
use super::outgoing::OutgoingMemory;
use super::parts::Parts;
use super::statistics::Totals;
use super::variables::Variables;
use super::{CLASS, Connection};
use crate::options::{self, Options, Type};
use crate::tcl::call::ANY;
use crate::tcl::oo::Children;
use crate::tcl::{Call, Interp, Method, Native, Obj, Object, Result, Return, oo};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const OPTIONS: &[options::Spec] =
    &[("logger", Type::ValidStr), ("log_chan", Type::ValidStr), ("log_level", Type::ValidStr)];

fn construct(call: &Call<'_>) -> Result<Return> {
    let interp = call.interp;
    let object = call.object()?;
    let (name, rest) = match call.args() {
        [] => (String::new(), &[][..]),
        [name, rest @ ..] => (name.string(), rest),
    };
    let given = options::parse(interp, OPTIONS, rest)?;
    let target = log_target(interp, &given)?;
    let mut config = Config::new(interp)?;
    config.set(interp, "name", Obj::new(&name))?;
    if let Target::Channel { level, .. } = &target {
        config.set(interp, "log_level", Obj::new(level.get().word()))?;
    }
    let logger = Logger::new(interp.handle(), log_name(interp, object, name), target);
    let variables = Variables::declare(interp, &object.namespace()?)?;
    let (delivery, arrivals, arrivals_end) = Delivery::start(interp.handle());
    object.attach(|handle| {
        Rc::new_cyclic(|weak| Connection {
            interp_handle: interp.handle(),
            handle,
            weak: weak.clone(),
            logger,
            config: RefCell::new(config),
            variables,
            links: Links::default(),
            lifecycle: Lifecycle::default(),
            children: Children::default(),
            ending: Cell::new(false),
            outgoing_memory: OutgoingMemory::default(),
            delivery,
            arrivals,
            arrivals_end: RefCell::new(Some(arrivals_end)),
            events: EventCallback::start(interp.handle()),
            drains: Drains::default(),
            totals: Totals::default(),
            parts: Parts::default(),
        })
    })?;
    Ok(Return::Empty)
}

fn log_target(interp: Interp<'_>, given: &Options) -> Result<Target> {
    if let Some(service) = given.string("logger") {
        log::check_service(interp, &service)?;
        return Ok(Target::Service(service));
    }
    let level = given.string("log_level").map_or(Ok(Level::Warn), |word| Level::parse(&word))?;
    let name = given.string("log_chan").unwrap_or_else(|| "stdout".into());
    Ok(Target::Channel { name, level: Cell::new(level) })
}

/// What stands in log lines: the name, or else the tail of the object's command.
fn log_name(interp: Interp<'_>, object: Object<'_>, name: String) -> String {
    if !name.is_empty() {
        return name;
    }
    let command = object.command(interp).string();
    command.rsplit("::").next().unwrap_or_default().to_owned()
}

fn destruct(call: &Call<'_>) -> Result<Return> {
    // A constructor that failed leaves no data.
    let Ok(this) = call.data::<Connection>() else { return Ok(Return::Empty) };
    this.ending.set(true);
    this.disconnect();
    this.children.destroy(call.interp);
    Ok(Return::Empty)
}

impl Native for Connection {
    fn gone(&self) {
        // Without a destructor (that of a subclass did not call next, the interpreter is deleted)
        // the link still has to end.
        self.ending.set(true);
        self.variables.gone();
        self.lifecycle.begin_change();
        let _waiting = self.lifecycle.connect_ended();
        self.close_link(FLUSH_LIMIT);
        if let Some(arrivals) = self.arrivals_end.take() {
            arrivals.finish();
        }
        self.events.finish();
        self.parts.clear();
        if let Some(guard) = self.interp_handle.enter() {
            self.children.destroy(guard.interp());
        }
    }
}

static CONSTRUCTOR: Method = Method {
    name: "constructor",
    usage: "?conn_name? ?arg ...?",
    min: 0,
    max: ANY,
    body: construct,
};
static DESTRUCTOR: Method =
    Method { name: "destructor", usage: "", min: 0, max: 0, body: destruct };

/// Constructor and destructor of the class.
pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, CLASS, Some(&CONSTRUCTOR), Some(&DESTRUCTOR), &[])
}
