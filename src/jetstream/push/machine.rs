//! The state machine of a push consumer: is it there, did everything arrive, and when is flow control
//! answered? No I/O and no clock: inputs come with the time, what is to be done goes out as a list of
//! actions.
//!
//! The consumer is the server's, and nobody makes it again. What did not arrive comes again by itself
//! if it is to be acknowledged; here it is only noticed, by the numbers that messages and heartbeats
//! have. In a queue group these belong to all members together, and say nothing.

use crate::error::{Error, Kind};
use crate::jetstream::credit::Credit;
use crate::transport::ConnState;
use serde_json::Value;
use std::time::{Duration, Instant};

/// So many heartbeats may be missing.
const HEARTBEATS: u32 = 2;
/// How often a silent consumer that has no heartbeats is asked for.
const UNSUPERVISED: Duration = Duration::from_secs(30);
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that has just come back may not know its consumers yet.
const TIMES_NOT_FOUND: u32 = 2;

/// What is known of the consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub heartbeat: Duration,
    pub subject: String,
    pub group: Option<String>,
    /// How many deliveries there have been.
    pub delivered: u64,
}

impl Consumer {
    /// From `consumer_info`, times in ns; `None` if nothing is pushed.
    pub fn of(info: &Value) -> Option<Consumer> {
        let config = info.get("config")?;
        let text = |name| config.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let delivered = info.get("delivered").and_then(|delivered| delivered.get("consumer_seq"));
        let heartbeat = config.get("idle_heartbeat").and_then(Value::as_u64);
        Some(Consumer {
            heartbeat: Duration::from_nanos(heartbeat.unwrap_or_default()),
            subject: text("deliver_subject")?.to_owned(),
            group: text("deliver_group").map(str::to_owned),
            delivered: delivered.and_then(Value::as_u64).unwrap_or_default(),
        })
    }
}

/// What the program sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Live,
    /// No connection, or nothing to be heard for too long.
    Stale,
    /// The consumer has gone, or the connection was closed.
    Stopped,
}

#[derive(Debug, PartialEq)]
pub enum Action {
    /// Hand the message at hand to the program.
    Deliver,
    /// An empty message.
    Publish(String),
    AskConsumer {
        token: u64,
    },
    /// Look for a message that nobody can read: there is another connection, and it may be the reason.
    Look,
    /// Listen to another subject.
    Subscribe,
    State(State, Option<(Kind, String)>),
    /// Something that the program should know, and that ends nothing.
    Warning(Kind, String),
    /// Call `tick` at this time, or earlier.
    SetTimer(Instant),
}

pub struct Machine {
    consumer: Consumer,
    state: State,
    /// Stopped only because the connection was closed.
    closed: bool,
    connected: bool,
    generation: u64,
    /// The number of the last delivery.
    seen: u64,
    credit: Credit,
    /// The last one that a heartbeat has asked for.
    stalled: Option<String>,
    last_traffic: Instant,
    tokens: u64,
    asked: Option<u64>,
    ask_at: Instant,
    pause: Duration,
    not_found: u32,
    may_ask: bool,
    armed: Option<Instant>,
}

impl Machine {
    pub fn new(consumer: Consumer, connection: ConnState, now: Instant) -> Machine {
        let (connected, generation) = match connection {
            ConnState::Connected(generation) => (true, generation),
            _ => (false, 0),
        };
        let mut machine = Machine {
            seen: consumer.delivered,
            consumer,
            state: State::Live,
            closed: false,
            connected,
            generation,
            credit: Credit::default(),
            stalled: None,
            last_traffic: now,
            tokens: 0,
            asked: None,
            ask_at: now,
            pause: SHORTEST_PAUSE,
            not_found: 0,
            may_ask: true,
            armed: None,
        };
        machine.ask_at = now + machine.limit();
        machine
    }

    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    pub fn start(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.settle(now, out);
    }

    /// For how long there may be nothing to hear.
    fn limit(&self) -> Duration {
        match self.consumer.heartbeat {
            Duration::ZERO => UNSUPERVISED,
            interval => interval * HEARTBEATS,
        }
    }

    /// A message, and the number of its delivery. The hot path: nothing is allocated, and no timer is
    /// set.
    pub fn message(&mut self, consumer_seq: u64, now: Instant, out: &mut Vec<Action>) {
        if self.state == State::Stopped {
            return;
        }
        self.heard(now, out);
        self.compare(consumer_seq, 1, out);
        self.credit.delivered();
        out.push(Action::Deliver);
    }

    /// One was found that the server has pushed in vain.
    pub fn found(&mut self) {
        self.credit.delivered();
    }

    /// An idle heartbeat with its headers `Nats-Last-Consumer` and `Nats-Consumer-Stalled`.
    pub fn heartbeat(
        &mut self,
        last: Option<u64>,
        stalled: Option<&str>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.state == State::Stopped {
            return;
        }
        self.heard(now, out);
        if let Some(last) = last {
            self.compare(last, 0, out);
        }
        if let Some(subject) = stalled.filter(|subject| !subject.is_empty())
            && !self.credit.owes()
            && self.stalled.as_deref() != Some(subject)
        {
            // The request or the answer to it got lost.
            self.stalled = Some(subject.to_owned());
            self.owe(subject, out);
        }
    }

    pub fn flow_control(&mut self, reply: &str, now: Instant, out: &mut Vec<Action>) {
        if self.state != State::Stopped {
            self.heard(now, out);
            self.owe(reply, out);
        }
    }

    /// The program has dealt with so many messages, counted from the start.
    pub fn consumed(&mut self, total: u64, out: &mut Vec<Action>) {
        self.credit.consumed(total);
        self.pay(out);
    }

    /// Whether `consumed` has something to do.
    pub fn owes(&self) -> bool {
        self.credit.owes()
    }

    pub fn connection(&mut self, connection: ConnState, now: Instant, out: &mut Vec<Action>) {
        if self.state == State::Stopped {
            return;
        }
        match connection {
            ConnState::Connected(generation) if self.connected && generation == self.generation => {
            }
            ConnState::Connected(generation) => {
                self.connected = true;
                if std::mem::replace(&mut self.generation, generation) != 0 {
                    out.push(Action::Look);
                }
                self.pause = SHORTEST_PAUSE;
                self.not_found = 0;
                // What was answered may have gone with the connection.
                self.stalled = None;
                self.last_traffic = now;
                self.change(State::Stale, None, out);
                self.ask(now, out);
            }
            ConnState::Disconnected => {
                self.connected = false;
                self.asked = None;
                self.change(State::Stale, None, out);
            }
            ConnState::Closed => {
                self.connected = false;
                self.closed = true;
                self.credit.forget();
                let error = Error::connection_closed();
                self.change(State::Stopped, Some((error.kind, error.message.into_owned())), out);
            }
        }
        self.settle(now, out);
    }

    /// Goes on over a new connection, after the last one was closed.
    pub fn revive(&mut self, connection: ConnState, now: Instant, out: &mut Vec<Action>) {
        if !std::mem::take(&mut self.closed) {
            return;
        }
        self.generation = 0;
        self.asked = None;
        self.change(State::Stale, None, out);
        out.push(Action::Subscribe);
        self.connection(connection, now, out);
    }

    /// The answer to `AskConsumer`.
    pub fn consumer_info(
        &mut self,
        token: u64,
        answer: Result<&Value, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.asked != Some(token) || self.state == State::Stopped {
            return;
        }
        self.asked = None;
        self.ask_at = now + self.limit();
        match answer {
            Ok(info) => self.is_there(info, now, out),
            Err(error) => match error.kind {
                Kind::ConsumerNotFound | Kind::StreamNotFound => {
                    self.not_found += 1;
                    if self.not_found >= TIMES_NOT_FOUND {
                        let error = (error.kind, error.message.clone().into_owned());
                        self.change(State::Stopped, Some(error), out);
                    } else {
                        self.ask_at = now + SHORTEST_PAUSE;
                    }
                }
                Kind::Permissions => {
                    self.may_ask = false;
                    self.change(State::Live, None, out);
                }
                _ => {
                    self.ask_at = now + self.pause;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            },
        }
        self.settle(now, out);
    }

    fn is_there(&mut self, info: &Value, now: Instant, out: &mut Vec<Action>) {
        self.not_found = 0;
        self.pause = SHORTEST_PAUSE;
        let Some(present) = Consumer::of(info) else {
            let text = "the consumer is a pull consumer now".to_owned();
            return self.change(State::Stopped, Some((Kind::ConsumerNotActive, text)), out);
        };
        let moved =
            present.subject != self.consumer.subject || present.group != self.consumer.group;
        self.consumer = present;
        if moved {
            out.push(Action::Subscribe);
        }
        // It does not stand for a heartbeat that is missing.
        if self.silent_for(now) < self.limit() || self.consumer.heartbeat.is_zero() {
            self.change(State::Live, None, out);
        }
    }

    pub fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.armed = None;
        if self.state == State::Stopped || !self.connected {
            return;
        }
        let silent = self.silent_for(now);
        if silent >= self.limit() && !self.consumer.heartbeat.is_zero() && self.state == State::Live
        {
            let text = format!("nothing was heard for {} ms", silent.as_millis());
            self.change(State::Stale, Some((Kind::ConsumerNotActive, text)), out);
        }
        if now >= self.due() && self.asked.is_none() && self.may_ask {
            self.ask(now, out);
        }
        self.settle(now, out);
    }

    fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_traffic)
    }

    /// When to ask, if nothing is heard until then.
    fn due(&self) -> Instant {
        match self.state {
            State::Live => self.ask_at.max(self.last_traffic + self.limit()),
            _ => self.ask_at,
        }
    }

    fn ask(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.tokens += 1;
        self.asked = Some(self.tokens);
        self.ask_at = now + self.limit();
        out.push(Action::AskConsumer { token: self.tokens });
    }

    fn heard(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.last_traffic = now;
        if self.state == State::Stale && self.connected {
            self.change(State::Live, None, out);
            self.settle(now, out);
        }
    }

    /// Compares the number of a delivery with the last one, which it is `step` behind.
    fn compare(&mut self, number: u64, step: u64, out: &mut Vec<Action>) {
        let missing = number.saturating_sub(self.seen.saturating_add(step));
        // A smaller one is that of a consumer that was reset.
        self.seen = number;
        if missing > 0 && self.consumer.group.is_none() {
            let text = match missing {
                1 => "a message has not arrived".to_owned(),
                _ => format!("{missing} messages have not arrived"),
            };
            out.push(Action::Warning(Kind::ConsumerSequenceMismatch, text));
        }
    }

    fn owe(&mut self, subject: &str, out: &mut Vec<Action>) {
        self.credit.owe(subject, 0);
        self.pay(out);
    }

    fn pay(&mut self, out: &mut Vec<Action>) {
        out.extend(self.credit.pay().map(Action::Publish));
    }

    fn change(&mut self, state: State, error: Option<(Kind, String)>, out: &mut Vec<Action>) {
        if std::mem::replace(&mut self.state, state) != state {
            out.push(Action::State(state, error));
        }
    }

    /// Sets the timer if it has changed. One that is set for too early stays: `tick` sets the next.
    fn settle(&mut self, now: Instant, out: &mut Vec<Action>) {
        let idle = self.asked.is_some() || !self.may_ask;
        if self.state == State::Stopped || !self.connected || idle && self.state != State::Live {
            return;
        }
        let supervised = !self.consumer.heartbeat.is_zero() && self.state == State::Live;
        let silence = supervised.then(|| self.last_traffic + self.limit());
        let question = (!idle).then(|| self.due());
        let Some(next) = silence.into_iter().chain(question).min() else { return };
        let next = next.max(now);
        if self.armed.is_none_or(|armed| next < armed) {
            self.armed = Some(next);
            out.push(Action::SetTimer(next));
        }
    }
}
