//! `statistics`: what has gone through a connection, and what waits in it.

use super::Connection;
use super::subscriber::Subscriber;
use crate::tcl::{Call, Dict, Method, Obj, Result, Return};
use crate::transport::{Link, Traffic};
use std::cell::Cell;

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

fn statistics(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let traffic = this.traffic();
    let (out_msgs, out_bytes) = this.links.with(Link::waiting).unwrap_or_default();
    let mut subscriptions = Dict::new();
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
    let mut dict = Dict::new();
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
        ("pending_out_msgs", out_msgs),
        ("pending_out_bytes", out_bytes),
    ] {
        dict.put(name, &count_obj(count));
    }
    dict.put("subscriptions", &subscriptions.into());
    Ok(dict.into())
}

/// The dict of a subscription in `statistics`.
fn subscription_dict(subscriber: &Subscriber) -> Obj {
    let (mut dict, counts) = (Dict::new(), subscriber.counts());
    dict.put("subject", &Obj::new(&subscriber.subject));
    dict.put("queue", &Obj::new(subscriber.queue.as_deref().unwrap_or_default()));
    dict.put("delivered", &count_obj(counts.delivered));
    dict.put("pending", &count_obj(counts.pending as u64));
    dict.put("pending_bytes", &count_obj(counts.pending_bytes as u64));
    dict.put("dropped", &count_obj(counts.dropped));
    dict.put("max", &count_obj(subscriber.limit.get().unwrap_or(0)));
    dict.into()
}

fn count_obj(count: u64) -> Obj {
    Obj::uint(count)
}

impl Connection {
    /// All that has gone through the links of this connection.
    fn traffic(&self) -> Traffic {
        let now = self.links.with(Link::traffic).unwrap_or_default();
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

pub const METHODS: &[Method] =
    &[Method { name: "statistics", usage: "", min: 0, max: 0, body: statistics }];
