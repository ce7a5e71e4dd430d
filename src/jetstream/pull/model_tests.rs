//! The machine against a model of a consumer on a server and of a program, in random runs: connections
//! and requests get lost, servers are restarted, leaders change, requests are refused, the program is
//! slow, pauses, gives up. Whatever comes to pass, no message is lost, no delivery of the server
//! reaches the program twice, what is outstanding stays within its limits, refusals are not answered
//! in a tight loop, and once all is well again everything is delivered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PullConfig;
use super::machine::{Action, Fate, Machine, Status};
use super::machine_tests::{config, info, surroundings};
use crate::error::{Error, Kind};
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

const TICK: Duration = Duration::from_millis(20);
/// In ticks.
const ACK_WAIT: u64 = 400;

/// A request that waits at the server.
struct Request {
    incarnation: u64,
    id: u64,
    batch: u64,
    bytes: Option<u64>,
    end: u64,
    beat: u64,
    pin: Option<String>,
}

/// What travels to the client.
enum Packet {
    Message { seq: u64, count: u64, size: u64 },
    Status { incarnation: u64, id: u64, code: u16, text: &'static str, left: Option<(u64, u64)> },
    Retired { token: u64 },
    Info { token: u64, answer: Result<Value, Error> },
    Found,
}

struct World {
    random: Random,
    machine: Machine,
    config: PullConfig,
    now: Instant,
    timer: Option<Instant>,
    tick: u64,
    /// Percent of ticks in which something goes wrong.
    trouble: u64,
    connected: bool,
    generation: u64,
    exists: bool,
    /// The inbox that the server knows of.
    listening: Option<u64>,
    requests: VecDeque<Request>,
    wire: VecDeque<Packet>,
    /// Sequence → size, of what is stored and not acknowledged.
    stored: BTreeMap<u64, u64>,
    last: u64,
    /// To be delivered, with how often that was done.
    due: VecDeque<(u64, u64)>,
    /// Delivered: when that is forgotten, and how often it was.
    pending: BTreeMap<u64, (u64, u64)>,
    buffer: VecDeque<(u64, u64, u64)>,
    seen: BTreeSet<(u64, u64)>,
    consumed: (u64, u64),
    accepted: u64,
    pulls: u64,
    refusals: u64,
    paused: bool,
    ended: bool,
    failed: bool,
    pin: u64,
    /// Of so many messages, one costs the connection.
    unreadable: Option<u64>,
    /// Those that were found.
    found: Vec<(u64, u64, u64)>,
    /// When the program got them.
    known: BTreeMap<u64, u64>,
}

impl World {
    fn new(seed: u64, config: PullConfig) -> World {
        let now = Instant::now();
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let trouble = [0, 1, 3, 8][usize::try_from(random.below(4)).expect("small")];
        let mut world = World {
            machine: Machine::new(config.clone(), surroundings(seed), now),
            random,
            config,
            now,
            timer: None,
            tick: 0,
            trouble,
            connected: true,
            generation: 1,
            exists: true,
            listening: None,
            requests: VecDeque::new(),
            wire: VecDeque::new(),
            stored: BTreeMap::new(),
            last: 0,
            due: VecDeque::new(),
            pending: BTreeMap::new(),
            buffer: VecDeque::new(),
            seen: BTreeSet::new(),
            consumed: (0, 0),
            accepted: 0,
            pulls: 0,
            refusals: 0,
            paused: false,
            ended: false,
            failed: false,
            pin: 1,
            unreadable: None,
            found: Vec::new(),
            known: BTreeMap::new(),
        };
        world.run(|machine, now, out| machine.start(now, out));
        world
    }

    fn run<T>(&mut self, input: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>) -> T) -> T {
        let mut out = Vec::new();
        let value = input(&mut self.machine, self.now, &mut out);
        for action in out {
            match action {
                Action::Subscribe { incarnation, .. } => self.listening = Some(incarnation),
                Action::Retire { token } => {
                    self.requests.clear();
                    self.listening = None;
                    if self.connected {
                        self.wire.push_back(Packet::Retired { token });
                    }
                }
                Action::Pull { id, body } => self.pull(id, &body),
                Action::AskConsumer { token } => {
                    let answer = match self.exists {
                        _ if !self.connected => Err(Error::new(Kind::Timeout, "lost")),
                        true => Ok(info()),
                        false => Err(Error::new(Kind::ConsumerNotFound, "gone")),
                    };
                    self.wire.push_back(Packet::Info { token, answer });
                }
                Action::Look if self.connected => self.wire.push_back(Packet::Found),
                Action::Found { count } => {
                    for (seq, count, size) in self.found.drain(..).take(count) {
                        self.known.insert(seq, self.tick);
                        self.accepted += 1;
                        self.buffer.push_back((seq, count, size));
                    }
                }
                Action::Look | Action::AskMessage { .. } | Action::AckWait(_) | Action::Created => {
                }
                // That is allowed: whoever wanted it hears of it.
                Action::Failed(_) => self.failed = true,
                Action::Report(_) => {}
                Action::Ended(_) => self.ended = true,
                Action::SetTimer(at) => self.timer = Some(at),
            }
        }
        value
    }

    fn pull(&mut self, id: u64, body: &str) {
        self.pulls += 1;
        assert!(self.connected, "a request without a connection");
        assert!(!self.paused && !self.ended, "nothing more was wanted");
        let incarnation = self.listening.expect("an inbox");
        let body: Value = serde_json::from_str(body).expect("JSON");
        let number = |name: &str| body.get(name).and_then(Value::as_u64);
        let pin = body.get("id").and_then(Value::as_str).map(str::to_owned);
        let status = |code, text, left| Packet::Status { incarnation, id, code, text, left };
        let refusal = match self.random.below(100) {
            _ if !self.exists => Some(status(503, "", None)),
            _ if pin.as_ref().is_some_and(|pin| *pin != self.pin.to_string()) => {
                Some(status(423, "Nats-Pin-Id mismatch", None))
            }
            _ if self.trouble == 0 => None,
            0 => Some(status(409, "Exceeded MaxWaiting", None)),
            1 => Some(status(409, "Exceeded MaxRequestBatch of 5", None)),
            2 => Some(status(503, "", None)),
            // Nobody says anything.
            3 => return,
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.refusals += 1;
            return self.wire.push_back(refusal);
        }
        let ticks = |ns: u64| ns / u64::try_from(TICK.as_nanos()).expect("small");
        self.requests.push_back(Request {
            incarnation,
            id,
            batch: number("batch").expect("a batch"),
            bytes: number("max_bytes"),
            end: self.tick + ticks(number("expires").expect("an end")),
            beat: ticks(number("idle_heartbeat").expect("a heartbeat")),
            pin,
        });
    }

    /// Everything that is owed or here, as the server and the program see it.
    fn check_limits(&self) {
        let owed: u64 = self.requests.iter().map(|request| request.batch).sum();
        let on_wire = self.wire.iter().filter_map(|packet| match packet {
            Packet::Message { size, .. } => Some(*size),
            _ => None,
        });
        let (messages, bytes) = on_wire.fold((0, 0), |(n, bytes), size| (n + 1, bytes + size));
        let here = self.buffer.len() as u64;
        let outstanding = owed + messages + here;
        assert!(outstanding <= self.config.max_messages, "{owed} + {messages} + {here} messages");
        if let Some(most) = self.config.max_bytes {
            let owed: u64 = self.requests.iter().filter_map(|request| request.bytes).sum();
            let here: u64 = self.buffer.iter().map(|(_, _, size)| size).sum();
            assert!(owed + bytes + here <= most, "{owed} + {bytes} + {here} bytes");
        }
    }

    /// The server serves what it can.
    fn serve(&mut self) {
        let due: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, (at, _))| *at <= self.tick)
            .map(|(seq, _)| *seq)
            .collect();
        for seq in due {
            if let Some((_, count)) = self.pending.remove(&seq) {
                self.due.push_back((seq, count));
            }
        }
        for _ in 0..self.random.below(6) {
            let Some((seq, count)) = self.due.front().copied() else { break };
            let Some(size) = self.stored.get(&seq).copied() else {
                self.due.pop_front();
                continue;
            };
            let Some(mut request) = self.requests.pop_front() else { break };
            let Request { incarnation, id, .. } = request;
            let status = |text, left| Packet::Status { incarnation, id, code: 409, text, left };
            if request.bytes.is_some_and(|room| room < size) {
                let left = Some((request.batch, request.bytes.unwrap_or(0)));
                self.wire.push_back(status("Message Size Exceeds MaxBytes", left));
                continue;
            }
            self.due.pop_front();
            self.pending.insert(seq, (self.tick + ACK_WAIT, count + 1));
            self.wire.push_back(Packet::Message { seq, count: count + 1, size });
            request.batch -= 1;
            request.bytes = request.bytes.map(|room| room - size);
            if request.batch > 0 {
                self.requests.push_back(request);
            } else if let Some(left) = request.bytes.filter(|left| *left > 0) {
                self.wire.push_back(status("Batch Completed", Some((0, left))));
            }
        }
        let tick = self.tick;
        let mut kept = VecDeque::new();
        for request in std::mem::take(&mut self.requests) {
            let Request { incarnation, id, .. } = request;
            if tick >= request.end {
                let left = Some((request.batch, request.bytes.unwrap_or(0)));
                let text = "Request Timeout";
                self.wire.push_back(Packet::Status { incarnation, id, code: 408, text, left });
                continue;
            }
            if tick.is_multiple_of(request.beat.max(1)) {
                let text = "Idle Heartbeat";
                self.wire.push_back(Packet::Status {
                    incarnation,
                    id,
                    code: 100,
                    text,
                    left: None,
                });
            }
            kept.push_back(request);
        }
        self.requests = kept;
    }

    fn end_all(&mut self, code: u16, text: &'static str, says_left: bool) {
        for request in std::mem::take(&mut self.requests) {
            let Request { incarnation, id, batch, bytes, .. } = request;
            let left = says_left.then_some((batch, bytes.unwrap_or(0)));
            self.wire.push_back(Packet::Status { incarnation, id, code, text, left });
        }
    }

    fn go_wrong(&mut self) {
        match self.random.below(9) {
            0 | 1 if self.connected => self.disconnect(),
            2 => self.end_all(409, "Leadership Change", false),
            3 => self.end_all(409, "Server Shutdown", true),
            // Nobody hears of that.
            4 => self.requests.clear(),
            5 => {
                self.pin += 1;
                let (right, wrong): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.requests)
                    .into_iter()
                    .partition(|request| request.pin.is_none());
                self.requests = wrong;
                self.end_all(423, "Nats-Wrong-Pin-Id", true);
                self.requests = right;
            }
            6 if self.config.waits => {
                self.exists = !self.exists;
                if !self.exists {
                    self.end_all(409, "Consumer Deleted", false);
                }
            }
            7 => {
                self.paused = !self.paused;
                match self.paused {
                    true => self.run(|machine, now, out| machine.pause(now, out)),
                    false => self.run(|machine, now, out| machine.resume(now, out)),
                }
            }
            _ => {}
        }
    }

    fn disconnect(&mut self) {
        self.connected = false;
        // Questions are answered by their timeout.
        self.wire.retain(|packet| matches!(packet, Packet::Info { .. }));
        for packet in &mut self.wire {
            if let Packet::Info { answer, .. } = packet {
                *answer = Err(Error::new(Kind::Timeout, "lost"));
            }
        }
        if self.random.percent(50) {
            self.requests.clear();
        }
        self.run(|machine, now, out| machine.connection(ConnState::Disconnected, now, out));
    }

    fn is_unreadable(&self, seq: u64) -> bool {
        self.unreadable.is_some_and(|part| seq.is_multiple_of(part))
    }

    /// What a search finds, of which the program gets each once, until it would come again.
    fn find(&mut self) {
        let due = |(seq, _): &(&u64, &(u64, u64))| {
            let known = self.known.get(seq);
            self.is_unreadable(**seq) && known.is_none_or(|at| self.tick >= at + ACK_WAIT)
        };
        let found = self
            .pending
            .iter()
            .filter(due)
            .filter_map(|(seq, (_, count))| Some((*seq, *count, *self.stored.get(seq)?)));
        self.found = found.collect();
        let sizes = self.found.iter().map(|(_, _, size)| *size).collect();
        self.run(|machine, now, out| machine.found(sizes, now, out));
    }

    fn receive(&mut self) {
        match self.wire.pop_front() {
            None => {}
            Some(Packet::Message { seq, .. }) if self.is_unreadable(seq) => self.disconnect(),
            Some(Packet::Found) => self.find(),
            Some(Packet::Message { seq, count, size }) => {
                let pin = self.config.group.as_ref().map(|_| self.pin.to_string());
                let fate =
                    self.run(|machine, now, out| machine.message(size, pin.as_deref(), now, out));
                match fate {
                    Fate::Deliver => {
                        assert!(self.seen.insert((seq, count)), "{seq} came twice");
                        self.accepted += 1;
                        self.buffer.push_back((seq, count, size));
                    }
                    Fate::GiveBack => self.pending.get_mut(&seq).expect("pending").0 = self.tick,
                }
            }
            Some(Packet::Status { incarnation, id, code, text, left }) => {
                let status = Status { code, description: text, left };
                self.run(|machine, now, out| machine.status(incarnation, id, status, now, out));
            }
            Some(Packet::Retired { token }) => {
                self.run(|machine, now, out| machine.retired(token, now, out));
            }
            Some(Packet::Info { token, answer }) => self.run(|machine, now, out| {
                machine.consumer_info(token, answer.as_ref(), now, out);
            }),
        }
    }

    /// The program deals with some, and acknowledges; what it has not got yet is kept alive.
    fn consume(&mut self) {
        for _ in 0..self.random.below(4) {
            if self.paused {
                break;
            }
            let Some((seq, _, size)) = self.buffer.pop_front() else { break };
            if self.connected {
                self.stored.remove(&seq);
                self.pending.remove(&seq);
            }
            self.consumed.0 += 1;
            self.consumed.1 += size;
        }
        if self.connected {
            for (seq, _, _) in &self.buffer {
                if let Some((at, _)) = self.pending.get_mut(seq) {
                    *at = self.tick + ACK_WAIT;
                }
            }
        }
    }

    fn step(&mut self) {
        self.tick += 1;
        self.now += TICK;
        if self.random.percent(self.trouble) {
            self.go_wrong();
        }
        if !self.connected && self.random.percent(10) {
            self.reconnect();
        }
        if self.connected {
            self.serve();
            for _ in 0..self.random.below(8) {
                self.receive();
            }
        } else {
            while !self.wire.is_empty() {
                self.receive();
            }
        }
        self.consume();
        if self.timer.is_some_and(|at| at <= self.now) {
            self.timer = None;
            self.run(|machine, now, out| machine.tick(now, out));
        }
        self.settle_credit();
        self.check_limits();
    }

    /// As the driver does it after each input.
    fn settle_credit(&mut self) {
        let (messages, bytes) = self.consumed;
        let (least, least_bytes) = self.machine.waits_for();
        if messages >= least && bytes >= least_bytes {
            self.run(|machine, now, out| machine.consumed(messages, bytes, 0, now, out));
        }
    }

    fn reconnect(&mut self) {
        self.connected = true;
        self.generation += 1;
        let state = ConnState::Connected(self.generation);
        self.run(|machine, now, out| machine.connection(state, now, out));
    }

    fn store(&mut self, count: u64) {
        for _ in 0..count {
            self.last += 1;
            let size = 1 + self.random.below(100);
            self.stored.insert(self.last, size);
            self.due.push_back((self.last, 0));
        }
    }

    /// All is well from now on: everything has to come.
    fn calm(&mut self) {
        if self.failed {
            return;
        }
        self.trouble = 0;
        self.exists = true;
        if !self.connected {
            self.reconnect();
        }
        if std::mem::take(&mut self.paused) {
            self.run(|machine, now, out| machine.resume(now, out));
        }
        for _ in 0..20_000 {
            if self.stored.is_empty() && self.buffer.is_empty() {
                return;
            }
            self.step();
        }
        panic!("{} messages are missing", self.stored.len());
    }
}

fn runs(cases: u64, vary: impl Fn(&mut Random, &mut PullConfig)) {
    runs_beside(None, cases, vary);
}

fn runs_beside(unreadable: Option<u64>, cases: u64, vary: impl Fn(&mut Random, &mut PullConfig)) {
    for seed in 0..cases {
        let mut random = Random(seed.wrapping_mul(77) + 1);
        let mut config = PullConfig {
            max_messages: 1 + random.below(30),
            expires: Duration::from_millis(1000 + random.below(3000)),
            heartbeat: Duration::from_millis(200),
            ..config()
        };
        vary(&mut random, &mut config);
        let mut world = World::new(seed, config);
        world.unreadable = unreadable;
        for _ in 0..1500 {
            if world.random.percent(20) {
                let count = world.random.below(6);
                world.store(count);
            }
            world.step();
        }
        // In half a minute a refusal can be answered some hundred times, but not each time at once.
        assert!(world.refusals < 600, "{} refusals, seed {seed}", world.refusals);
        world.calm();
    }
}

#[test]
fn messages_only() {
    runs(300, |_, _| {});
}

#[test]
fn with_a_limit_of_bytes() {
    runs(300, |random, config| config.max_bytes = Some(100 + random.below(900)));
}

#[test]
fn with_a_threshold_and_a_consumer_that_comes_and_goes() {
    runs(300, |random, config| {
        config.threshold = Some(1 + random.below(config.max_messages));
        config.waits = true;
    });
}

#[test]
fn with_a_pin() {
    runs(200, |_, config| {
        config.group = Some(super::Group {
            name: "g".into(),
            min_pending: None,
            min_ack_pending: None,
            priority: None,
        });
    });
}

#[test]
fn beside_messages_that_nobody_can_read() {
    runs_beside(Some(13), 200, |_, _| {});
    runs_beside(Some(5), 50, |random, config| config.max_bytes = Some(100 + random.below(900)));
}

#[test]
fn exactly_as_many_as_wanted() {
    for seed in 0..200 {
        let mut world = World::new(seed, PullConfig { stop_after: Some(50), ..config() });
        world.store(100);
        for _ in 0..3000 {
            world.step();
        }
        if std::mem::take(&mut world.paused) {
            world.run(|machine, now, out| machine.resume(now, out));
        }
        world.trouble = 0;
        for _ in 0..20_000 {
            world.step();
            if world.ended {
                break;
            }
            if !world.connected {
                world.reconnect();
            }
        }
        if world.failed {
            continue;
        }
        assert!(world.ended, "seed {seed}");
        assert_eq!(world.accepted, 50, "seed {seed}");
    }
}
