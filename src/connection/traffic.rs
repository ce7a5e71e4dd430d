//! `flush`, `rtt`, `statistics` and `force_reconnect`.

use super::drain::subscription_dict;
use super::{Connection, Status, no_connection};
use crate::bridge;
use crate::error::{Error, Kind};
use crate::options::{self, Type};
use crate::tcl::{Call, Obj, Result, Return};
use crate::transport::{RequestError, Traffic};
use std::time::{Duration, Instant};

const TIMEOUT: &[options::Spec] = &[("timeout", Type::Timeout)];
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

fn failure(error: &RequestError, late: &'static str) -> Error {
    match error {
        RequestError::Timeout => Error::new(Kind::Timeout, late),
        _ => Error::connection_closed(),
    }
}

pub fn flush(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let given = options::parse(call.interp, TIMEOUT, call.args())?;
    this.check_open()?;
    let timeout = given.time_limit("timeout", USUAL_TIMEOUT);
    let (promise, answer) = bridge::promise(call.interp);
    let complete = this.in_order(move |outcome| promise.complete(outcome));
    this.link()?.flush(timeout, move |outcome| {
        complete(outcome.map_err(|error| failure(&error, "Flush timeout")));
    })?;
    answer.wait(call.interp, move |_, outcome| {
        outcome.map_err(|error| this.ended(error))?;
        Ok(Return::Empty)
    })
}

pub fn rtt(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let given = options::parse(call.interp, TIMEOUT, call.args())?;
    if this.status() != Status::Connected {
        return Err(no_connection().into());
    }
    let timeout = given.time_limit("timeout", USUAL_TIMEOUT);
    let (promise, answer) = bridge::promise(call.interp);
    let start = Instant::now();
    this.link()?.flush(timeout, move |outcome| {
        let took = start.elapsed();
        promise.complete(outcome.map(|()| took).map_err(|error| failure(&error, "RTT timeout")));
    })?;
    answer.wait(call.interp, move |_, outcome| {
        let took = outcome.map_err(|error| this.ended(error))?;
        Ok(Obj::new(&format!("{:.3}", took.as_secs_f64() * 1000.0)).into())
    })
}

pub fn force_reconnect(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    this.link()?.force_reconnect()?;
    Ok(Return::Empty)
}

pub fn statistics(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let traffic = this.traffic();
    let subscriptions = Obj::dict();
    let replies = this.delivery.requests.counts();
    let (mut pending, mut bytes) = (replies.pending as u64, replies.pending_bytes as u64);
    let mut dropped = this.delivery.dropped() + replies.dropped;
    for subscriber in this.delivery.all() {
        let counts = subscriber.counts();
        pending += counts.pending as u64;
        bytes += counts.pending_bytes as u64;
        dropped += counts.dropped;
        subscriptions.put(&subscriber.id.to_string(), &subscription_dict(&subscriber));
    }
    let dict = Obj::dict();
    for (name, count) in [
        ("connects", traffic.connects),
        ("reconnects", this.reconnects.get()),
        ("in_msgs", traffic.in_msgs),
        ("in_bytes", traffic.in_bytes),
        ("out_msgs", traffic.out_msgs),
        ("out_bytes", traffic.out_bytes),
        ("pending", pending),
        ("pending_bytes", bytes),
        ("dropped", dropped),
    ] {
        dict.put(name, &Obj::int(i64::try_from(count).unwrap_or(i64::MAX)));
    }
    dict.put("subscriptions", &subscriptions);
    Ok(dict.into())
}

impl Connection {
    /// All that has gone through the links of this connection.
    fn traffic(&self) -> Traffic {
        let now = self.open.borrow().as_ref().map(|open| open.link.traffic()).unwrap_or_default();
        sum(self.past.get(), now)
    }
}

pub fn sum(a: Traffic, b: Traffic) -> Traffic {
    Traffic {
        connects: a.connects + b.connects,
        in_msgs: a.in_msgs + b.in_msgs,
        in_bytes: a.in_bytes + b.in_bytes,
        out_msgs: a.out_msgs + b.out_msgs,
        out_bytes: a.out_bytes + b.out_bytes,
    }
}
