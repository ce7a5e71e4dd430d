//! Bound tables against a model of a bucket: random schedules of changes by the programs and by others,
//! of deliveries, answers, losses of connections, limits and buckets that are made again. Nothing is lost
//! without a word, and in the end all have what the bucket has.

mod client;
mod server;

use super::key::Policy;
use crate::random::Random;
use client::{Client, News, number};
use server::{Answer, Server, Value};
use std::collections::{BTreeMap, HashSet};

struct World {
    server: Server,
    clients: Vec<Client>,
    random: Random,
    value: Value,
    stored: HashSet<Value>,
    remade: bool,
    /// Nobody else writes.
    alone: bool,
}

impl World {
    fn new(seed: u64, policies: &[Policy], remade: bool) -> World {
        let clients = policies.iter().enumerate().map(|(n, policy)| Client::new(n, *policy));
        World {
            server: Server::default(),
            clients: clients.collect(),
            random: Random::new(seed),
            value: 0,
            stored: HashSet::new(),
            remade,
            alone: false,
        }
    }

    fn note_stored(&mut self) {
        self.stored.extend(self.server.keys.values().filter_map(|message| message.value));
    }

    fn step(&mut self, calm: bool) {
        let client = self.random.below(self.clients.len() as u64) as usize;
        let random = &mut self.random;
        let act = if calm { 30 + random.below(70) } else { random.below(100) };
        let this = &mut self.clients[client];
        match act {
            0..=14 => {
                self.value += 1;
                let value = (!random.percent(25)).then_some(self.value);
                this.set(random.below(4) as usize, value);
            }
            15..=19 if self.alone => {
                // The server does not know for ever which writes it has stored.
                self.server.seen.clear();
            }
            15..=19 => {
                self.value += 1;
                let value = (!random.percent(25)).then_some(self.value);
                let key = random.below(4) as usize;
                self.server.store(key, value, None);
            }
            20..=21 if this.connected => this.lose(&mut self.server, random),
            22 if !self.alone => {
                // Expired without a trace: the feed does not tell, until it calls the roll.
                let key = random.below(4) as usize;
                self.server.keys.remove(&key);
            }
            23 if self.remade && random.percent(20) => {
                let generation = self.server.generation + 1;
                self.server = Server { generation, ..Server::default() };
                for client in &mut self.clients {
                    client.sent.clear();
                    client.asked.clear();
                }
            }
            24 => {
                let there: HashSet<usize> = self.server.keys.keys().copied().collect();
                // A roll call tells of all that lies before it.
                if this.connected && this.generation == self.server.generation {
                    while this.delivered != self.server.last {
                        this.feed(&self.server);
                    }
                    this.news.push_back(News::RollCall(there));
                }
            }
            25..=44 => this.pump(),
            45..=64 if this.connected => this.serve(&mut self.server, random),
            65..=79 if this.connected => this.feed(&self.server),
            _ if this.connected => this.take(),
            _ if calm || random.percent(20) => this.find(),
            _ => {}
        }
        self.note_stored();
    }

    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 100_000, "does not come to rest");
            self.step(true);
            if round % 50 == 0 {
                for client in &mut self.clients {
                    client.pump();
                }
            }
            if self.clients.iter().all(|client| client.connected && client.at_rest(&self.server)) {
                break;
            }
        }
        // Whoever has lost messages is told which keys there are.
        let there: HashSet<usize> = self.server.keys.keys().copied().collect();
        for client in &mut self.clients {
            client.news.push_back(News::RollCall(there.clone()));
            client.take();
        }
    }

    fn check(&self, seed: u64) {
        let truth: BTreeMap<usize, Value> =
            self.server.keys.iter().filter_map(|(k, m)| Some((*k, m.value?))).collect();
        for client in &self.clients {
            assert_eq!(client.array, truth, "seed {seed}, client {}", client.me);
            assert!(client.table.settled(u64::MAX));
            for (key, value) in client.latest.iter() {
                let Some(value) = value else { continue };
                let fate = client.changes.get(value);
                let fine = fate.is_some() || self.stored.contains(value);
                assert!(fine, "seed {seed}, client {}: {value} of {key} is lost", client.me);
            }
        }
    }
}

fn run(policies: &[Policy], remade: bool, seeds: std::ops::Range<u64>) -> u64 {
    let mut losses = 0;
    for seed in seeds {
        let mut world = World::new(seed, policies, remade);
        for _ in 0..600 {
            world.step(false);
        }
        world.settle();
        world.check(seed);
        losses += world.clients.iter().map(|client| client.losses).sum::<u64>();
    }
    losses
}

#[test]
fn theirs() {
    assert!(run(&[Policy::Theirs, Policy::Theirs], false, 1..1500) > 100);
}

#[test]
fn mine() {
    run(&[Policy::Mine, Policy::Mine, Policy::Mine], false, 1..1500);
}

#[test]
fn both() {
    run(&[Policy::Theirs, Policy::Mine, Policy::Theirs], false, 2000..3500);
}

#[test]
fn buckets_that_are_made_again() {
    run(&[Policy::Theirs, Policy::Mine], true, 1..1500);
}

// What a program without conflicts meets.
#[test]
fn alone_nothing_is_refused() {
    for policy in [Policy::Theirs, Policy::Mine] {
        let mut client = Client::new(0, policy);
        let mut server = Server::default();
        let mut random = Random::new(77);
        for round in 1..2000 {
            client.set(random.below(20) as usize, (!random.percent(20)).then_some(round));
            for _ in 0..random.below(4) {
                client.pump();
                if let Some((epoch, key, write)) = client.sent.pop_front() {
                    let last = server.keys.get(&number(&key)).map_or(0, |m| m.revision);
                    assert_eq!(write.expected, last);
                    let revision = server.store(number(&key), write.value, Some((0, write.id)));
                    client.news.push_back(News::Answer(epoch, write.id, Answer::Stored(revision)));
                }
                client.feed(&server);
                client.take();
            }
        }
        assert_eq!(client.losses, 0);
    }
}

// Sent again under the same number, a write may be refused though it was stored: nobody has overtaken it.
#[test]
fn alone_though_the_server_forgets() {
    for seed in 1..1500 {
        let mut world = World::new(seed, &[Policy::Theirs], false);
        world.alone = true;
        for _ in 0..600 {
            world.step(false);
        }
        world.settle();
        world.check(seed);
        let counts = world.clients[0].table.counts();
        assert_eq!(counts.conflicts, 0, "seed {seed}");
    }
}

#[test]
fn several_changes_are_one_write() {
    let mut client = Client::new(0, Policy::Theirs);
    for value in 1..=1000 {
        client.set((value % 10) as usize, Some(value));
    }
    client.pump();
    assert_eq!(client.sent.len(), 10);
    assert_eq!(client.table.pending(), 10);
    // While they are on their way the last one waits.
    client.set(0, Some(2000));
    client.set(0, Some(2001));
    client.pump();
    assert_eq!((client.sent.len(), client.table.pending()), (10, 11));
}

// It is removed though the bucket was not known to have it: the server has said that it does.
#[test]
fn a_removal_has_the_last_word() {
    let mut client = Client::new(0, Policy::Mine);
    client.set(1, Some(1));
    client.pump();
    client.set(1, None);
    let (epoch, _, write) = client.sent.pop_front().expect("a write");
    client.news.push_back(News::Answer(epoch, write.id, Answer::Met(Some(7))));
    client.take();
    client.pump();
    let (_, _, write) = client.sent.pop_front().expect("a removal");
    assert_eq!((write.value, write.expected), (None, 7));
}

#[test]
fn what_is_made_and_removed_at_once_is_not_written() {
    let mut client = Client::new(0, Policy::Theirs);
    client.set(1, Some(1));
    client.set(1, None);
    client.pump();
    assert!(client.sent.is_empty() && client.table.settled(u64::MAX));
    assert!(client.table.get("k1").is_none());
}
