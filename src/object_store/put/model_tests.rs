//! The machine against a model of a stream behind a bad network: what it calls complete is each chunk
//! once, in order.

use super::machine::{Action, Label, Machine, Window};
use crate::random::Random;
use bytes::Bytes;
use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

/// What becomes of things. Chances are one in so many steps.
struct Weather {
    /// The connection is lost.
    loss: u64,
    /// The server drops a message without a word.
    drop: u64,
    /// The stream has no leader for some messages.
    nobody: u64,
    /// A lost connection's messages come in all the same, later.
    late: u64,
    /// The server forgets which ids it has stored, or loses its last message when it is started again.
    amnesia: u64,
}

#[derive(Clone, Copy)]
enum Answer {
    Stored(Label, u64),
    Nobody(Label),
    Deleted,
}

#[derive(Default)]
struct Server {
    /// Sequence numbers and what has them.
    stream: Vec<(u64, u64)>,
    last: u64,
    ids: HashSet<Label>,
    known: Vec<(Label, u64)>,
    leaderless: u64,
}

impl Server {
    fn take(&mut self, label: Label, payload: &Bytes) -> Option<Answer> {
        if self.leaderless > 0 {
            self.leaderless -= 1;
            return Some(Answer::Nobody(label));
        }
        if !self.ids.insert(label) {
            let known = self.known.iter().rev().find(|(known, _)| *known == label);
            return known.map(|(label, seq)| Answer::Stored(*label, *seq));
        }
        self.last += 1;
        let content = u64::from_le_bytes(payload[..].try_into().expect("eight bytes"));
        self.stream.push((self.last, content));
        self.known.push((label, self.last));
        Some(Answer::Stored(label, self.last))
    }
}

struct World {
    random: Random,
    server: Server,
    to_server: VecDeque<(Label, Bytes)>,
    to_client: VecDeque<Answer>,
    deletions: Vec<u64>,
    late: VecDeque<(Label, Bytes)>,
    machine: Machine,
    now: Instant,
    complete: Option<(u64, bool)>,
}

impl World {
    fn new(seed: u64) -> World {
        let now = Instant::now();
        let mut random = Random::new(seed);
        let window = Window { chunks: 1 + random.below(12) as usize, bytes: 64 };
        World {
            random,
            server: Server::default(),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            deletions: Vec::new(),
            late: VecDeque::new(),
            machine: Machine::new(window, None, true, now),
            now,
            complete: None,
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(label, payload) => self.to_server.push_back((label, payload)),
                Action::Delete(seq) => self.deletions.push(seq),
                Action::Complete { chunks, doubt, .. } => self.complete = Some((chunks, doubt)),
                Action::Fail(error) => panic!("{error}"),
            }
        }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.random.below(one_in) == 0
    }

    fn input(&mut self, step: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>)) {
        let mut out = Vec::new();
        step(&mut self.machine, self.now, &mut out);
        self.perform(out);
    }

    fn lose_connection(&mut self, weather: &Weather) {
        let unseen = std::mem::take(&mut self.to_server);
        if self.chance(weather.late) {
            self.late.extend(unseen);
        }
        self.to_client.retain(|answer| matches!(answer, Answer::Deleted));
        if self.chance(weather.amnesia) {
            self.server.ids.clear();
        }
        self.input(|machine, now, out| machine.connection(false, now, out));
        self.input(|machine, now, out| machine.connection(true, now, out));
    }

    fn server_step(&mut self, weather: &Weather) {
        let from_late = !self.late.is_empty() && self.random.below(3) == 0;
        let next = if from_late { self.late.pop_front() } else { self.to_server.pop_front() };
        let Some((label, payload)) = next else { return };
        if self.chance(weather.nobody) {
            self.server.leaderless = 1 + self.random.below(4);
        }
        if self.chance(weather.drop) {
            return;
        }
        // Others write, too.
        self.server.last += self.random.below(2);
        let answer = self.server.take(label, &payload);
        // The answers over a lost connection are lost.
        self.to_client.extend(answer.filter(|_| !from_late));
    }

    fn client_step(&mut self) {
        match self.to_client.pop_front() {
            Some(Answer::Stored(label, seq)) => {
                self.input(|machine, now, out| machine.stored(label, seq, now, out));
            }
            Some(Answer::Nobody(label)) => self.input(|machine, now, _| machine.nobody(label, now)),
            Some(Answer::Deleted) => self.input(|machine, _, out| machine.deleted(out)),
            None => {}
        }
    }

    fn delete_step(&mut self) {
        if self.deletions.is_empty() {
            return;
        }
        let at = self.random.below(self.deletions.len() as u64) as usize;
        let seq = self.deletions.swap_remove(at);
        self.server.stream.retain(|(stored, _)| *stored != seq);
        self.to_client.push_back(Answer::Deleted);
    }

    /// What is stored when the machine is done, and whether it was in doubt.
    fn run(mut self, chunks: u64, weather: &Weather) -> (Vec<u64>, bool) {
        let mut given = 0;
        for step in 0.. {
            assert!(step < 200_000, "it does not come to an end");
            let calm = step > 5000;
            match self.random.below(8) {
                0 if self.machine.has_room() && given < chunks => {
                    let payload = Bytes::copy_from_slice(&given.to_le_bytes());
                    given += 1;
                    self.input(|machine, now, out| machine.chunk(payload, now, out));
                    if given == chunks {
                        self.input(|machine, _, out| machine.end(out));
                    }
                }
                1 | 2 => self.server_step(if calm { &CALM } else { weather }),
                3 | 4 => self.client_step(),
                5 => self.delete_step(),
                6 if !calm && self.chance(weather.loss) => self.lose_connection(weather),
                _ => {
                    self.now += Duration::from_millis(self.random.below(20));
                    if self.machine.timer().is_some_and(|at| at <= self.now) {
                        self.input(Machine::tick);
                    }
                }
            }
            if let Some((placed, doubt)) = self.complete {
                assert_eq!(placed, chunks);
                while !self.late.is_empty() {
                    self.server_step(&CALM);
                }
                return (self.server.stream.iter().map(|(_, content)| *content).collect(), doubt);
            }
        }
        unreachable!("it ends before")
    }
}

const CALM: Weather = Weather { loss: 0, drop: 0, nobody: 0, late: 0, amnesia: 0 };

fn check(weather: &Weather, forgets: bool) {
    for seed in 0..300 {
        let mut random = Random::new(seed + 1000);
        let chunks = 1 + random.below(60);
        let (stored, doubt) = World::new(seed).run(chunks, weather);
        let wanted: Vec<u64> = (0..chunks).collect();
        // Whoever counts finds out.
        if forgets && doubt && stored.len() != wanted.len() {
            continue;
        }
        assert_eq!(stored, wanted, "seed {seed}, doubt {doubt}");
    }
}

#[test]
fn calm() {
    check(&CALM, false);
    let (_, doubt) = World::new(1).run(50, &CALM);
    assert!(!doubt);
}

#[test]
fn connections_are_lost() {
    check(&Weather { loss: 4, ..CALM }, false);
}

#[test]
fn messages_of_lost_connections_come_late() {
    check(&Weather { loss: 4, late: 2, ..CALM }, false);
}

#[test]
fn messages_are_dropped() {
    check(&Weather { drop: 10, ..CALM }, false);
}

#[test]
fn there_is_no_leader() {
    check(&Weather { nobody: 10, ..CALM }, false);
}

#[test]
fn all_at_once() {
    check(&Weather { loss: 10, drop: 20, nobody: 20, late: 3, amnesia: 0 }, false);
}

#[test]
fn ids_are_forgotten() {
    check(&Weather { loss: 10, drop: 30, nobody: 30, late: 0, amnesia: 2 }, true);
}
