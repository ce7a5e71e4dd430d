//! Asking the server for the consumer: does it still exist, and how far has it come?

use std::time::{Duration, Instant};

use serde_json::Value;

use super::watchdog::{CROSSING, IN_FLIGHT};
use super::{Action, Machine};
use crate::error::{Error, Kind};

/// A question about the consumer that is on its way.
pub(super) struct Probe {
    pub token: u64,
    pub reason: Reason,
}

/// Why it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The connection is a new one: does the consumer still exist?
    Reconnect,
    /// There were no messages for a while: have all been sent?
    Quiet,
    /// A heartbeat is late. The answer does not stand for the heartbeat.
    Silence,
    /// Nobody listens to answers to flow control.
    Unheard,
}

/// The server says it has sent more than has arrived.
pub(super) struct Suspicion {
    pub consumer_seq: u64,
    pub since: Instant,
    pub patience: Duration,
}

/// The numbers of a consumer info.
pub(super) struct Delivered {
    pub consumer_seq: u64,
    pub stream_seq: u64,
    pub pending: u64,
}

impl Delivered {
    pub fn of(info: &Value) -> Self {
        let delivered = info.get("delivered").unwrap_or(&Value::Null);
        let number = |of: &Value, key: &str| of.get(key).and_then(Value::as_u64).unwrap_or(0);
        Delivered {
            consumer_seq: number(delivered, "consumer_seq"),
            stream_seq: number(delivered, "stream_seq"),
            pending: number(info, "num_pending"),
        }
    }
}

impl Machine {
    /// Whether the consumer may not have survived the loss of its connection.
    pub(super) fn is_doubtful(&self) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.reason == Reason::Reconnect)
    }

    pub(super) fn ask_consumer(&mut self, reason: Reason, out: &mut Vec<Action>) {
        self.tokens += 1;
        self.probe_retry = None;
        self.probe = Some(Probe { token: self.tokens, reason });
        let consumer = self.name.clone();
        out.push(Action::AskConsumer { token: self.tokens, consumer });
    }

    /// The answer to `AskConsumer`.
    pub fn consumer_info(
        &mut self,
        token: u64,
        answer: Result<&Value, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Some(probe) = self.probe.take_if(|probe| probe.token == token) else { return };
        let after_reconnect = probe.reason == Reason::Reconnect;
        match answer {
            Ok(info) => {
                let delivered = Delivered::of(info);
                self.stream_seen = now;
                self.initial.replica.said(&delivered, self.keeps_place);
                if probe.reason == Reason::Unheard && self.has_flow_control() {
                    let why = "nobody listens, it may not be imported";
                    return self.without_flow_control(why, now, out);
                }
                if probe.reason != Reason::Silence {
                    self.last_traffic = now;
                }
                if delivered.consumer_seq > self.consumer_seq {
                    // They may be on their way; only when they stay away, they are lost.
                    let patience = if after_reconnect { CROSSING } else { IN_FLIGHT };
                    let consumer_seq = delivered.consumer_seq;
                    self.suspicion = Some(Suspicion { consumer_seq, since: now, patience });
                } else if delivered.pending == 0 && delivered.consumer_seq == self.consumer_seq {
                    self.seek_end(true, now, out);
                } else if self.catching_up && self.is_stuck() {
                    if self.stopped_when_paid() {
                        return self.without_flow_control("it has no effect", now, out);
                    }
                    return self.renew(now, out);
                } else if after_reconnect && let Some(subject) = self.credit.paid() {
                    // The server may be waiting for an answer that went with the connection.
                    let (incarnation, subject) = (self.incarnation, subject.to_owned());
                    out.push(Action::Publish { incarnation, subject });
                }
            }
            Err(error) => match error.kind {
                Kind::ConsumerNotFound | Kind::StreamNotFound => {
                    self.consumer_is_gone();
                    return self.reset(Kind::ConsumerNotActive, now, out);
                }
                Kind::Permissions => {
                    self.may_ask_consumer = false;
                    // It has been quiet, and nothing better is to be had.
                    self.seek_end(self.initial.is_nothing_pending(), now, out);
                }
                _ if after_reconnect && self.is_settling(error, now) => {
                    self.probe_retry = Some(now + self.next_pause());
                }
                // The heartbeats will tell.
                _ => {}
            },
        }
        self.settle(now, out);
    }
}
