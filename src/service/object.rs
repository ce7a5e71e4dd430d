//! `nats::service`: how the object is made, goes on over a new link, and goes.

use super::common::Common;
use super::desk;
use super::endpoint::{Endpoint, Wanted};
use super::names::{check_name, check_version};
use super::stop::Stopping;
use crate::connection::log::Level;
use crate::connection::{Connection, Follower};
use crate::error::Error;
use crate::options::{self, Options, Type};
use crate::subject;
use crate::tcl::call::ANY;
use crate::tcl::oo::Children;
use crate::tcl::{Call, Interp, Method, Native, ObjectHandle, Prefix, Result, Return, oo};
use crate::transport::{Link, new_inbox};
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::SystemTime;

pub const CLASS: &str = "::nats::service";

const OPTIONS: &[options::Spec] = &[
    ("name", Type::ValidStr),
    ("version", Type::ValidStr),
    ("description", Type::Str),
    ("metadata", Type::Dict),
    ("queue_group", Type::Str),
    ("stats_handler", Type::Str),
    ("error_handler", Type::Str),
];

/// The queue group of endpoints for which nothing else is said.
const USUAL_QUEUE: &str = "q";

pub struct Service {
    pub handle: ObjectHandle,
    pub weak: Weak<Service>,
    pub connection: Rc<Connection>,
    pub common: Rc<Common>,
    pub queue: Option<String>,
    pub stats_handler: Option<Prefix>,
    /// Since when requests are counted.
    pub started: Cell<SystemTime>,
    pub endpoints: RefCell<Vec<Rc<Endpoint>>>,
    /// Numbers of the subscriptions for PING, INFO and STATS.
    pub monitors: RefCell<Vec<i64>>,
    pub stopping: Stopping,
    groups: Children,
}

fn construct(call: &Call<'_>) -> Result<Return> {
    let interp = call.interp;
    let object = call.object()?;
    let word = call.arg(0)?;
    let connection = oo::find(interp, word)?.data::<Connection>().ok_or_else(|| {
        Error::invalid(format!("{} is no connection of this package", word.text()))
    })?;
    let given = options::parse(interp, OPTIONS, call.args().get(1..).unwrap_or_default())?;
    let required = |name: &str| {
        given.string(name).ok_or_else(|| Error::invalid(format!("Option {name} is required")))
    };
    let (name, version) = (required("name")?, required("version")?);
    check_name("service name", &name)?;
    check_version(&version)?;
    let queue = queue_of(&given, &Some(USUAL_QUEUE.into()))?;
    let prefix = |option: &str| match given.non_empty(option) {
        Some(words) => words.elements(interp).map(Prefix::new).map(Some),
        None => Ok(None),
    };
    let (stats_handler, error_handler) = (prefix("stats_handler")?, prefix("error_handler")?);
    let metadata = metadata_of(interp, &given)?;
    let description = given.string("description").unwrap_or_default();
    connection.check_subscribable()?;
    let inbox = new_inbox("");
    let common = Rc::new(Common {
        connection: Rc::downgrade(&connection),
        name,
        id: inbox.trim_start_matches('.').to_owned(),
        version,
        description,
        metadata,
        error_handler,
        ended: Cell::new(false),
    });
    let this = object.attach(|handle| {
        Rc::new_cyclic(|weak| Service {
            handle,
            weak: weak.clone(),
            connection,
            common,
            queue,
            stats_handler,
            started: Cell::new(SystemTime::now()),
            endpoints: RefCell::default(),
            monitors: RefCell::default(),
            stopping: Stopping::default(),
            groups: Children::default(),
        })
    })?;
    this.connection.adopt(interp, &this.handle)?;
    this.listen(interp)?;
    let follower: Rc<dyn Follower> = this.clone();
    this.connection.follow(Rc::downgrade(&follower));
    Ok(Return::Empty)
}

/// The queue group that an option says, or the one of whom it is part. Given as empty there is none.
pub fn queue_of(given: &Options, outer: &Option<String>) -> crate::error::Result<Option<String>> {
    match given.string("queue_group") {
        None => Ok(outer.clone()),
        Some(queue) if queue.is_empty() => Ok(None),
        Some(queue) => subject::check_queue(&queue).map(|()| Some(queue)),
    }
}

pub fn metadata_of(interp: Interp<'_>, given: &Options) -> Result<Map<String, Value>> {
    let Some(dict) = given.get("metadata") else { return Ok(Map::new()) };
    let pairs = dict.pairs(interp)?;
    Ok(pairs.into_iter().map(|(name, value)| (name.string(), value.string().into())).collect())
}

impl Service {
    /// # Errors
    /// `ErrServiceStopped`.
    pub fn check_running(&self) -> crate::error::Result<()> {
        if self.common.ended.get() || self.stopping.has_begun() {
            return Err(self.common.stopped());
        }
        Ok(())
    }

    pub fn add_endpoint(&self, interp: Interp<'_>, wanted: Wanted) -> Result<()> {
        let this = self.weak.upgrade().ok_or_else(|| self.common.stopped())?;
        self.check_running()?;
        self.connection.check_subscribable()?;
        let same =
            |other: &Rc<Endpoint>| other.subject == wanted.subject && other.queue == wanted.queue;
        if let Some(other) = self.endpoints.borrow().iter().find(|other| same(other)) {
            let text =
                format!("The endpoint {} has the subject {} already", other.name, other.subject);
            return Err(Error::invalid(text).into());
        }
        let endpoint = Endpoint::new(&this, wanted);
        endpoint.subscribe(interp, &self.connection)?;
        self.endpoints.borrow_mut().push(endpoint);
        Ok(())
    }

    pub fn adopt_group(&self, group: &ObjectHandle) {
        self.groups.adopt(group);
    }

    pub fn release_group(&self, group: &ObjectHandle) {
        self.groups.release(group);
    }

    /// The subscriptions of the service that there are.
    pub fn subscriptions(&self) -> Vec<i64> {
        let endpoints = self.endpoints.borrow();
        let theirs = endpoints.iter().filter_map(|endpoint| endpoint.subscription.get());
        self.monitors.borrow().iter().copied().chain(theirs).collect()
    }

    pub fn end_subscriptions(&self) {
        for id in self.subscriptions() {
            self.connection.end_subscription_of(id);
        }
    }

    fn resume_over(&self, interp: Interp<'_>) -> Result<()> {
        self.listen(interp)?;
        for endpoint in self.endpoints.borrow().iter() {
            endpoint.subscribe(interp, &self.connection)?;
        }
        Ok(())
    }

    /// Tells those who wait for answers that there will be none.
    fn refuse_all(&self, link: &Link) {
        for reply in desk::take_all(|endpoint| endpoint.is_of(&self.common)) {
            self.common.refuse(link, &reply);
        }
        let endpoints = self.endpoints.borrow();
        for id in endpoints.iter().filter_map(|endpoint| endpoint.subscription.get()) {
            for message in self.connection.take_waiting(id) {
                if let Some(reply) = message.reply().filter(|reply| !reply.is_empty()) {
                    self.common.refuse(link, &String::from_utf8_lossy(reply));
                }
            }
        }
    }
}

impl Follower for Service {
    fn leave(&self, link: &Link) {
        // Otherwise what is in hand can still be answered when there is a connection again.
        if self.connection.is_ending() {
            self.common.ended.set(true);
            self.refuse_all(link);
        }
        self.stopping.connection_closed();
    }

    fn resume(&self, _link: &Link) {
        if self.check_running().is_err() {
            return;
        }
        let Some(guard) = self.connection.interp() else { return };
        if let Err(failure) = self.resume_over(guard.interp()) {
            self.common.log(Level::Error, "its subscriptions could not be made again");
            guard.interp().background(&failure);
        }
    }
}

impl Native for Service {
    fn gone(&self) {
        self.common.ended.set(true);
        match self.connection.link() {
            Ok(link) => self.refuse_all(&link),
            Err(_) => drop(desk::take_all(|endpoint| endpoint.is_of(&self.common))),
        }
        self.end_subscriptions();
        self.stopping.connection_closed();
        self.connection.release(&self.handle);
        if let Some(guard) = self.connection.interp() {
            self.groups.destroy(guard.interp());
        }
    }
}

static CONSTRUCTOR: Method = Method {
    name: "constructor",
    usage: "connection ?arg ...?",
    min: 1,
    max: ANY,
    body: construct,
};

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, CLASS, Some(&CONSTRUCTOR), None, &[])
}
