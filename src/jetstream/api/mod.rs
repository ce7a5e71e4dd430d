//! Requests to the JetStream API. No Tcl here: replies come on the runtime thread.

mod discard;
mod op;
mod pages;
mod paging;
pub mod reply;
mod trace;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use self::discard::Discards;
pub use self::op::{LONGEST_FILTER, Op};
pub use self::pages::Listing;
pub use self::trace::{Lines, Trace};
use crate::error::{Error, Kind, Result};
use crate::transport::{How, Link, Message, Outgoing, RequestError, RequestId, WeakLink};

/// The JetStream API of one domain, reached through one connection.
#[derive(Clone)]
pub struct Api {
    pub link: Link,
    /// `$JS.API`, or that of another domain or account.
    pub prefix: Arc<str>,
    /// Of every request; `None` is no limit.
    pub timeout: Option<Duration>,
    pub trace: Option<Trace>,
    pub discards: Discards,
}

/// An [`Api`] that does not keep its link open.
#[derive(Clone)]
pub struct WeakApi {
    link: WeakLink,
    prefix: Arc<str>,
    timeout: Option<Duration>,
    trace: Option<Trace>,
    discards: Discards,
}

impl WeakApi {
    /// The API, while somebody else has the link.
    pub fn upgrade(&self) -> Option<Api> {
        let WeakApi { prefix, timeout, trace, discards, .. } = self.clone();
        Some(Api { link: self.link.upgrade()?, prefix, timeout, trace, discards })
    }
}

impl Api {
    pub fn downgrade(&self) -> WeakApi {
        let Api { prefix, timeout, trace, discards, .. } = self.clone();
        WeakApi { link: self.link.downgrade(), prefix, timeout, trace, discards }
    }

    /// Sends a request, and resolves to the reply with the order of its keys kept. The request is
    /// on its way when this returns; dropping the future cancels it.
    pub fn call(
        &self,
        op: Op<'_>,
        body: impl Into<Vec<u8>>,
    ) -> impl Future<Output = Result<Value>> + Send + 'static {
        self.call_as(op, body, How { timeout: self.timeout, ..How::default() })
    }

    /// [`Api::call`] with all that there is to say of it.
    pub fn call_as(
        &self,
        op: Op<'_>,
        body: impl Into<Vec<u8>>,
        how: How,
    ) -> impl Future<Output = Result<Value>> + Send + 'static {
        let asked = self.outgoing(op, body.into()).map(|(subject, out)| {
            let reply = self.link.ask_as(out, how);
            (subject, self.trace.clone(), reply)
        });
        async move {
            let (subject, trace, reply) = asked?;
            read(&subject, trace.as_ref(), reply.await)
        }
    }

    /// Sends a request with a timeout of its own and a callback, which runs on the runtime thread.
    ///
    /// # Errors
    /// When nothing was sent; `done` is then never called.
    pub fn request(
        &self,
        op: Op<'_>,
        body: impl Into<Vec<u8>>,
        timeout: Option<Duration>,
        done: impl FnOnce(Result<Value>) + Send + 'static,
    ) -> Result<RequestId> {
        self.request_as(op, body, How { timeout, ..How::default() }, done)
    }

    /// [`Api::request`] with all that there is to say of it.
    ///
    /// # Errors
    /// As [`Api::request`].
    pub fn request_as(
        &self,
        op: Op<'_>,
        body: impl Into<Vec<u8>>,
        how: How,
        done: impl FnOnce(Result<Value>) + Send + 'static,
    ) -> Result<RequestId> {
        let (subject, out) = self.outgoing(op, body.into())?;
        let trace = self.trace.clone();
        self.link.request_as(out, how, move |reply| done(read(&subject, trace.as_ref(), reply)))
    }

    /// [`Api::request`] with a body that is not ours, for the reply as it is. It is not traced, and
    /// that nobody is there is `ErrNoResponders`.
    ///
    /// # Errors
    /// As [`Api::request`].
    pub fn request_verbatim(
        &self,
        op: Op<'_>,
        body: String,
        done: impl FnOnce(Result<String>) + Send + 'static,
    ) -> Result<RequestId> {
        let subject = op.checked_subject(&self.prefix)?;
        let out = Outgoing::new(subject.clone(), body);
        self.link.request(out, self.timeout, move |reply| {
            let late = || format!("Request to {subject} timed out");
            let checked = reply.map_err(|error| error.into_error(late())).and_then(|message| {
                // The program has given JSON of any kind to nats-tcl, too.
                reply::parse(message.payload()).map_err(Error::into_nats_tcl)?;
                Ok(String::from_utf8_lossy(message.payload()).into_owned())
            });
            done(checked);
        })
    }

    /// A request, which counts as asked.
    pub fn outgoing(&self, op: Op<'_>, body: Vec<u8>) -> Result<(String, Outgoing)> {
        let subject = op.checked_subject(&self.prefix)?;
        self.trace_request(&subject, &body);
        Ok((subject.clone(), Outgoing::new(subject, body)))
    }

    pub fn trace_request(&self, subject: &str, body: &[u8]) {
        if let Some(trace) = &self.trace {
            trace.request(subject, body);
        }
    }
}

fn read(
    subject: &str,
    trace: Option<&Trace>,
    reply: std::result::Result<Message, RequestError>,
) -> Result<Value> {
    let message = reply.map_err(|error| request_error(subject, error))?;
    if let Some(trace) = trace {
        trace.reply(subject, message.payload());
    }
    reply::parse(message.payload())
}

/// What a failed API request means to the user.
pub fn request_error(subject: &str, error: RequestError) -> Error {
    match error {
        RequestError::NoResponders(_) => {
            Error::new(Kind::JetStreamNotEnabled, "JetStream is not enabled in the server")
        }
        error => error.into_error(format!("Request to {subject} timed out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_requests() {
        for (error, kind, text) in [
            (RequestError::Timeout, Kind::Timeout, "Request to $JS.API.X timed out"),
            (RequestError::Closed, Kind::ConnectionClosed, "Connection closed"),
            (RequestError::Lost, Kind::Timeout, "Connection lost"),
        ] {
            let error = request_error("$JS.API.X", error);
            assert_eq!((error.kind, &*error.message), (kind, text));
        }
    }
}
