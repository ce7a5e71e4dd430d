//! `nats::jet_stream`: the JetStream context that a connection makes, and its API requests.

use super::api::{Api, Discards, Op};
use super::publish::Publishing;
use super::tracing::Tracing;
use crate::bridge::{self, Pending, Promise};
use crate::connection::Connection;
use crate::connection::log::Level;
use crate::error::Error;
use crate::options::{self, Type};
use crate::schema::{self, Given, Record, Version};
use crate::tcl::call::ANY;
use crate::tcl::oo::Children;
use crate::tcl::{Call, Interp, Method, Native, Obj, ObjectHandle, Result, Return, oo};
use crate::transport::{Link, RequestId};
use serde_json::Value;
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub struct JetStream {
    handle: ObjectHandle,
    pub connection: Rc<Connection>,
    /// `$JS.API`, `$JS.<domain>.API` or what the user gave.
    pub prefix: Arc<str>,
    timeout_ms: i64,
    tracing: Option<Tracing>,
    discards: Discards,
    pub publishing: Rc<Publishing>,
    children: Children,
    /// Subscriptions of the connection that end with this object.
    subscriptions: RefCell<Vec<i64>>,
}

impl JetStream {
    /// The limit of each request; none if the timeout is 0.
    pub fn timeout(&self) -> Option<Duration> {
        (self.timeout_ms > 0).then(|| Duration::from_millis(self.timeout_ms as u64))
    }

    /// Whether the server is of this version or newer; one that is not known yet counts as new.
    pub fn serves(&self, version: Version) -> bool {
        self.connection.server_info().is_none_or(|info| info.at_least(version))
    }

    pub fn api(&self) -> crate::error::Result<Api> {
        let (link, prefix) = (self.connection.link()?, self.prefix.clone());
        let trace = self.tracing.as_ref().map(|tracing| tracing.trace.clone());
        let discards = self.discards.clone();
        Ok(Api { link, prefix, timeout: self.timeout(), trace, discards })
    }

    /// Logs what was asked and answered since the last time.
    pub fn log_trace(&self) {
        if let Some(tracing) = &self.tracing {
            tracing.log(&self.connection);
        }
    }

    /// Takes a subscription of the connection, which ends with this object.
    pub fn subscribed(&self, id: i64) {
        let mut subscriptions = self.subscriptions.borrow_mut();
        subscriptions.retain(|id| self.connection.has_subscription(*id));
        subscriptions.push(id);
    }

    /// Logs an answer that is a message.
    pub fn log_message(&self, subject: &str, message: &Obj) {
        if self.tracing.is_some() {
            let line = format!("<<< {subject} {}", message.text());
            self.connection.logger.log(Level::Debug, &line);
        }
    }

    /// Takes a new object as a child. Once this object has gone, the connection does: a call that
    /// was under way then still returns what it made.
    pub fn adopt(&self, interp: Interp<'_>, child: &ObjectHandle) -> Result<()> {
        if self.handle.is_alive() {
            self.children.adopt(child);
            return Ok(());
        }
        self.connection.adopt(interp, child)
    }

    pub fn release(&self, child: &ObjectHandle) {
        self.children.release(child);
        self.connection.release(child);
    }

    /// Asks the API once and makes the command's result from the reply.
    pub fn call(
        self: &Rc<Self>,
        interp: Interp<'_>,
        op: Op<'_>,
        body: Option<&Value>,
        finish: impl FnOnce(Interp<'_>, crate::error::Result<Value>) -> Result<Return> + 'static,
    ) -> Result<Return> {
        let api = self.api()?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let send = |promise: Promise<Value>| {
            api.request(op, body, api.timeout, move |reply| promise.complete(reply))
        };
        self.request(interp, &api.link, send, finish)
    }

    /// Sends what the program gives for JSON, and returns the reply as it came, unless it is an error.
    pub fn verbatim(
        self: &Rc<Self>,
        interp: Interp<'_>,
        op: Op<'_>,
        body: String,
        done: impl FnOnce() + 'static,
    ) -> Result<Return> {
        let api = self.api()?;
        let send = |promise: Promise<String>| {
            api.request_verbatim(op, body, move |reply| promise.complete(reply))
        };
        self.request(interp, &api.link, send, move |_, outcome| {
            let reply = Obj::new(&outcome?);
            done();
            Ok(reply.into())
        })
    }

    /// What the server takes of the options of a method.
    pub fn record(&self, interp: Interp<'_>, given: Given) -> Result<Record> {
        given.record(interp, &|version| self.serves(version))
    }

    /// That the server is of this version or newer, for what is called `what`.
    ///
    /// # Errors
    /// `ErrNotSupported`.
    pub fn needs(&self, what: &str, version: Version) -> crate::error::Result<()> {
        match self.serves(version) {
            true => Ok(()),
            false => Err(schema::too_old(what, version)),
        }
    }

    /// Sends one request and makes the command's result from what its answer was made to.
    pub fn request<T: Send + 'static>(
        self: &Rc<Self>,
        interp: Interp<'_>,
        link: &Link,
        send: impl FnOnce(Promise<T>) -> crate::error::Result<RequestId>,
        finish: impl FnOnce(Interp<'_>, crate::error::Result<T>) -> Result<Return> + 'static,
    ) -> Result<Return> {
        let (promise, pending) = bridge::promise(interp);
        let sent = send(promise)?;
        self.wait(interp, pending.or_cancel(link.canceller(sent)), finish)
    }

    /// Does what takes several requests, and makes the command's result from what comes out.
    pub fn run<T, F>(
        self: &Rc<Self>,
        interp: Interp<'_>,
        work: impl FnOnce(Api) -> F,
        finish: impl FnOnce(Interp<'_>, crate::error::Result<T>) -> Result<Return> + 'static,
    ) -> Result<Return>
    where
        T: Send + 'static,
        F: Future<Output = crate::error::Result<T>> + Send + 'static,
    {
        let api = self.api()?;
        let link = api.link.clone();
        let (promise, pending) = bridge::promise(interp);
        let work = work(api);
        let task = link.spawn(async move { promise.complete(work.await) });
        self.wait(interp, pending.or_cancel(move || task.abort()), finish)
    }

    /// Waits for what was asked through the API.
    pub fn wait<T: Send + 'static>(
        self: &Rc<Self>,
        interp: Interp<'_>,
        pending: Pending<T>,
        finish: impl FnOnce(Interp<'_>, crate::error::Result<T>) -> Result<Return> + 'static,
    ) -> Result<Return> {
        let this = self.clone();
        pending.wait(interp, move |interp, outcome| {
            this.log_trace();
            finish(interp, outcome.map_err(|error| this.connection.ended(error)))
        })
    }
}

impl Native for JetStream {
    fn gone(&self) {
        self.publishing.gone();
        for id in self.subscriptions.take() {
            self.connection.end_subscription_of(id);
        }
        self.connection.release(&self.handle);
        if let Some(guard) = self.connection.interp() {
            self.children.destroy(guard.interp());
        }
    }
}

/// What API subjects begin with.
fn prefix_of(
    domain: Option<String>,
    prefix: Option<String>,
    options: &str,
) -> crate::error::Result<Arc<str>> {
    match (domain, prefix) {
        (Some(_), Some(_)) => Err(Error::invalid(format!("{options} are mutually exclusive"))),
        (Some(domain), None) => Ok(format!("$JS.{domain}.API").into()),
        (None, Some(prefix)) => Ok(prefix.into()),
        (None, None) => Ok("$JS.API".into()),
    }
}

/// `$connection jet_stream ?options?`
fn create(call: &Call<'_>) -> Result<Return> {
    let connection = call.data::<Connection>()?;
    const OPTIONS: &[options::Spec] = &[
        ("timeout", Type::Timeout),
        ("domain", Type::ValidStr),
        ("api_prefix", Type::ValidStr),
        ("trace", Type::Bool),
        ("max_pending", Type::PosInt),
    ];
    const MAX_PENDING: i64 = 65536;
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    let prefix = match (given.string("domain"), given.string("api_prefix")) {
        (None, None) => {
            let (domain, prefix) = connection.jetstream_options();
            prefix_of(domain, prefix, "-jetstream_domain and -jetstream_api_prefix")?
        }
        (domain, prefix) => prefix_of(domain, prefix, "-domain and -api_prefix")?,
    };
    let max_pending = given.int("max_pending").unwrap_or(MAX_PENDING).unsigned_abs();
    let tracing = given.flag("trace").then(|| Tracing::new(call.interp, &connection));
    let js = oo::instantiate(call.interp, "::nats::jet_stream", |handle| {
        Rc::new(JetStream {
            handle,
            connection,
            prefix,
            timeout_ms: given.int("timeout").unwrap_or(5000),
            tracing,
            discards: Discards::default(),
            publishing: Rc::new(Publishing::new(max_pending)),
            children: Children::default(),
            subscriptions: RefCell::default(),
        })
    })?;
    js.connection.adopt(call.interp, &js.handle)?;
    Ok(js.handle.command(call.interp).into())
}

fn destruct(call: &Call<'_>) -> Result<Return> {
    let Ok(this) = call.data::<JetStream>() else { return Ok(Return::Empty) };
    this.publishing.gone();
    this.children.destroy(call.interp);
    Ok(Return::Empty)
}

fn api_prefix(call: &Call<'_>) -> Result<Return> {
    Ok(Obj::new(&call.data::<JetStream>()?.prefix).into())
}

fn timeout(call: &Call<'_>) -> Result<Return> {
    Ok(Obj::int(call.data::<JetStream>()?.timeout_ms).into())
}

const METHODS: &[Method] = &[
    Method { name: "api_prefix", usage: "", min: 0, max: 0, body: api_prefix },
    Method { name: "timeout", usage: "", min: 0, max: 0, body: timeout },
];

/// What a connection has of JetStream.
const FACTORY: &[Method] =
    &[Method { name: "jet_stream", usage: "?arg ...?", min: 0, max: ANY, body: create }];

static DESTRUCTOR: Method =
    Method { name: "destructor", usage: "", min: 0, max: 0, body: destruct };

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::connection", None, None, FACTORY)?;
    oo::define(interp, "::nats::jet_stream", None, Some(&DESTRUCTOR), METHODS)
}
