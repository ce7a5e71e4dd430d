//! A program with a bound array, and what is on its way to it.

use super::server::{Answer, Message, Server, Value};
use crate::error::{Error, Kind};
use crate::keyvalue::two_way::key::{Loss, Policy, Write};
use crate::keyvalue::two_way::table::{Output, Table};
use crate::random::Random;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;

/// What is on its way to a client, in order.
pub enum News {
    Entry(Message),
    Answer(u64, u64, Answer),
    Told(u64, u64, (u64, Option<Value>)),
    Remade,
    Online,
    RollCall(HashSet<usize>),
}

pub struct Client {
    pub me: usize,
    pub table: Table<Value>,
    pub array: BTreeMap<usize, Value>,
    pub connected: bool,
    /// Messages up to this one were given to it.
    pub delivered: u64,
    pub generation: u64,
    pub news: VecDeque<News>,
    pub sent: VecDeque<(u64, Rc<str>, Write<Value>)>,
    pub asked: VecDeque<(u64, Rc<str>, u64)>,
    /// What became of each change, by its value: a value is never used twice.
    pub changes: HashMap<Value, &'static str>,
    /// The last value that the program has set each key to.
    pub latest: BTreeMap<usize, Option<Value>>,
    pub losses: u64,
}

pub fn name(key: usize) -> String {
    format!("k{key}")
}

pub fn number(key: &str) -> usize {
    key[1..].parse().expect("a number")
}

pub fn refusal() -> Error {
    Error::new(Kind::WrongLastSequence, "")
}

impl Client {
    pub fn new(me: usize, policy: Policy) -> Client {
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
    pub fn set(&mut self, key: usize, value: Option<Value>) {
        match value {
            Some(value) => self.array.insert(key, value),
            None => self.array.remove(&key),
        };
        if let Some(Some(before)) = self.latest.insert(key, value) {
            self.changes.entry(before).or_insert("replaced");
        }
        self.table.change(&name(key), value);
    }

    pub fn effects(&mut self, out: Vec<Output<Value>>) {
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

    pub fn pump(&mut self) {
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
    pub fn serve(&mut self, server: &mut Server, random: &mut Random) {
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
    pub fn feed(&mut self, server: &Server) {
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
    pub fn take(&mut self) {
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
    pub fn lose(&mut self, server: &mut Server, random: &mut Random) {
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

    pub fn find(&mut self) {
        self.connected = true;
        self.news.push_back(News::Online);
    }

    pub fn at_rest(&self, server: &Server) -> bool {
        self.news.is_empty()
            && self.sent.is_empty()
            && self.asked.is_empty()
            && self.table.pending() == 0
            && self.table.in_flight() == 0
            && self.delivered == server.last
            && self.generation == server.generation
    }
}
