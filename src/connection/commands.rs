//! The commands of `nats::connection`.

use super::config;
use super::delivery::Delivery;
use super::drain::Drains;
use super::events::Events;
use super::log::{self, Level, Logger, Target};
use super::options::Config;
use super::outgoing::OutgoingMemory;
use super::traffic::Totals;
use super::{
    Connection, Status, drain, no_connection, publish, request, servers, subscription, traffic,
};
use crate::bridge;
use crate::error::{Error, Kind};
use crate::options::{self, Type};
use crate::tcl::call::{ANY, create};
use crate::tcl::oo::Children;
use crate::tcl::{Call, Interp, Method, Obj, Result, Return, oo};
use crate::transport::{RequestError, new_inbox};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

fn construct(call: &Call<'_>) -> Result<Return> {
    let interp = call.interp;
    let object = call.object()?;
    let (name, rest) = match call.args() {
        [] => (String::new(), &[][..]),
        [name, rest @ ..] => (name.string(), rest),
    };
    const OPTIONS: &[options::Spec] =
        &[("logger", Type::ValidStr), ("log_chan", Type::ValidStr), ("log_level", Type::ValidStr)];
    let given = options::parse(interp, OPTIONS, rest)?;
    let target = match given.string("logger") {
        Some(service) => {
            log::check_service(interp, &service)?;
            Target::Service(service)
        }
        None => Target::Channel {
            name: given.string("log_chan").unwrap_or_else(|| "stdout".into()),
            level: Cell::new(Level::parse(given.string("log_level").as_deref().unwrap_or("warn"))?),
        },
    };
    let mut config = Config::new(interp)?;
    config.set(interp, "name", Obj::new(&name))?;
    if let Target::Channel { level, .. } = &target {
        config.set(interp, "log_level", Obj::new(level.get().word()))?;
    }
    let command = object.command(interp).string();
    let shown = match name.as_str() {
        "" => command.rsplit("::").next().unwrap_or_default().to_owned(),
        given => given.to_owned(),
    };
    let my = Obj::new(&format!("{}::my", object.namespace()));
    interp.call(&[my.clone(), Obj::new("DeclareVariables")])?;
    let (delivery, arrivals, arrivals_end) = Delivery::start(interp.handle());
    object.attach(|handle| {
        Rc::new_cyclic(|weak| Connection {
            interp_handle: interp.handle(),
            handle,
            my,
            weak: weak.clone(),
            logger: Logger::new(interp.handle(), shown, target),
            config: RefCell::new(config),
            status: Cell::new(Status::Closed),
            last_error: RefCell::new(None),
            pool: RefCell::default(),
            open: RefCell::new(None),
            info: RefCell::new(None),
            connecting: RefCell::default(),
            children: Children::default(),
            outgoing_memory: OutgoingMemory::default(),
            delivery,
            arrivals,
            arrivals_end: RefCell::new(Some(arrivals_end)),
            followers: RefCell::default(),
            writing: RefCell::default(),
            missed: RefCell::default(),
            written: Cell::new(0),
            turn: Cell::new(0),
            gone: Cell::new(false),
            events: Events::start(interp.handle()),
            drains: Drains::default(),
            totals: Totals::default(),
        })
    });
    Ok(Return::Empty)
}

fn destruct(call: &Call<'_>) -> Result<Return> {
    // A constructor that failed leaves no data.
    let Ok(this) = call.data::<Connection>() else { return Ok(Return::Empty) };
    this.disconnect();
    this.children.destroy(call.interp);
    Ok(Return::Empty)
}

fn connect(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let wait = match call.args() {
        [] => true,
        [flag] if flag.tcl_bytes() == b"-async" => false,
        words => {
            let words = words.iter().map(Obj::text).collect::<Vec<_>>().join(" ");
            return Err(Error::invalid(format!("Unknown option {words}")).into());
        }
    };
    if !this.closed() {
        return Ok(Return::Empty);
    }
    if this.pool.borrow().is_empty() {
        return Err(Error::new(Kind::NoServers, "Server pool is empty").into());
    }
    let (promise, answer) = bridge::promise(call.interp);
    if wait {
        this.connecting.borrow_mut().push(promise);
    }
    this.start()?;
    if !wait {
        return Ok(Return::Empty);
    }
    this.logger.log(Level::Debug, "Waiting for connection status");
    answer.wait(call.interp, move |_, _| {
        this.logger.log(Level::Debug, "Finished waiting for connection status");
        match this.status() {
            Status::Closed => Err(this.connect_error().into()),
            _ => Ok(Return::Empty),
        }
    })
}

fn disconnect(call: &Call<'_>) -> Result<Return> {
    call.data::<Connection>()?.disconnect();
    Ok(Return::Empty)
}

fn ping(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    const OPTIONS: &[options::Spec] = &[("timeout", Type::Timeout)];
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    if this.status() != Status::Connected {
        return Err(no_connection().into());
    }
    let timeout = given.duration("timeout").unwrap_or(Duration::from_secs(10));
    this.logger.log(Level::Debug, "sending PING");
    let (promise, answer) = bridge::promise(call.interp);
    let complete = this.in_order(move |outcome| promise.complete(outcome));
    let link = this.link()?;
    let sent = link.barrier(Some(timeout), move |outcome| {
        complete(outcome.map_err(|error| match error {
            RequestError::Timeout => Error::new(Kind::Timeout, "PING timeout"),
            _ => Error::connection_closed(),
        }));
    })?;
    let cancel = move || {
        link.cancel(sent);
    };
    answer.or_cancel(cancel).wait(call.interp, move |_, outcome| {
        outcome?;
        let text = format!("received PONG, status: {}", this.status().word());
        this.logger.log(Level::Debug, &text);
        Ok(Obj::word(true).into())
    })
}

fn inbox(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    Ok(Obj::new(&new_inbox(&this.config.borrow().inbox_prefix)).into())
}

const METHODS: &[Method] = &[
    Method { name: "connect", usage: "?arg ...?", min: 0, max: ANY, body: connect },
    Method { name: "disconnect", usage: "", min: 0, max: 0, body: disconnect },
    Method { name: "inbox", usage: "", min: 0, max: 0, body: inbox },
    Method { name: "ping", usage: "?arg ...?", min: 0, max: ANY, body: ping },
];

static CONSTRUCTOR: Method = Method {
    name: "constructor",
    usage: "?conn_name? ?arg ...?",
    min: 0,
    max: ANY,
    body: construct,
};
static DESTRUCTOR: Method =
    Method { name: "destructor", usage: "", min: 0, max: 0, body: destruct };
static TIMESTAMP: Method = Method {
    name: "::nats::timestamp",
    usage: "",
    min: 0,
    max: 0,
    body: |_| Ok(Obj::new(&log::timestamp()).into()),
};

/// Makes the class usable in an interpreter.
pub fn register(interp: Interp<'_>) -> Result<()> {
    create(interp, &TIMESTAMP)?;
    const CLASS: &str = "::nats::connection";
    oo::define(interp, CLASS, Some(&CONSTRUCTOR), Some(&DESTRUCTOR), METHODS)?;
    for methods in [
        config::METHODS,
        servers::METHODS,
        publish::METHODS,
        request::METHODS,
        subscription::METHODS,
        drain::METHODS,
        traffic::METHODS,
    ] {
        oo::define(interp, CLASS, None, None, methods)?;
    }
    Ok(())
}
