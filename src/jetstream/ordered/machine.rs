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
//! Here is what the consumer delivers while all goes well; `watchdog` notices when it does not,
//! `resume` decides to make the consumer again, and `creation` makes it.

mod action;
mod connection;
mod creation;
mod initial;
mod leap;
mod leaving;
mod probe;
mod renewal;
mod replica;
mod resume;
mod rollcall;
mod standstill;
mod stream;
mod unreadable;
mod watchdog;
mod window;

use std::time::{Duration, Instant};

use serde_json::Value;

pub use self::action::{Action, KeepsPlace, Surroundings};
use self::initial::Initial;
use self::leap::Leaps;
use self::probe::{Probe, Reason, Suspicion};
use self::renewal::Renewals;
use self::resume::{SHORTEST_PATIENCE, SHORTEST_PAUSE};
use self::rollcall::RollCall;
use self::standstill::Standstill;
use self::watchdog::QUIET;
use self::window::Windows;
use super::{ConsumerState, OrderedConfig};
use crate::error::{Error, Kind};
use crate::jetstream::credit::Credit;
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::create::{DeliverPolicy, Form};
use crate::jetstream::roll::mark;
use crate::jetstream::unreadable::Unreadable;
use crate::rfc3339;
use crate::transport::ConnState;

/// Repeating a snapshot so often is an effort, more often is standing still.
const MOST_REPETITIONS: u32 = 3;

enum Phase {
    Creating,
    Running,
    /// The next message is being read in another way; see [`unreadable`].
    Passing {
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
    /// The present window has been delivered, and what came before it is not consumed.
    Full,
    Stopped,
}

pub struct Machine {
    spec: OrderedConfig,
    around: Surroundings,
    phase: Phase,
    state: Option<ConsumerState>,
    connected: bool,
    /// A consumer that outlived its connection may be relied on; see [`Surroundings::keeps_place`].
    keeps_place: bool,
    leaps: Leaps,
    unreadable: Unreadable,
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
    form: Form,
    /// Why the consumer could not be made by its name, while it is tried without.
    refused: Option<Error>,
    /// The name that the present consumer was asked for by.
    asked_name: Option<String>,
    /// Consumers that the server has perhaps kept while there was no connection.
    left_behind: Vec<String>,
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
    /// How often that was so since something new came.
    repetitions: u32,
    /// The present incarnation was asked to begin here.
    asked_from: Option<u64>,

    catching_up: bool,
    end_sent: bool,
    received: u64,
    expected: Option<u64>,
    /// A list that the present consumer works off ends here, at the latest.
    list_end: Option<u64>,
    initial: Initial,
    standstill: Standstill,

    credit: Credit,
    windows: Windows,

    last_traffic: Instant,
    last_message: Instant,
    probe: Option<Probe>,
    probe_retry: Option<Instant>,
    quiet_since: Instant,
    quiet_pause: Duration,
    quiet_seq: u64,
    /// The last traffic before the silence about which the server was asked.
    silence_asked: Option<Instant>,
    /// When the stream was there, beside what the last traffic says.
    stream_seen: Instant,
    suspicion: Option<Suspicion>,
    silent_until: Option<Instant>,
    pause: Duration,
    /// For how long the next creation may wait for its reply.
    patience: Duration,
    /// When the last failed attempt was reported.
    reported: Option<Instant>,

    check_stream: bool,
    /// How often the stream was asked for in vain, one time after another.
    unanswered: u32,
    roll_call: RollCall,
    /// The user wants to hear of the next roll call.
    report_roll: bool,
    /// What was stored behind this sequence may have gone without being delivered.
    holes_from: Option<u64>,
    holes_asked: Option<u64>,
    may_ask_stream: bool,
    may_ask_consumer: bool,
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
            form: Form { named: spec.config.name_prefix.is_some(), window: None },
            refused: None,
            asked_name: None,
            left_behind: Vec::new(),
            stream_created: spec.stream_created.as_deref().and_then(rfc3339::nanoseconds),
            random: around.seed,
            keeps_place: (around.keeps_place)(),
            // A list of latest values is followed to its end in any case: see `renewal`.
            catching_up: spec.seeks_end || spec.policy == DeliverPolicy::LastPerSubject,
            end_sent: !spec.seeks_end,
            credit: if spec.never_waits { Credit::unlimited() } else { Credit::default() },
            spec,
            around,
            phase: Phase::Stopped,
            state: None,
            connected,
            leaps: Leaps::default(),
            unreadable: Unreadable::default(),
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
            repetitions: 0,
            asked_from: None,
            received: 0,
            expected: None,
            list_end: None,
            initial: Initial::default(),
            standstill: Standstill::default(),
            windows: Windows::default(),
            last_traffic: now,
            last_message: now,
            probe: None,
            probe_retry: None,
            quiet_since: now,
            quiet_pause: QUIET,
            quiet_seq: 0,
            silence_asked: None,
            stream_seen: now,
            suspicion: None,
            silent_until: None,
            pause: SHORTEST_PAUSE,
            patience: SHORTEST_PATIENCE,
            reported: None,
            check_stream: false,
            unanswered: 0,
            roll_call: RollCall::NotNeeded,
            report_roll: false,
            holes_from: None,
            holes_asked: None,
            may_ask_stream: true,
            may_ask_consumer: true,
            consumer_created: None,
        }
    }

    pub fn stream(&self) -> &str {
        &self.spec.config.stream
    }

    /// What is consumed of the stream.
    fn filters(&self) -> Vec<String> {
        match self.spec.config.filters.as_slice() {
            [] => vec![">".to_owned()],
            filters => filters.to_vec(),
        }
    }

    /// The server's name of the present consumer; empty while there is none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Nothing will happen any more.
    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    /// Which consumer is the present one.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whether the reply to the create request of this incarnation is still waited for.
    pub fn is_creating(&self, incarnation: u64) -> bool {
        matches!(self.phase, Phase::Creating) && incarnation == self.incarnation
    }

    pub fn start(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.may_begin_too_far() {
            self.ask_stream(out);
        } else {
            self.create(now, out);
        }
        self.settle(now, out);
    }

    /// Ends it silently.
    pub fn stop(&mut self, out: &mut Vec<Action>) {
        self.forget_consumer(out);
        self.phase = Phase::Stopped;
    }

    /// A message with an ack subject, and its size. The hot path: nothing is allocated and no timer
    /// is set.
    pub fn message(
        &mut self,
        incarnation: u64,
        subject: &str,
        meta: &Metadata<'_>,
        size: usize,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !self.is_current(incarnation) || meta.stream != self.spec.config.stream {
            return;
        }
        // The first of a connection that is not known yet: something may be missing in front of it.
        if !self.connected && !self.keeps_place {
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
        if self.may_have_leapt(meta) {
            return self.ask_what_was_passed(meta.stream_seq, true, out);
        }
        if self.probe_retry.is_some() || self.is_doubtful() {
            self.probe = None;
            self.probe_retry = None;
            self.settle(now, out);
        }
        self.consumer_seq = meta.consumer_seq;
        self.received += 1;
        if meta.stream_seq > self.stream_seq {
            self.stream_seq = meta.stream_seq;
            if self.catching_up
                && (self.spec.policy == DeliverPolicy::New
                    || self.is_news_of_nothing(meta.timestamp_ns.into()))
            {
                self.finish_initial(out);
            }
            self.repetitions = 0;
            self.credit.delivered();
            self.windows.delivered(size);
            out.push(Action::Deliver);
        } else if !self.repeating {
            // A sequence can only go backwards in another stream.
            self.recreated(now, out);
            return;
        } else if self.repetitions <= MOST_REPETITIONS {
            out.push(Action::Repeated);
        }
        if self.catching_up {
            if self.end_sent {
                self.initial.still(meta.pending);
            } else {
                self.initial.came(mark(subject), meta);
            }
            self.seek_end(false, now, out);
        }
        self.check_window(now, out);
    }

    /// An idle heartbeat with its headers `Nats-Last-Consumer`, `Nats-Last-Stream` and
    /// `Nats-Consumer-Stalled`.
    pub fn heartbeat(
        &mut self,
        incarnation: u64,
        last_consumer: Option<u64>,
        last_stream: Option<u64>,
        stalled: Option<&str>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !self.is_current(incarnation) {
            return;
        }
        self.last_traffic = now;
        if let Some(subject) = stalled.filter(|subject| !subject.is_empty())
            && !self.credit.owes()
        {
            if self.is_unheard(subject) {
                return self.without_flow_control("it has no effect", now, out);
            }
            // The request itself or the answer to it got lost.
            self.owe(subject, out);
        }
        match last_consumer {
            Some(seq) if seq != self.consumer_seq => self.mismatch(now, out),
            Some(_) => {
                self.suspicion = None;
                self.probe_retry = None;
                self.probe.take_if(|probe| probe.reason == Reason::Reconnect);
                self.has_come_to(last_stream.unwrap_or_default(), out);
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
    pub fn consumed(&mut self, total: u64, now: Instant, out: &mut Vec<Action>) {
        self.credit.consumed(total);
        self.pay(out);
        self.open_window(now, out);
    }

    /// Whether `consumed` has something to do.
    pub fn owes(&self) -> bool {
        self.credit.owes() || matches!(self.phase, Phase::Full)
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
        self.initial = Initial::default();
        if !self.end_sent {
            self.end_sent = true;
            out.push(Action::EndOfData);
            self.change_state(self.present_state(), out);
        }
        if self.connected && matches!(self.phase, Phase::Running) {
            self.ask_for_holes(out);
        }
    }

    fn owe(&mut self, subject: &str, out: &mut Vec<Action>) {
        // The user keeps the last message of the initial data back until it is known to be the last.
        let kept = self.catching_up && !self.end_sent;
        self.credit.owe(subject, u64::from(kept));
        self.pay(out);
    }

    fn pay(&mut self, out: &mut Vec<Action>) {
        if let Some(subject) = self.credit.pay() {
            self.windows.paid(self.consumer_seq);
            out.push(Action::Publish { incarnation: self.incarnation, subject });
        }
    }

    fn is_current(&self, incarnation: u64) -> bool {
        self.listening && incarnation == self.incarnation
    }
}

fn created(info: &Value) -> Option<i128> {
    rfc3339::nanoseconds(info.get("created")?.as_str()?)
}
