//! The machine against a model of a stream and its consumers, in random runs: the network loses
//! messages, heartbeats, requests and whole connections, writers go on meanwhile. Whatever comes
//! to pass, nothing may be skipped, nothing may come twice, and the initial data ends once: not
//! before everything has come that was there at the start. As on a real server, the number of
//! pending messages lags behind what was written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::machine::{Action, Machine};
use super::machine_tests::{spec, surroundings};
use super::{ConsumerState, Resume};
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::jetstream::roll::{Roll, mark};
use crate::transport::ConnState;

struct Random(u64);

impl Random {
    /// xorshift64*
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// What travels to the client.
enum Packet {
    Message {
        incarnation: u64,
        stream_seq: u64,
        consumer_seq: u64,
        pending: u64,
    },
    Heartbeat {
        incarnation: u64,
        last: u64,
        stalled: Option<String>,
    },
    FlowControl {
        incarnation: u64,
        reply: String,
    },
    CreateReply {
        incarnation: u64,
        answer: Result<Value, Error>,
    },
    ConsumerInfo {
        token: u64,
        answer: Result<Value, Error>,
    },
    StreamInfo {
        token: u64,
        answer: Result<Value, Error>,
    },
    Roll {
        token: u64,
        answer: Result<Roll, Error>,
    },
    /// No message breaks connections here, so none is found.
    NoMessage {
        token: u64,
    },
}

/// A consumer on the server.
struct Consumer {
    incarnation: u64,
    /// The snapshot of `last_per_subject`, then everything behind it.
    snapshot: VecDeque<u64>,
    next: u64,
    /// The end of the stream when it was made.
    counted: u64,
    sent: u64,
    /// Sent since the last flow control request was answered.
    unanswered: u64,
    flow: Option<String>,
    /// So many messages and no more, without flow control.
    window: Option<u64>,
    quiet_ticks: u32,
}

struct World {
    random: Random,
    machine: Machine,
    now: Instant,
    timer: Option<Instant>,
    /// Percent of packets that get lost.
    loss: u64,
    connected: bool,
    generation: u64,
    /// Sequence → key.
    stream: BTreeMap<u64, u64>,
    last_seq: u64,
    consumer: Option<Consumer>,
    /// What the client listens to.
    subscribed: Option<u64>,
    wire: VecDeque<Packet>,
    delivered: Vec<u64>,
    consumed: u64,
    ends: usize,
    /// Like `stream`, with all that has been deleted.
    written: BTreeMap<u64, u64>,
    deletions: usize,
    /// Sequence → time, in ns since the model began.
    stored: BTreeMap<u64, i64>,
    clock: i64,
    /// Up to here consumers have been told of new messages.
    signalled: u64,
    /// What must have been delivered when the initial data ends, as far as it has been there throughout.
    keys_before: BTreeSet<u64>,
    revisions_before: BTreeSet<u64>,
    policy: DeliverPolicy,
    rolls: u32,
    roll_failed: bool,
    errors: Vec<Kind>,
    state: Option<ConsumerState>,
    history: bool,
    ticks: u64,
    started: bool,
    /// The first creation has not come to an end in time.
    failed: bool,
    /// The end of the stream when `new` was asked for.
    new_from: u64,
}

const TICK: Duration = Duration::from_millis(50);
/// Sequences before the start.
const EARLIER: u64 = 20;

impl World {
    fn new(seed: u64, policy: DeliverPolicy, resume: Resume) -> Self {
        let now = Instant::now();
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let history = random.percent(50);
        let machine =
            Machine::new(spec(policy.clone(), resume), surroundings(ConnState::Connected(1)), now);
        let loss = [0, 1, 5, 20][usize::try_from(random.below(4)).expect("small")];
        let mut world = World {
            random,
            machine,
            now,
            timer: None,
            loss,
            connected: true,
            generation: 1,
            stream: BTreeMap::new(),
            last_seq: 0,
            consumer: None,
            subscribed: None,
            wire: VecDeque::new(),
            delivered: Vec::new(),
            consumed: 0,
            ends: 0,
            written: BTreeMap::new(),
            deletions: 0,
            stored: BTreeMap::new(),
            clock: 0,
            signalled: 0,
            keys_before: BTreeSet::new(),
            revisions_before: BTreeSet::new(),
            policy,
            rolls: 0,
            roll_failed: false,
            errors: Vec::new(),
            state: None,
            history,
            ticks: 0,
            started: false,
            failed: false,
            new_from: 0,
        };
        for _ in 0..EARLIER {
            world.write();
        }
        world.keys_before = world.stream.values().copied().collect();
        world.revisions_before = world.stream.keys().copied().collect();
        world.run(|machine, now, out| machine.start(now, out));
        world
    }

    fn time(&mut self) -> i64 {
        self.clock += 1;
        self.clock
    }

    fn made_at(&mut self) -> String {
        format!("2026-01-01T00:00:00.{:09}Z", self.time())
    }

    fn write(&mut self) {
        let key = self.random.below(8);
        self.last_seq += 1;
        let time = self.time();
        self.stored.insert(self.last_seq, time);
        self.stream.insert(self.last_seq, key);
        if !self.history {
            let old = self.stream.range(..self.last_seq).filter(|(_, k)| **k == key);
            let old: Vec<_> = old.map(|(seq, _)| *seq).collect();
            for seq in old {
                self.delete(seq);
            }
        }
        self.written.insert(self.last_seq, key);
    }

    fn delete(&mut self, seq: u64) {
        if let Some(key) = self.stream.remove(&seq) {
            self.deletions += 1;
            self.revisions_before.remove(&seq);
            // If it was the latest one, an older one comes to light, or none: no snapshot shows that.
            if !self.stream.range(seq..).any(|(_, other)| *other == key) {
                self.keys_before.remove(&key);
            }
        }
    }

    fn run(&mut self, input: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>)) {
        self.run_with(None, input);
    }

    /// Feeds an input, that of a message with its sequence, and does what is asked.
    fn run_with(
        &mut self,
        message: Option<u64>,
        input: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>),
    ) {
        let mut out = Vec::new();
        input(&mut self.machine, self.now, &mut out);
        for action in out {
            match action {
                Action::Subscribe { incarnation, .. } => self.subscribed = Some(incarnation),
                Action::Unsubscribe => self.subscribed = None,
                Action::Discard { consumer } => {
                    let present = |c: &mut Consumer| format!("C{}", c.incarnation) == consumer;
                    if self.arrives() {
                        self.consumer.take_if(present);
                    }
                }
                Action::Create { incarnation, request, .. } => {
                    self.create(incarnation, &request.body)
                }
                Action::AskCreated { incarnation, .. } => {
                    let answer = self.present_info();
                    self.wire.push_back(Packet::CreateReply { incarnation, answer });
                }
                Action::AskConsumer { token, .. } => self.consumer_info(token),
                Action::AskStream { token, .. } => {
                    let last = self.stored[&self.last_seq];
                    let info = json!({"created": "2026-01-01T00:00:00Z",
                        "state": {"last_seq": self.last_seq,
                            "last_ts": format!("2026-01-01T00:00:00.{last:09}Z")}});
                    let answer = self.request(info);
                    self.wire.push_back(Packet::StreamInfo { token, answer });
                }
                Action::AskMessage { token, .. } => {
                    self.wire.push_back(Packet::NoMessage { token });
                }
                Action::Repeated => {}
                Action::DeliverStored => panic!("no message was stored"),
                Action::CallRoll { token, report, .. } => {
                    assert!(!report, "nobody wants to know");
                    let roll = Roll {
                        marks: self.stream.values().map(|key| mark(&subject(*key))).collect(),
                        first_seq: self.stream.keys().next().copied().unwrap_or(1),
                        last_seq: self.last_seq,
                        fresh: true,
                    };
                    let answer = self.request(roll);
                    self.rolls += 1;
                    self.roll_failed |= answer.is_err();
                    self.wire.push_back(Packet::Roll { token, answer });
                }
                Action::RollCalled => panic!("nobody wants to know"),
                Action::Count => {}
                Action::Publish { subject, .. } => {
                    if self.arrives()
                        && let Some(consumer) = &mut self.consumer
                        && consumer.flow.as_deref() == Some(&subject)
                    {
                        consumer.flow = None;
                        consumer.unanswered = 0;
                    }
                }
                Action::Deliver => self.delivered.push(message.expect("a message at hand")),
                Action::EndOfData => {
                    self.ends += 1;
                    self.check_initial();
                }
                Action::Created => self.started = true,
                Action::Failed(error) => {
                    assert!(error.kind == Kind::Timeout && self.machine.is_stopped(), "{error}");
                    self.failed = true;
                }
                Action::LastError(kind, _) => self.errors.push(kind),
                Action::State(state) => {
                    assert_ne!(self.state.replace(state), Some(state), "state repeated");
                }
                Action::SetTimer(at) => self.timer = Some(at),
            }
        }
    }

    /// The initial data is over.
    fn check_initial(&self) {
        if self.policy == DeliverPolicy::New || self.roll_failed {
            return;
        }
        let keys: BTreeSet<u64> = self.delivered.iter().map(|seq| self.written[seq]).collect();
        let missing: Vec<_> = self.keys_before.difference(&keys).collect();
        assert!(missing.is_empty(), "{missing:?} are missing at the end, {:?}", self.policy);
        if self.policy == DeliverPolicy::All {
            let delivered: BTreeSet<u64> = self.delivered.iter().copied().collect();
            let missing: Vec<_> = self.revisions_before.difference(&delivered).collect();
            assert!(missing.is_empty(), "revisions {missing:?} are missing at the end");
        }
    }

    fn arrives(&mut self) -> bool {
        self.connected && !self.random.percent(self.loss)
    }

    /// The answer to a request that may get lost.
    fn request<T>(&mut self, reply: T) -> Result<T, Error> {
        if self.arrives() { Ok(reply) } else { Err(Error::new(Kind::Timeout, "lost")) }
    }

    fn create(&mut self, incarnation: u64, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        let config = &body["config"];
        // The first creation is allowed to fail, but that is not what is tested here.
        if self.started && !self.arrives() {
            let answer = Err(Error::new(Kind::Timeout, "lost"));
            self.wire.push_back(Packet::CreateReply { incarnation, answer });
            return;
        }
        let created = self.made_at();
        let mut snapshot = VecDeque::new();
        let next = match config["deliver_policy"].as_str().expect("a policy") {
            "all" => 1,
            "new" => {
                self.new_from = self.last_seq;
                self.last_seq + 1
            }
            "by_start_sequence" => {
                config["opt_start_seq"].as_u64().expect("a start").min(self.last_seq + 1)
            }
            // With one revision of each key there is no need for a list.
            "last_per_subject" if !self.history => 1,
            "last_per_subject" => {
                let mut latest = BTreeMap::new();
                for (seq, key) in &self.stream {
                    latest.insert(*key, *seq);
                }
                let mut latest: Vec<_> = latest.into_values().collect();
                latest.sort_unstable();
                snapshot.extend(latest);
                self.last_seq + 1
            }
            other => panic!("policy {other}"),
        };
        let first = snapshot.front().copied().unwrap_or(next);
        let consumer = Consumer {
            incarnation,
            snapshot,
            next,
            counted: self.last_seq,
            sent: 0,
            unanswered: 0,
            flow: None,
            window: config.get("max_ack_pending").and_then(Value::as_u64),
            quiet_ticks: 0,
        };
        let pending = self.pending(&consumer);
        self.consumer = Some(consumer);
        let info = json!({"name": format!("C{incarnation}"), "num_pending": pending,
            "created": created,
            "delivered": {"consumer_seq": 0, "stream_seq": first - 1}});
        let answer = if self.started { self.request(info) } else { Ok(info) };
        // Some messages may come before the reply.
        for _ in 0..self.random.below(4) {
            self.serve();
        }
        self.wire.push_back(Packet::CreateReply { incarnation, answer });
    }

    fn pending(&self, consumer: &Consumer) -> u64 {
        let snapshot = consumer.snapshot.iter().filter(|seq| self.stream.contains_key(seq)).count();
        let known = self.signalled.max(consumer.counted);
        let behind = self.stream.range(consumer.next..).filter(|(seq, _)| **seq <= known).count();
        u64::try_from(snapshot + behind).expect("small")
    }

    fn consumer_info(&mut self, token: u64) {
        let answer = self.present_info();
        self.wire.push_back(Packet::ConsumerInfo { token, answer });
    }

    fn present_info(&mut self) -> Result<Value, Error> {
        let info = self.consumer.as_ref().map(|consumer| {
            json!({"name": format!("C{}", consumer.incarnation),
                "num_pending": self.pending(consumer),
                "delivered": {"consumer_seq": consumer.sent, "stream_seq": 0}})
        });
        match info {
            Some(info) => self.request(info),
            None => Err(Error::new(Kind::ConsumerNotFound, "gone")),
        }
    }

    /// The server sends one thing, if it may.
    fn serve(&mut self) {
        let Some(mut consumer) = self.consumer.take() else { return };
        let gone = self.subscribed != Some(consumer.incarnation);
        if gone || !self.connected {
            consumer.quiet_ticks += 1;
            // The inactive threshold, 2 s.
            if consumer.quiet_ticks < 40 {
                self.consumer = Some(consumer);
            }
            return;
        }
        consumer.quiet_ticks = 0;
        let incarnation = consumer.incarnation;
        let may = match consumer.window {
            Some(window) => consumer.sent < window,
            None => consumer.unanswered < 10,
        };
        if may {
            while consumer.snapshot.front().is_some_and(|seq| !self.stream.contains_key(seq)) {
                consumer.snapshot.pop_front();
            }
            let seq = match consumer.snapshot.pop_front() {
                Some(seq) => Some(seq),
                None => self.stream.range(consumer.next..).next().map(|(seq, _)| *seq),
            };
            if let Some(stream_seq) = seq {
                consumer.next = consumer.next.max(stream_seq + 1);
                consumer.sent += 1;
                consumer.unanswered += 1;
                let pending = self.pending(&consumer);
                let consumer_seq = consumer.sent;
                self.send(Packet::Message { incarnation, stream_seq, consumer_seq, pending });
                let flow_control = consumer.window.is_none() && consumer.unanswered == 5;
                if flow_control && consumer.flow.is_none() {
                    let reply = format!("fc.{incarnation}.{consumer_seq}");
                    consumer.flow = Some(reply.clone());
                    self.send(Packet::FlowControl { incarnation, reply });
                }
            }
        }
        self.consumer = Some(consumer);
    }

    fn heartbeat(&mut self) {
        let Some(consumer) = &self.consumer else { return };
        if self.subscribed == Some(consumer.incarnation) && self.connected {
            let stalled = consumer.flow.clone().filter(|_| consumer.unanswered >= 10);
            let (incarnation, last) = (consumer.incarnation, consumer.sent);
            self.send(Packet::Heartbeat { incarnation, last, stalled });
        }
    }

    fn send(&mut self, packet: Packet) {
        if self.arrives() {
            self.wire.push_back(packet);
        }
    }

    fn receive(&mut self) {
        let Some(packet) = self.wire.pop_front() else { return };
        match packet {
            Packet::Message { incarnation, stream_seq, consumer_seq, pending } => {
                // 2026-01-01
                let timestamp_ns = 1_767_225_600_000_000_000 + self.stored[&stream_seq];
                let subject = subject(self.written[&stream_seq]);
                let meta = Metadata {
                    stream: "S",
                    consumer: &format!("C{incarnation}"),
                    delivered: 1,
                    stream_seq,
                    consumer_seq,
                    timestamp_ns,
                    domain: "",
                    pending,
                };
                self.run_with(Some(stream_seq), |machine, now, out| {
                    machine.message(incarnation, &subject, &meta, 1 << 20, now, out);
                });
            }
            Packet::Heartbeat { incarnation, last, stalled } => {
                self.run(|machine, now, out| {
                    machine.heartbeat(incarnation, Some(last), stalled.as_deref(), now, out);
                });
            }
            Packet::FlowControl { incarnation, reply } => {
                self.run(|machine, now, out| machine.flow_control(incarnation, &reply, now, out));
            }
            Packet::CreateReply { incarnation, answer } => {
                self.run(|machine, now, out| match answer {
                    Ok(info) => machine.create_reply(incarnation, &info, now, out),
                    Err(error) => machine.create_failed(incarnation, error, now, out),
                })
            }
            Packet::ConsumerInfo { token, answer } => self.run(|machine, now, out| {
                machine.consumer_info(token, answer.as_ref(), now, out);
            }),
            Packet::StreamInfo { token, answer } => self.run(|machine, now, out| {
                machine.stream_info(token, answer.as_ref(), now, out);
            }),
            Packet::Roll { token, answer } => self.run(|machine, now, out| {
                machine.roll_called(token, answer.as_ref(), now, out);
            }),
            Packet::NoMessage { token } => self.run(|machine, now, out| {
                let error = Error::new(Kind::MsgNotFound, "no message found");
                machine.next_message(token, Err(&error), now, out);
            }),
        }
    }

    fn set_connected(&mut self, connected: bool) {
        if connected == self.connected {
            return;
        }
        self.connected = connected;
        if connected {
            self.generation += 1;
            let connection = ConnState::Connected(self.generation);
            self.run(|machine, now, out| machine.connection(connection, now, out));
        } else {
            // Replies that are on their way are lost as well.
            for packet in &mut self.wire {
                match packet {
                    Packet::CreateReply { answer, .. }
                    | Packet::ConsumerInfo { answer, .. }
                    | Packet::StreamInfo { answer, .. } => {
                        *answer = Err(Error::new(Kind::Timeout, "lost"));
                    }
                    _ => {}
                }
            }
            let started = self.started;
            self.wire.retain(|packet| match packet {
                Packet::Message { .. }
                | Packet::Heartbeat { .. }
                | Packet::FlowControl { .. }
                | Packet::Roll { .. } => false,
                Packet::CreateReply { .. } => started,
                Packet::ConsumerInfo { .. }
                | Packet::StreamInfo { .. }
                | Packet::NoMessage { .. } => true,
            });
            self.run(|machine, now, out| machine.connection(ConnState::Disconnected, now, out));
        }
    }

    fn step(&mut self, turbulent: bool) {
        self.now += TICK;
        if let Some(at) = self.timer
            && at <= self.now
        {
            self.timer = None;
            self.run(|machine, now, out| machine.tick(now, out));
        }
        if turbulent {
            match self.random.below(40) {
                0..4 => self.write(),
                4 => {
                    let seq = self.random.below(self.last_seq) + 1;
                    self.delete(seq);
                }
                5 if self.random.percent(20) => self.consumer = None,
                6 if self.random.percent(20) => self.set_connected(false),
                7..10 => self.set_connected(true),
                _ => {}
            }
        }
        if self.random.percent(50) {
            self.signalled = self.last_seq;
        }
        for _ in 0..self.random.below(4) {
            self.serve();
        }
        self.ticks += 1;
        if self.ticks.is_multiple_of(10) {
            self.heartbeat();
        }
        for _ in 0..self.random.below(6) {
            self.receive();
        }
        let delivered = u64::try_from(self.delivered.len()).expect("small");
        if self.random.percent(60) {
            self.consumed += self.random.below(delivered - self.consumed + 1);
            let total = self.consumed;
            self.run(|machine, now, out| machine.consumed(total, now, out));
        }
    }

    /// The weather clears up; everything has to arrive now.
    fn calm_down(&mut self) {
        self.loss = 0;
        self.set_connected(true);
        for _ in 0..4000 {
            self.step(false);
        }
        let total = u64::try_from(self.delivered.len()).expect("small");
        self.run(|machine, now, out| machine.consumed(total, now, out));
        for _ in 0..400 {
            self.step(false);
        }
    }
}

fn subject(key: u64) -> String {
    format!("s.{key}")
}

fn check(seed: u64, policy: DeliverPolicy, resume: Resume) -> World {
    let mut world = World::new(seed, policy.clone(), resume);
    for _ in 0..world.random.below(600) {
        world.step(true);
    }
    world.calm_down();
    if world.failed {
        assert!(world.delivered.is_sorted_by(|a, b| a < b) && world.subscribed.is_none());
        return world;
    }

    let what = format!("seed {seed} {policy:?} {resume:?} {:?}", world.errors);
    assert_eq!(world.ends, 1, "{what}");
    assert_eq!(world.state, Some(ConsumerState::Live), "{what}");
    assert!(world.delivered.is_sorted_by(|a, b| a < b), "{what}: {:?}", world.delivered);
    let must = |seq: &u64| match policy {
        DeliverPolicy::All => true,
        DeliverPolicy::New => *seq > world.new_from,
        // Older revisions of a key need not appear, latest ones always do.
        _ => !world.written.iter().any(|(other, key)| other > seq && *key == world.stream[seq]),
    };
    for seq in world.stream.keys().filter(|seq| must(seq)) {
        assert!(world.delivered.binary_search(seq).is_ok(), "{what}: {seq} skipped");
    }
    if policy == DeliverPolicy::New {
        assert!(world.delivered.first().is_none_or(|first| *first > EARLIER), "{what}");
    }
    world
}

#[test]
fn nothing_skipped_nothing_twice() {
    let (mut resets, mut deletions, mut failures, mut rolls) = (0, 0, 0, 0);
    for seed in 0..1500 {
        for policy in [DeliverPolicy::All, DeliverPolicy::New, DeliverPolicy::LastPerSubject] {
            for resume in [Resume::BySequence, Resume::SnapshotThenSequence] {
                let world = check(seed, policy.clone(), resume);
                resets += world.errors.len();
                deletions += world.deletions;
                failures += u32::from(world.failed);
                rolls += world.rolls;
            }
        }
    }
    // The model has to be as nasty as it claims to be.
    assert!(resets > 9000 && deletions > 9000, "{resets} errors, {deletions} deletions");
    assert!(rolls > 1000, "{rolls} roll calls");
    assert!((1..90).contains(&failures), "{failures} of 9000 did not begin");
}

#[test]
fn a_snapshot_never_shows_what_was_superseded_before_it() {
    for seed in 0..500 {
        let mut world =
            World::new(seed, DeliverPolicy::LastPerSubject, Resume::SnapshotThenSequence);
        // No writers: all that comes is the snapshot, however often it is taken.
        for _ in 0..400 {
            if world.random.percent(2) {
                let connected = world.random.percent(70);
                world.set_connected(connected);
            }
            world.step(false);
        }
        world.calm_down();
        if world.failed {
            continue;
        }
        let mut latest = BTreeMap::new();
        for (seq, key) in &world.stream {
            latest.insert(*key, *seq);
        }
        let mut latest: Vec<_> = latest.into_values().collect();
        latest.sort_unstable();
        assert_eq!(world.delivered, latest, "seed {seed}");
        assert_eq!(world.ends, 1, "seed {seed}");
    }
}
