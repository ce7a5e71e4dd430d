//! `ping`, `flush` and `rtt`: round trips to the server.

use super::log::Level;
use super::{Connection, Status};
use crate::bridge;
use crate::error::{Error, Kind};
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Method, Obj, Result, Return};
use crate::transport::{ConnState, Link, RequestError};
use std::time::{Duration, Instant};

const OPTIONS: &[options::Spec] = &[("timeout", Type::Timeout)];
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

impl Connection {
    /// The link while there is a connection. A command may have got an answer over a new one before
    /// the news of that, so the status is not all that counts.
    fn connected_link(&self) -> Result<Link> {
        let link = self.link().map_err(|_| Error::no_connection())?;
        let connected = matches!(*link.connected().borrow(), ConnState::Connected(_));
        if connected || self.status() == Status::Connected {
            return Ok(link);
        }
        Err(Error::no_connection().into())
    }
}

fn ping(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    let link = this.connected_link()?;
    let timeout = given.duration("timeout").unwrap_or(USUAL_TIMEOUT);
    this.logger.log(Level::Debug, "sending PING");
    let (promise, pending) = bridge::promise(call.interp);
    let complete = this.in_order(Some(timeout), move |outcome| promise.complete(outcome));
    let sent = link.barrier(Some(timeout), move |outcome| {
        complete(outcome.map_err(|error| match error {
            RequestError::Timeout => Error::new(Kind::Timeout, "PING timeout"),
            // Also if the connection was lost for good.
            _ => Error::connection_closed(),
        }));
    })?;
    pending.or_cancel(link.canceller(sent)).wait(call.interp, move |_, outcome| {
        outcome?;
        let text = format!("received PONG, status: {}", this.status().word());
        this.logger.log(Level::Debug, &text);
        Ok(Obj::word(true).into())
    })
}

fn flush(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    this.check_open()?;
    let timeout = given.time_limit("timeout", USUAL_TIMEOUT);
    let (promise, pending) = bridge::promise(call.interp);
    let complete = this.in_order(timeout, move |outcome| promise.complete(outcome));
    let link = this.link()?;
    let sent = link.flush(timeout, move |outcome| {
        complete(outcome.map_err(|error| error.into_error("Flush timeout")));
    })?;
    pending.or_cancel(link.canceller(sent)).wait(call.interp, move |_, outcome| {
        outcome.map_err(|error| this.ended(error))?;
        Ok(Return::Empty)
    })
}

fn rtt(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    let link = this.connected_link()?;
    let timeout = given.time_limit("timeout", USUAL_TIMEOUT);
    let (promise, pending) = bridge::promise(call.interp);
    let start = Instant::now();
    let sent = link.flush(timeout, move |outcome| {
        let took = start.elapsed();
        promise.complete(outcome.map(|()| took).map_err(|error| error.into_error("RTT timeout")));
    })?;
    pending.or_cancel(link.canceller(sent)).wait(call.interp, move |_, outcome| {
        let took = outcome.map_err(|error| this.ended(error))?;
        Ok(Obj::new(&format!("{:.3}", took.as_secs_f64() * 1000.0)).into())
    })
}

pub const METHODS: &[Method] = &[
    Method { name: "flush", usage: "?arg ...?", min: 0, max: ANY, body: flush },
    Method { name: "ping", usage: "?arg ...?", min: 0, max: ANY, body: ping },
    Method { name: "rtt", usage: "?arg ...?", min: 0, max: ANY, body: rtt },
];
