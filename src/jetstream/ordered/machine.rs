//! The state machine of the ordered consumer. No I/O and no clock: inputs come with the time, what
//! is to be done goes out as a list of actions.
//!
//! ```text
//!            start
//!              │
//!              ▼       reply            no traffic, gap, consumer gone
//!          Creating ──────────▶ Running ─────────────┐
//!           ▲  │                                     ▼
//!           │  │ failed                     connected?  no ──▶ Offline ──┐ timeout
//!           │  ▼                                │ yes             │      │
//!           │ Waiting ──── retry ───────────────┤◀── connected ───┘      │
//!           │    ▲                              ▼                        │
//!           └────┼────────────────────────── Checking                    │
//!                └───────────────────────────────────────────────────────┘
//! ```
//! `Checking` asks whether the stream is still the same one. Each consumer made is an incarnation
//! with an inbox of its own; inputs that name an older incarnation or token are ignored.
//!
//! Here are the inputs and what they do while all goes well; `watchdog` notices when it does not,
//! `resume` makes the consumer again.

mod action;
mod poison;
mod renewal;
mod resume;
mod rollcall;
mod watchdog;

use std::time::{Duration, Instant};

use serde_json::Value;

pub use self::action::{Action, Surroundings};
use self::poison::Bounces;
use self::renewal::Renewals;
use self::resume::SHORTEST_PAUSE;
use self::rollcall::RollCall;
use self::watchdog::{CROSSING, IN_FLIGHT, QUIET};
use super::{ConsumerState, OrderedConfig};
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::create::Policy;
use crate::rfc3339;
use crate::transport::ConnState;

enum Phase {
    Creating,
    Running,
    /// The next message is being read in another way; see [`poison`].
    Stepping {
        token: u64,
    },
    Checking {
        token: u64,
    },
    /// An attempt that cannot be made: it times out as if it had been.
    Offline {
        deadline: Option<Instant>,
    },
    Waiting {
        retry_at: Instant,
        silent: bool,
    },
    Stopped,
}

/// A question about the consumer that is on its way.
struct Probe {
    token: u64,
    after_reconnect: bool,
}

/// The server says it has sent more than has arrived.
struct Suspicion {
    consumer_seq: u64,
    since: Instant,
    patience: Duration,
}

/// A flow control request that is answered when the user has consumed what came before it.
struct Owed {
    subject: String,
    delivered: u64,
}

pub struct Machine {
    spec: OrderedConfig,
    around: Surroundings,
    phase: Phase,
    state: Option<ConsumerState>,
    connected: bool,
    bounces: Bounces,
    renewals: Renewals,
    /// Stopped because the connection was closed, and for no other reason.
    closed: bool,
    generation: u64,
    /// No consumer has been created yet.
    first: bool,
    /// When the caller of the first creation gives up.
    deadline: Option<Instant>,
    /// The create request went out on a connection, and is lost with it.
    sent: bool,
    incarnation: u64,
    listening: bool,
    tokens: u64,
    name: String,
    /// The name in the first message, if that came before the create reply.
    seen: String,
    code: Kind,
    armed: Option<Instant>,
    random: u64,

    stream_seq: u64,
    consumer_seq: u64,
    /// Messages arrived in the wrong order before the create reply, which comes first.
    gap: bool,
    /// The present incarnation repeats a snapshot: what has been delivered comes again.
    repeating: bool,
    /// The present incarnation was asked to begin here.
    asked_from: Option<u64>,

    catching_up: bool,
    end_sent: bool,
    received: u64,
    expected: Option<u64>,

    delivered: u64,
    consumed: u64,
    owed: Option<Owed>,
    /// Where the last one was answered to.
    paid: Option<String>,

    last_traffic: Instant,
    last_message: Instant,
    probe: Option<Probe>,
    probe_retry: Option<Instant>,
    quiet_since: Instant,
    quiet_pause: Duration,
    quiet_seq: u64,
    suspicion: Option<Suspicion>,
    silent_until: Option<Instant>,
    pause: Duration,

    check_stream: bool,
    roll_call: RollCall,
    may_ask_stream: bool,
    stream_created: Option<i128>,
    consumer_created: Option<i128>,
}

impl Machine {
    pub fn new(spec: OrderedConfig, around: Surroundings, now: Instant) -> Self {
        let (connected, generation) = match around.connection {
            ConnState::Connected(generation) => (true, generation),
            ConnState::Disconnected | ConnState::Closed => (false, 0),
        };
        let deadline = around.timeout.map(|timeout| now + timeout);
        Machine {
            stream_created: spec.stream_created.as_deref().and_then(rfc3339::nanoseconds),
            random: around.seed,
            spec,
            around,
            phase: Phase::Stopped,
            state: None,
            connected,
            bounces: Bounces::default(),
            renewals: Renewals::default(),
            closed: false,
            generation,
            first: true,
            deadline,
            sent: false,
            incarnation: 0,
            listening: false,
            tokens: 0,
            name: String::new(),
            seen: String::new(),
            code: Kind::ConsumerNotActive,
            armed: None,
            stream_seq: 0,
            consumer_seq: 0,
            gap: false,
            repeating: false,
            asked_from: None,
            catching_up: true,
            end_sent: false,
            received: 0,
            expected: None,
            delivered: 0,
            consumed: 0,
            owed: None,
            paid: None,
            last_traffic: now,
            last_message: now,
            probe: None,
            probe_retry: None,
            quiet_since: now,
            quiet_pause: QUIET,
            quiet_seq: 0,
            suspicion: None,
            silent_until: None,
            pause: SHORTEST_PAUSE,
            check_stream: false,
            roll_call: RollCall::NotNeeded,
            may_ask_stream: true,
            consumer_created: None,
        }
    }

    pub fn stream(&self) -> &str {
        &self.spec.config.stream
    }

    /// The server's name of the present consumer; empty while there is none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Nothing will happen any more.
    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    pub fn start(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.create(now, out);
        self.settle(now, out);
    }

    /// Ends it silently.
    pub fn stop(&mut self, out: &mut Vec<Action>) {
        self.forget_consumer(out);
        self.phase = Phase::Stopped;
    }

    /// A message with an ack subject. The hot path: nothing is allocated and no timer is set.
    pub fn message(
        &mut self,
        incarnation: u64,
        meta: &Metadata<'_>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !self.is_current(incarnation) || meta.stream != self.spec.config.stream {
            return;
        }
        if !self.name.is_empty() {
            if meta.consumer != self.name {
                return;
            }
        } else if self.seen.is_empty() {
            meta.consumer.clone_into(&mut self.seen);
        }
        self.last_traffic = now;
        self.last_message = now;
        if meta.consumer_seq != self.consumer_seq.wrapping_add(1) {
            let duplicate =
                meta.consumer_seq <= self.consumer_seq && meta.stream_seq <= self.stream_seq;
            if !duplicate {
                self.mismatch(now, out);
            }
            return;
        }
        if self.gap {
            return;
        }
        if self.probe_retry.is_some() || self.probe.as_ref().is_some_and(|p| p.after_reconnect) {
            self.probe = None;
            self.probe_retry = None;
            self.settle(now, out);
        }
        self.consumer_seq = meta.consumer_seq;
        self.received += 1;
        if meta.stream_seq > self.stream_seq {
            self.stream_seq = meta.stream_seq;
            if self.spec.policy == Policy::New {
                self.finish_initial(out);
            }
            self.delivered += 1;
            out.push(Action::Deliver);
        } else if !self.repeating {
            // A sequence can only go backwards in another stream.
            self.recreated(now, out);
            return;
        }
        if self.catching_up {
            let complete = self.expected.is_some_and(|expected| self.received >= expected);
            if meta.pending == 0 || complete {
                self.finish_initial(out);
                if self.list_has_holes() {
                    self.renew(now, out);
                }
            }
        }
    }

    /// An idle heartbeat with its headers `Nats-Last-Consumer` and `Nats-Consumer-Stalled`.
    pub fn heartbeat(
        &mut self,
        incarnation: u64,
        last_consumer: Option<u64>,
        stalled: Option<&str>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !self.is_current(incarnation) {
            return;
        }
        self.last_traffic = now;
        if let Some(subject) = stalled.filter(|subject| !subject.is_empty())
            && self.owed.is_none()
        {
            // The request itself or the answer to it got lost.
            self.owe(subject, out);
        }
        match last_consumer {
            Some(seq) if seq != self.consumer_seq => self.mismatch(now, out),
            Some(_) => {
                self.suspicion = None;
                self.probe_retry = None;
                self.probe = self.probe.take().filter(|probe| !probe.after_reconnect);
                self.settle(now, out);
            }
            None => {}
        }
    }

    /// A flow control request, to be answered to `reply`.
    pub fn flow_control(
        &mut self,
        incarnation: u64,
        reply: &str,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.is_current(incarnation) {
            self.last_traffic = now;
            self.owe(reply, out);
        }
    }

    /// The user has consumed this many of the messages delivered, counted from the start.
    pub fn consumed(&mut self, total: u64, out: &mut Vec<Action>) {
        self.consumed = self.consumed.max(total);
        self.pay(out);
    }

    /// Whether `consumed` has something to do.
    pub fn owes(&self) -> bool {
        self.owed.is_some()
    }

    /// The reply to the create request, times not converted.
    pub fn create_reply(
        &mut self,
        incarnation: u64,
        info: &Value,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !matches!(self.phase, Phase::Creating) || incarnation != self.incarnation {
            return;
        }
        let Some(name) = info.get("name").and_then(Value::as_str).filter(|name| !name.is_empty())
        else {
            let error = Error::new(Kind::Protocol, "Consumer without a name");
            return self.create_failed(incarnation, error, now, out);
        };
        let delivered = Delivered::of(info);
        self.name = name.to_owned();
        self.phase = Phase::Running;
        self.last_traffic = now;
        self.quiet_since = now;
        self.quiet_pause = QUIET;
        self.pause = SHORTEST_PAUSE;
        self.check_stream = false;
        self.consumer_created = created(info);
        let expected = delivered.consumer_seq + delivered.pending;
        self.expected = Some(expected);
        let untouched = self.consumer_seq == 0 && delivered.consumer_seq == 0;
        match self.asked_from {
            // The server begins behind the end of the stream when asked for more.
            Some(from) if untouched && delivered.stream_seq + 1 < from => {
                return self.recreated(now, out);
            }
            Some(_) if untouched => self.stream_seq = self.stream_seq.max(delivered.stream_seq),
            // The first consumer tells where the stream is before it says anything.
            None if self.first && self.consumer_seq == 0 => {
                let before = delivered.stream_seq.saturating_sub(delivered.consumer_seq);
                self.stream_seq = self.stream_seq.max(before);
            }
            _ => {}
        }
        self.first = false;
        out.push(Action::Created);
        let complete = self.received >= expected || self.spec.policy == Policy::New;
        if self.catching_up && complete {
            self.finish_initial(out);
        }
        if self.gap {
            return self.reset(Kind::ConsumerSequenceMismatch, now, out);
        }
        self.settle(now, out);
    }

    /// The create request failed.
    pub fn create_failed(
        &mut self,
        incarnation: u64,
        error: Error,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !matches!(self.phase, Phase::Creating) || incarnation != self.incarnation {
            return;
        }
        // On a slow link the reply waits behind the data, which is as good as a reply.
        let timeout = self.around.timeout.filter(|_| error.kind == Kind::Timeout);
        if let Some(timeout) = timeout.filter(|timeout| self.last_message + *timeout > now)
            && !self.seen.is_empty()
        {
            let consumer = self.seen.clone();
            out.push(Action::AskCreated { incarnation, consumer, timeout });
            return;
        }
        self.attempt_failed(error, now, out);
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
        match answer {
            Ok(info) => {
                let delivered = Delivered::of(info);
                self.last_traffic = now;
                if delivered.consumer_seq > self.consumer_seq {
                    // They may be on their way; only when they stay away, they are lost.
                    let patience = if probe.after_reconnect { CROSSING } else { IN_FLIGHT };
                    let consumer_seq = delivered.consumer_seq;
                    self.suspicion = Some(Suspicion { consumer_seq, since: now, patience });
                } else if delivered.pending == 0 && delivered.consumer_seq == self.consumer_seq {
                    self.finish_initial(out);
                    if self.list_has_holes() {
                        return self.renew(now, out);
                    }
                } else if self.catching_up && self.is_stuck() {
                    return self.renew(now, out);
                } else if probe.after_reconnect
                    && let Some(subject) = self.paid.clone()
                {
                    // The server may be waiting for an answer that went with the connection.
                    out.push(Action::Publish { subject });
                }
            }
            Err(error) => match error.kind {
                Kind::ConsumerNotFound | Kind::StreamNotFound => {
                    return self.reset(Kind::ConsumerNotActive, now, out);
                }
                _ if probe.after_reconnect && self.is_settling(error, now) => {
                    self.probe_retry = Some(now + self.next_pause());
                }
                // The heartbeats will tell.
                _ => {}
            },
        }
        self.settle(now, out);
    }

    /// The answer to `AskStream`.
    pub fn stream_info(
        &mut self,
        token: u64,
        answer: Result<&Value, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !matches!(self.phase, Phase::Checking { token: t } if t == token) {
            return;
        }
        match answer {
            Ok(info) => {
                if self.is_another_stream(info) {
                    return self.recreated(now, out);
                }
                if self.has_holes(info) {
                    self.need_roll_call(now);
                }
            }
            Err(error) if error.kind == Kind::StreamNotFound => {
                return self.attempt_failed(error.clone(), now, out);
            }
            Err(error) => self.may_ask_stream = error.kind != Kind::Timeout,
        }
        self.go_on(now, out);
        self.settle(now, out);
    }

    /// The connection was established, lost, or given up.
    pub fn connection(&mut self, connection: ConnState, now: Instant, out: &mut Vec<Action>) {
        if !matches!(connection, ConnState::Connected(_)) {
            self.roll_call_lost(now);
        }
        match connection {
            ConnState::Connected(generation) => {
                if !self.connected || generation != self.generation {
                    self.generation = generation;
                    self.reconnected(now, out);
                }
            }
            ConnState::Disconnected => {
                self.connected = false;
                self.check_stream = true;
                self.silent_until = None;
                self.probe = None;
                self.probe_retry = None;
                self.suspicion = None;
                if matches!(self.phase, Phase::Checking { .. } | Phase::Stepping { .. }) {
                    self.go_offline(now);
                }
            }
            ConnState::Closed => {
                self.connected = false;
                self.closed |= !matches!(self.phase, Phase::Stopped);
                // The first creation fails by its request, for its caller to hear of it.
                if !self.first && !matches!(self.phase, Phase::Stopped) {
                    if !matches!(self.phase, Phase::Running | Phase::Waiting { .. }) {
                        let text = "failed to reset: Connection lost".to_owned();
                        out.push(Action::LastError(Kind::Timeout, text));
                    }
                    self.give_up(Kind::ConnectionClosed, "stopped", out);
                }
            }
        }
        self.settle(now, out);
    }

    /// The names of inboxes depend on the link.
    pub fn use_inboxes(&mut self, inboxes: Box<dyn FnMut() -> String + Send>) {
        self.around.new_inbox = inboxes;
    }

    /// Goes on over a new connection, after the last one was closed and the user was told so. What
    /// has stopped for another reason, or never began, stays as it is.
    pub fn revive(&mut self, connection: ConnState, now: Instant, out: &mut Vec<Action>) {
        if self.first || !std::mem::take(&mut self.closed) {
            return;
        }
        self.generation = 0;
        self.phase = Phase::Offline { deadline: None };
        self.change_state(ConsumerState::Stale, out);
        self.connection(connection, now, out);
    }

    fn mismatch(&mut self, now: Instant, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Creating) {
            self.gap = true;
        } else {
            self.reset(Kind::ConsumerSequenceMismatch, now, out);
        }
    }

    fn finish_initial(&mut self, out: &mut Vec<Action>) {
        self.catching_up = false;
        if !self.end_sent {
            self.end_sent = true;
            out.push(Action::EndOfData);
            self.change_state(self.present_state(), out);
        }
    }

    fn ask_consumer(&mut self, after_reconnect: bool, out: &mut Vec<Action>) {
        self.tokens += 1;
        self.probe_retry = None;
        self.probe = Some(Probe { token: self.tokens, after_reconnect });
        let consumer = self.name.clone();
        out.push(Action::AskConsumer { token: self.tokens, consumer });
    }

    fn owe(&mut self, subject: &str, out: &mut Vec<Action>) {
        self.owed = Some(Owed { subject: subject.to_owned(), delivered: self.delivered });
        self.pay(out);
    }

    fn pay(&mut self, out: &mut Vec<Action>) {
        if let Some(owed) = self.owed.take_if(|owed| owed.delivered <= self.consumed) {
            self.paid = Some(owed.subject.clone());
            out.push(Action::Publish { subject: owed.subject });
        }
    }

    fn is_current(&self, incarnation: u64) -> bool {
        self.listening && incarnation == self.incarnation
    }
}

/// The numbers of a consumer info.
struct Delivered {
    consumer_seq: u64,
    stream_seq: u64,
    pending: u64,
}

impl Delivered {
    fn of(info: &Value) -> Self {
        let delivered = info.get("delivered").unwrap_or(&Value::Null);
        let number = |of: &Value, key: &str| of.get(key).and_then(Value::as_u64).unwrap_or(0);
        Delivered {
            consumer_seq: number(delivered, "consumer_seq"),
            stream_seq: number(delivered, "stream_seq"),
            pending: number(info, "num_pending"),
        }
    }
}

fn created(info: &Value) -> Option<i128> {
    rfc3339::nanoseconds(info.get("created")?.as_str()?)
}
