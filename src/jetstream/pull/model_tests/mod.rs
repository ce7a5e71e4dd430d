//! The machine against a model of a consumer on a server and of a program, in random runs: connections
//! and requests get lost, servers are restarted, leaders change, requests are refused, the program is
//! slow, pauses, gives up. Whatever comes to pass, no message is lost, no delivery of the server
//! reaches the program twice, what is outstanding stays within its limits, refusals are not answered
//! in a tight loop, and once all is well again everything is delivered.

mod program;
mod server;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PullConfig;
use super::machine::{Action, Fate, Machine, Status};
use super::machine_tests::{config, info, surroundings};
use crate::error::{Error, Kind};
use crate::random::Random;
use crate::transport::ConnState;

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
        let mut random = Random::new(seed);
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
        let mut random = Random::new(seed.wrapping_mul(77));
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
