//! Several candidates and a server, in a time of their own: messages are late, connections are lost with what is on its
//! way, processes stand still, the server goes away. Never two of them believe that the key is theirs, tokens
//! rise, and in calm weather somebody has it.

use super::action::{Action, Event, Kind};
use super::machine::Machine;
use super::seen::{Content, Holder, Seen};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::random::Random;
use crate::transport::ConnState;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

const TTL: u64 = 2000;
const CANDIDATES: usize = 5;
/// How long a marker stays.
const MARKER: u64 = 1000;
/// When the server looks for what has expired.
const SWEEP: u64 = 250;

type Step<'a> = Box<dyn FnOnce(&mut Machine, Instant, &mut Vec<Action>) + 'a>;

/// The last message of the key.
#[derive(Clone, Debug)]
struct Stored {
    revision: u64,
    /// Candidate and number; `None` is a deletion.
    writer: Option<(usize, u64)>,
    expires: u64,
}

enum Mail {
    Write { from: usize, number: u64, expected: u64, delete: bool },
    Look { from: usize, number: u64 },
    Watch { from: usize },
    Written { number: u64, outcome: Result<u64> },
    Looked { number: u64, stored: Option<Stored> },
    Seen(Stored),
    End,
}

/// To the server, or to a candidate over a connection; who has to do with it.
type Letter = (Option<(usize, u64)>, u64, Mail);

struct Candidate {
    machine: Machine,
    /// Counts connections; what was sent over an older one is lost.
    connection: u64,
    connected: bool,
    watching: bool,
    /// The server has gone meanwhile.
    broken: bool,
    /// The process stands still until then.
    stopped_until: u64,
    waiting: VecDeque<Mail>,
    /// The last token that was seen to be valid, and that it is not any more.
    looked: Option<(u64, bool)>,
}

impl Candidate {
    /// What its program sees: who is not the leader any more is not with the same token again.
    fn look(&mut self, now: Instant) {
        if self.machine.is_valid(now) {
            let token = self.machine.token();
            assert_ne!(self.looked, Some((token, true)), "valid again");
            self.looked = Some((token, false));
        } else if let Some((_, ended)) = &mut self.looked {
            *ended = true;
        }
    }
}

struct World {
    random: Random,
    start: Instant,
    now: u64,
    server_up: bool,
    calm: bool,
    last: u64,
    key: Option<Stored>,
    candidates: Vec<Candidate>,
    /// By time and a running number.
    mail: BTreeMap<(u64, u64), Letter>,
    serial: u64,
    tokens: Vec<u64>,
}

impl World {
    fn new(seed: u64) -> World {
        let candidate = || Candidate {
            machine: Machine::new(Kind::Forever, Duration::from_millis(TTL), None),
            connection: 0,
            connected: false,
            broken: false,
            watching: false,
            stopped_until: 0,
            waiting: VecDeque::new(),
            looked: None,
        };
        World {
            random: Random::new(seed),
            start: Instant::now(),
            now: 0,
            server_up: true,
            calm: false,
            last: 0,
            key: None,
            candidates: (0..CANDIDATES).map(|_| candidate()).collect(),
            mail: BTreeMap::new(),
            serial: 0,
            tokens: Vec::new(),
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn post(&mut self, to: Option<usize>, who: usize, mail: Mail) {
        let delay = match self.random.below(20) {
            0 if !self.calm => self.random.below(900),
            _ => 1 + self.random.below(5),
        };
        // In order, as over one connection.
        let lane = |entry: &Letter| match to {
            Some(to) => entry.0.is_some_and(|(known, _)| known == to),
            None => entry.0.is_none() && entry.1 == who as u64,
        };
        let latest = self.mail.iter().filter(|(_, entry)| lane(entry)).map(|(key, _)| key.0).max();
        let time = (self.now + delay).max(latest.unwrap_or(0));
        self.serial += 1;
        let connection = self.candidates[who].connection;
        let to = to.map(|to| (to, connection));
        self.mail.insert((time, self.serial), (to, who as u64, mail));
    }

    fn input(&mut self, who: usize, step: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>)) {
        self.step_of(who, Box::new(step));
    }

    fn step_of(&mut self, who: usize, step: Step<'_>) {
        let now = self.at(self.now);
        let mut out = Vec::new();
        step(&mut self.candidates[who].machine, now, &mut out);
        for action in out {
            match action {
                Action::Write { number, expected } => {
                    self.post(
                        None,
                        who,
                        Mail::Write { from: who, number, expected, delete: false },
                    );
                    // The answer may be what it meets when it goes on.
                    if !self.calm && self.random.below(30) == 0 {
                        self.candidates[who].stopped_until = self.now + self.random.below(2 * TTL);
                    }
                }
                Action::Delete { number, expected } => {
                    self.post(None, who, Mail::Write { from: who, number, expected, delete: true });
                }
                Action::Look { number } => self.post(None, who, Mail::Look { from: who, number }),
                Action::Watch { number } => {
                    self.input(who, |machine, now, out| {
                        machine.watch_started(number, Ok(()), now, out);
                    });
                    self.candidates[who].watching = true;
                    self.post(None, who, Mail::Watch { from: who });
                }
                Action::Unwatch => self.candidates[who].watching = false,
                Action::Tell(Event::Acquired(token)) => {
                    assert!(self.tokens.last().is_none_or(|last| *last < token));
                    self.tokens.push(token);
                }
                Action::Tell(_) => {}
            }
        }
    }

    /// What the key has changed to goes to all who watch.
    fn store(&mut self, writer: Option<(usize, u64)>, lives: u64) -> u64 {
        self.last += 1;
        let stored = Stored { revision: self.last, writer, expires: self.now + lives };
        self.key = Some(stored.clone());
        for who in 0..CANDIDATES {
            if self.candidates[who].watching && self.candidates[who].connected {
                self.post(Some(who), who, Mail::Seen(stored.clone()));
            }
        }
        self.last
    }

    fn serve(&mut self, mail: Mail) {
        let revision = self.key.as_ref().map_or(0, |stored| stored.revision);
        match mail {
            Mail::Write { from, number, expected, delete } => {
                let outcome = if expected == revision {
                    let writer = (!delete).then_some((from, number));
                    Ok(self.store(writer, if delete { MARKER } else { TTL }))
                } else {
                    let text = format!("wrong last sequence: {revision}");
                    Err(Error::new(ErrorKind::WrongLastSequence, text))
                };
                self.post(Some(from), from, Mail::Written { number, outcome });
            }
            Mail::Look { from, number } => {
                let stored = self.key.clone();
                self.post(Some(from), from, Mail::Looked { number, stored });
            }
            Mail::Watch { from } => {
                if let Some(stored) = self.key.clone() {
                    self.post(Some(from), from, Mail::Seen(stored));
                }
                self.post(Some(from), from, Mail::End);
            }
            _ => {}
        }
    }

    fn sweep(&mut self) {
        let Some(stored) = self.key.clone().filter(|stored| stored.expires <= self.now) else {
            return;
        };
        match stored.writer {
            Some(_) => drop(self.store(None, MARKER)),
            None => self.key = None,
        }
    }

    fn take(&mut self, who: usize, mail: Mail) {
        let seen = |stored: &Stored| Seen {
            revision: stored.revision,
            content: match stored.writer {
                None => Content::Gone { expired: false },
                Some((writer, number)) if writer == who => Content::Ours(number),
                Some((writer, _)) => Content::Others(Holder {
                    writer: Some(writer.to_string().into()),
                    value: writer.to_string().into_bytes(),
                    ttl: Some(Duration::from_millis(TTL)),
                }),
            },
        };
        match mail {
            Mail::Written { number, outcome } => {
                self.input(who, |machine, now, out| machine.written(number, outcome, now, out));
            }
            Mail::Looked { number, stored } => {
                let seen = Ok(stored.as_ref().map_or(Seen::NOTHING, seen));
                self.input(who, |machine, now, out| machine.looked(number, seen, now, out));
            }
            Mail::Seen(stored) => {
                let seen = seen(&stored);
                self.input(who, |machine, now, out| machine.seen(&seen, now, out));
            }
            Mail::End => self.input(who, |machine, now, out| machine.end_of_data(now, out)),
            _ => {}
        }
    }

    fn connect(&mut self, who: usize) {
        let candidate = &mut self.candidates[who];
        candidate.connection += 1;
        candidate.connected = true;
        let (connection, watching) = (candidate.connection, candidate.watching);
        self.input(who, |machine, now, out| {
            machine.connection(ConnState::Connected(connection), now, out);
        });
        if watching {
            // The watch goes on: what is there is told again.
            self.post(None, who, Mail::Watch { from: who });
        }
    }

    fn disconnect(&mut self, who: usize) {
        if std::mem::take(&mut self.candidates[who].connected) {
            self.input(who, |machine, now, out| {
                machine.connection(ConnState::Disconnected, now, out);
            });
        }
    }

    /// One millisecond, with or without misfortune.
    fn step(&mut self, calm: bool) {
        self.now += 1;
        self.calm = calm;
        if !calm {
            self.misfortune();
        } else {
            self.server_up = true;
        }
        if self.now.is_multiple_of(SWEEP) && self.server_up {
            self.sweep();
        }
        while let Some(entry) = self.mail.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, _, mail) = entry.remove();
            match to {
                None if self.server_up => self.serve(mail),
                None => {}
                Some((who, connection)) => {
                    let candidate = &mut self.candidates[who];
                    let current = candidate.connected && candidate.connection == connection;
                    match current && self.server_up {
                        true if candidate.stopped_until > self.now => {
                            candidate.waiting.push_back(mail)
                        }
                        true => self.take(who, mail),
                        false => {}
                    }
                }
            }
        }
        for who in 0..CANDIDATES {
            if self.candidates[who].stopped_until > self.now {
                continue;
            }
            if !self.server_up || std::mem::take(&mut self.candidates[who].broken) {
                self.disconnect(who);
            } else if !self.candidates[who].connected && (calm || self.random.below(100) == 0) {
                self.connect(who);
            }
            // Its own thread may be the first to go on.
            let now = self.at(self.now);
            self.candidates[who].look(now);
            while let Some(mail) = self.candidates[who].waiting.pop_front() {
                self.take(who, mail);
            }
            self.candidates[who].look(now);
            if self.candidates[who].machine.due().is_some_and(|due| due <= now) {
                self.input(who, |machine, now, out| machine.tick(now, out));
            }
        }
        let now = self.at(self.now);
        let valid = self.candidates.iter().filter(|one| one.machine.is_valid(now)).count();
        assert!(valid <= 1, "{valid} at {}", self.now);
    }

    fn misfortune(&mut self) {
        let who = self.random.below(CANDIDATES as u64) as usize;
        match self.random.below(3000) {
            0 => self.candidates[who].stopped_until = self.now + self.random.below(2 * TTL),
            1 => self.disconnect(who),
            2 => {
                self.server_up = false;
                self.candidates.iter_mut().for_each(|candidate| candidate.broken = true);
            }
            3 => self.input(who, |machine, now, out| machine.release(now, out)),
            _ => {}
        }
        if !self.server_up && self.random.below(300) == 0 {
            self.server_up = true;
        }
    }
}

#[test]
fn never_two_and_always_one_in_the_end() {
    let seeds = std::env::var("NATS_MODEL_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    let mut tokens = 0;
    for seed in 1..=seeds {
        let mut world = World::new(seed);
        for _ in 0..30_000 {
            world.step(false);
        }
        // Long enough for what was resigned, and for each pause.
        for _ in 0..12_000 {
            world.step(true);
        }
        let now = world.at(world.now);
        let valid = world.candidates.iter().filter(|one| one.machine.is_valid(now)).count();
        let state = |one: &Candidate| {
            (
                one.connected,
                one.watching,
                one.machine.due().map(|due| due.saturating_duration_since(now)),
            )
        };
        let states: Vec<_> = world.candidates.iter().map(state).collect();
        assert_eq!(valid, 1, "seed {seed}: {:?}, {states:?}", world.key);
        tokens += world.tokens.len();
    }
    assert!(tokens as u64 > 3 * seeds, "{tokens}");
}
