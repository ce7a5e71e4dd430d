//! Bound tables against a model of a bucket: random schedules of changes by the programs and by others,
//! of deliveries, answers, losses of connections, limits and buckets that are made again. Nothing is lost
//! without a word, and in the end all have what the bucket has.

use super::key::{Loss, Policy, Write};
use super::table::{Output, Table};
use crate::error::{Error, Kind};
use crate::random::Random;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;

type Value = u64;

#[derive(Clone)]
struct Message {
    revision: u64,
    key: usize,
    value: Option<Value>,
    /// Client and number of the write.
    by: Option<(usize, u64)>,
}

/// The bucket: the last message of each key, and the numbers of writes that it knows.
#[derive(Default)]
struct Server {
    last: u64,
    keys: BTreeMap<usize, Message>,
    seen: HashMap<(usize, u64), u64>,
    generation: u64,
}

enum Answer {
    Stored(u64),
    Met(Option<u64>),
    Failed,
}

impl Server {
    fn store(&mut self, key: usize, value: Option<Value>, by: Option<(usize, u64)>) -> u64 {
        self.last += 1;
        let message = Message { revision: self.last, key, value, by };
        self.keys.insert(key, message);
        if let Some(by) = by {
            self.seen.insert(by, self.last);
        }
        self.last
    }

    fn write(
        &mut self,
        key: usize,
        write: &Write<Value>,
        client: usize,
        random: &mut Random,
    ) -> Answer {
        if let Some(revision) = self.seen.get(&(client, write.id)) {
            return Answer::Stored(*revision);
        }
        let last = self.keys.get(&key).map_or(0, |message| message.revision);
        if last != write.expected {
            return Answer::Met((!random.percent(10)).then_some(last));
        }
        if random.percent(3) {
            return Answer::Failed;
        }
        Answer::Stored(self.store(key, write.value, Some((client, write.id))))
    }
}

/// What is on its way to a client, in order.
enum News {
    Entry(Message),
    Answer(u64, u64, Answer),
    Told(u64, u64, (u64, Option<Value>)),
    Remade,
    Online,
    RollCall(HashSet<usize>),
}

struct Client {
    me: usize,
    table: Table<Value>,
    array: BTreeMap<usize, Value>,
    connected: bool,
    /// Messages up to this one were given to it.
    delivered: u64,
    generation: u64,
    news: VecDeque<News>,
    sent: VecDeque<(u64, Rc<str>, Write<Value>)>,
    asked: VecDeque<(u64, Rc<str>, u64)>,
    /// What became of each change, by its value: a value is never used twice.
    changes: HashMap<Value, &'static str>,
    /// The last value that the program has set each key to.
    latest: BTreeMap<usize, Option<Value>>,
    losses: u64,
}

fn name(key: usize) -> String {
    format!("k{key}")
}

fn number(key: &str) -> usize {
    key[1..].parse().expect("a number")
}

fn refusal() -> Error {
    Error::new(Kind::WrongLastSequence, "")
}

impl Client {
    fn new(me: usize, policy: Policy) -> Client {
        let mut table = Table::new(policy);
        table.set_online(true);
        Client {
            me,
            table,
            array: BTreeMap::new(),
            connected: true,
            delivered: 0,
            generation: 0,
            news: VecDeque::new(),
            sent: VecDeque::new(),
            asked: VecDeque::new(),
            changes: HashMap::new(),
            latest: BTreeMap::new(),
            losses: 0,
        }
    }

    /// The program.
    fn set(&mut self, key: usize, value: Option<Value>) {
        match value {
            Some(value) => self.array.insert(key, value),
            None => self.array.remove(&key),
        };
        if let Some(Some(before)) = self.latest.insert(key, value) {
            self.changes.entry(before).or_insert("replaced");
        }
        self.table.change(&name(key), value);
    }

    fn effects(&mut self, out: Vec<Output<Value>>) {
        for output in out {
            match output {
                Output::Show(key) => {
                    match self.table.get(&key).and_then(|state| state.shown()) {
                        Some(value) => self.array.insert(number(&key), *value),
                        None => self.array.remove(&number(&key)),
                    };
                }
                Output::Ask(key, id) => self.asked.push_back((self.table.epoch(), key, id)),
                Output::Lost(_, Loss { change, .. }) => {
                    self.losses += 1;
                    if let Some(value) = change.value {
                        self.changes.insert(value, "reported");
                    }
                }
            }
        }
    }

    fn pump(&mut self) {
        while let Some((key, write)) = self.table.take_write() {
            self.sent.push_back((self.table.epoch(), key, write));
        }
        let asked: HashSet<u64> = self.asked.iter().map(|(.., id)| *id).collect();
        let pending: HashSet<u64> = self
            .news
            .iter()
            .filter_map(|n| if let News::Told(_, id, _) = n { Some(*id) } else { None })
            .collect();
        for (key, id) in self.table.questions() {
            if !asked.contains(&id) && !pending.contains(&id) {
                self.asked.push_back((self.table.epoch(), key, id));
            }
        }
    }

    /// The server looks at one thing that has been sent.
    fn serve(&mut self, server: &mut Server, random: &mut Random) {
        if let Some((epoch, key, write)) = self.sent.pop_front() {
            let answer = server.write(number(&key), &write, self.me, random);
            self.news.push_back(News::Answer(epoch, write.id, answer));
        }
        if let Some((epoch, key, id)) = self.asked.pop_front() {
            let last = server.keys.get(&number(&key));
            let last = last.map_or((0, None), |message| (message.revision, message.value));
            self.news.push_back(News::Told(epoch, id, last));
        }
    }

    /// What the feed has that was not given yet: of each key the last message, in order.
    fn feed(&mut self, server: &Server) {
        if self.generation != server.generation {
            self.generation = server.generation;
            self.delivered = 0;
            self.news.push_back(News::Remade);
            let mut new: Vec<&Message> = server.keys.values().collect();
            new.sort_by_key(|message| message.revision);
            self.news.extend(new.into_iter().cloned().map(News::Entry));
            self.news.push_back(News::RollCall(server.keys.keys().copied().collect()));
            self.news.push_back(News::Online);
            self.delivered = server.last;
        }
        let mut new: Vec<&Message> =
            server.keys.values().filter(|message| message.revision > self.delivered).collect();
        new.sort_by_key(|message| message.revision);
        if let Some(first) = new.first() {
            self.delivered = first.revision;
            self.news.push_back(News::Entry((*first).clone()));
        } else {
            self.delivered = server.last;
        }
    }

    /// Takes one thing that has come.
    fn take(&mut self) {
        let mut out = Vec::new();
        match self.news.pop_front() {
            None => {}
            Some(News::Entry(m)) => {
                let own = m.by.filter(|(client, _)| *client == self.me).map(|(_, id)| id);
                self.table.entry(&name(m.key), m.revision, m.value, own, &mut out);
            }
            Some(News::Answer(epoch, id, answer)) if epoch == self.table.epoch() => match answer {
                Answer::Stored(revision) => self.table.acknowledged(id, revision, &mut out),
                Answer::Met(met) => self.table.refused(id, met, refusal(), &mut out),
                Answer::Failed => {
                    self.table.failed(id, Error::new(Kind::MaxPayload, ""), &mut out);
                }
            },
            Some(News::Told(epoch, id, last)) if epoch == self.table.epoch() => {
                self.table.told(id, Ok(last), &mut out);
            }
            Some(News::Answer(..) | News::Told(..)) => {}
            Some(News::Remade) => {
                self.table.set_online(false);
                self.table.remade(&mut out);
            }
            Some(News::Online) => self.table.set_online(true),
            Some(News::RollCall(there)) => {
                self.table.roll_call_begins();
                self.table.roll_call(|key| there.contains(&number(key)), 0, &mut out);
            }
        }
        self.effects(out);
    }

    /// The connection is lost: of what is on its way a part arrives, and of the answers none.
    fn lose(&mut self, server: &mut Server, random: &mut Random) {
        for _ in 0..random.below(4) {
            self.serve(server, random);
        }
        self.connected = false;
        self.sent.clear();
        self.asked.clear();
        // What is not given yet comes again over the next connection.
        let first = self.news.iter().find_map(|news| match news {
            News::Entry(message) => Some(message.revision),
            _ => None,
        });
        if self.news.iter().any(|news| matches!(news, News::Remade)) {
            self.generation -= 1;
        }
        if let Some(first) = first {
            self.delivered = self.delivered.min(first - 1);
        }
        self.news.clear();
        self.table.set_online(false);
    }

    fn find(&mut self) {
        self.connected = true;
        self.news.push_back(News::Online);
    }

    fn at_rest(&self, server: &Server) -> bool {
        self.news.is_empty()
            && self.sent.is_empty()
            && self.asked.is_empty()
            && self.table.pending() == 0
            && self.table.in_flight() == 0
            && self.delivered == server.last
            && self.generation == server.generation
    }
}

struct World {
    server: Server,
    clients: Vec<Client>,
    random: Random,
    value: Value,
    stored: HashSet<Value>,
    remade: bool,
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
            15..=19 => {
                self.value += 1;
                let value = (!random.percent(25)).then_some(self.value);
                let key = random.below(4) as usize;
                self.server.store(key, value, None);
            }
            20..=21 if this.connected => this.lose(&mut self.server, random),
            22 => {
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

#[test]
fn what_is_made_and_removed_at_once_is_not_written() {
    let mut client = Client::new(0, Policy::Theirs);
    client.set(1, Some(1));
    client.set(1, None);
    client.pump();
    assert!(client.sent.is_empty() && client.table.settled(u64::MAX));
    assert!(client.table.get("k1").is_none());
}
