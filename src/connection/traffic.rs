//! `flush`, `rtt`, `statistics` and `force_reconnect`.

use super::subscriber::Subscriber;
use super::{Connection, Status, no_connection};
use crate::bridge;
use crate::error::{Error, Kind};
use crate::options::{self, Type};
use crate::tcl::call::ANY;
use crate::tcl::{Call, Method, Obj, Result, Return};
use crate::transport::{RequestError, Traffic};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// What `statistics` tells of the time before the present link.
#[derive(Default)]
pub struct Totals {
    past: Cell<Traffic>,
    reconnects: Cell<u64>,
}

impl Totals {
    pub fn link_closed(&self, traffic: Traffic) {
        self.past.set(sum(self.past.get(), traffic));
    }

    pub fn reconnected(&self) {
        self.reconnects.set(self.reconnects.get() + 1);
    }
}

const TIMEOUT: &[options::Spec] = &[("timeout", Type::Timeout)];
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

fn failure(error: &RequestError, late: &'static str) -> Error {
    match error {
        RequestError::Timeout => Error::new(Kind::Timeout, late),
        _ => Error::connection_closed(),
    }
}

fn flush(call: &Call<'_>) -> Result<Return> {
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

fn rtt(call: &Call<'_>) -> Result<Return> {
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

fn force_reconnect(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    this.link()?.force_reconnect()?;
    Ok(Return::Empty)
}

fn statistics(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let traffic = this.traffic();
    let subscriptions = Obj::dict();
    let replies = this.delivery.requests.counts();
    let (mut pending, mut bytes) = (replies.pending as u64, replies.pending_bytes as u64);
    let mut dropped = this.delivery.subscribers.dropped() + replies.dropped;
    for subscriber in this.delivery.subscribers.all() {
        let counts = subscriber.counts();
        pending += counts.pending as u64;
        bytes += counts.pending_bytes as u64;
        dropped += counts.dropped;
        subscriptions.put(&subscriber.id.to_string(), &subscription_dict(&subscriber));
    }
    let dict = Obj::dict();
    for (name, count) in [
        ("connects", traffic.connects),
        ("reconnects", this.totals.reconnects.get()),
        ("in_msgs", traffic.in_msgs),
        ("in_bytes", traffic.in_bytes),
        ("out_msgs", traffic.out_msgs),
        ("out_bytes", traffic.out_bytes),
        ("pending", pending),
        ("pending_bytes", bytes),
        ("dropped", dropped),
    ] {
        dict.put(name, &count_obj(count));
    }
    dict.put("subscriptions", &subscriptions);
    Ok(dict.into())
}

/// The dict of a subscription in `statistics`.
fn subscription_dict(subscriber: &Subscriber) -> Obj {
    let (dict, counts) = (Obj::dict(), subscriber.counts());
    dict.put("subject", &Obj::new(&subscriber.subject));
    dict.put("queue", &Obj::new(subscriber.queue.as_deref().unwrap_or_default()));
    dict.put("delivered", &count_obj(counts.delivered));
    dict.put("pending", &count_obj(counts.pending as u64));
    dict.put("pending_bytes", &count_obj(counts.pending_bytes as u64));
    dict.put("dropped", &count_obj(counts.dropped));
    dict.put("max", &count_obj(subscriber.limit.get().unwrap_or(0)));
    dict
}

fn count_obj(count: u64) -> Obj {
    Obj::int(i64::try_from(count).unwrap_or(i64::MAX))
}

impl Connection {
    /// All that has gone through the links of this connection.
    fn traffic(&self) -> Traffic {
        let now = self.open.borrow().as_ref().map(|open| open.link.traffic()).unwrap_or_default();
        sum(self.totals.past.get(), now)
    }
}

fn sum(a: Traffic, b: Traffic) -> Traffic {
    Traffic {
        connects: a.connects + b.connects,
        in_msgs: a.in_msgs + b.in_msgs,
        in_bytes: a.in_bytes + b.in_bytes,
        out_msgs: a.out_msgs + b.out_msgs,
        out_bytes: a.out_bytes + b.out_bytes,
    }
}

pub const METHODS: &[Method] = &[
    Method { name: "flush", usage: "?arg ...?", min: 0, max: ANY, body: flush },
    Method { name: "force_reconnect", usage: "", min: 0, max: 0, body: force_reconnect },
    Method { name: "rtt", usage: "?arg ...?", min: 0, max: ANY, body: rtt },
    Method { name: "statistics", usage: "", min: 0, max: 0, body: statistics },
];
