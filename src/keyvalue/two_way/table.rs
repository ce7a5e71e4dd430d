//! All keys of a bound array, and the order in which their changes go to the bucket: each key by itself
//! ([`super::key`]), many at a time. No I/O, no clock, no Tcl.

use super::key::{Effect, Key, Loss, Policy, Write};
use crate::error::{Error, Kind};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

/// So many writes are on their way at once.
pub const WINDOW: usize = 1024;

/// What comes out, for the keys that it is about.
#[derive(Debug)]
pub enum Output<V> {
    /// The element is to be what [`Table::get`] shows.
    Show(Rc<str>),
    Lost(Rc<str>, Loss<V>),
    Ask(Rc<str>, u64),
}

/// What the program may want to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub written: u64,
    pub conflicts: u64,
    pub failed: u64,
}

pub struct Table<V> {
    policy: Policy,
    keys: HashMap<Rc<str>, Key<V>>,
    /// Keys that have something to be sent, in the order of their changes; some may have nothing any
    /// more.
    queue: VecDeque<Rc<str>>,
    /// The writes and questions that are on their way, by their numbers.
    flights: HashMap<u64, Rc<str>>,
    /// Those whose answers are lost, or may be.
    doubtful: BTreeSet<u64>,
    online: bool,
    last_id: u64,
    last_change: u64,
    unsettled: BTreeSet<u64>,
    /// Keys of which something was seen since a roll call began.
    since: Option<HashMap<Rc<str>, u64>>,
    effects: Vec<Effect<V>>,
    counts: Counts,
    epoch: u64,
}

impl<V: Clone + PartialEq> Table<V> {
    pub fn new(policy: Policy) -> Self {
        Table {
            policy,
            keys: HashMap::new(),
            queue: VecDeque::new(),
            flights: HashMap::new(),
            doubtful: BTreeSet::new(),
            online: false,
            last_id: 0,
            last_change: 0,
            unsettled: BTreeSet::new(),
            since: None,
            effects: Vec::new(),
            counts: Counts::default(),
            epoch: 0,
        }
    }

    /// Counts the buckets of this name. An answer of an earlier one means nothing.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn get(&self, key: &str) -> Option<&Key<V>> {
        self.keys.get(key)
    }

    /// Keys that the bucket has.
    pub fn len(&self) -> usize {
        self.keys.values().filter(|key| key.bucket().is_some()).count()
    }

    /// Changes that have not been acknowledged; several of one key are one.
    pub fn pending(&self) -> usize {
        self.unsettled.len()
    }

    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// The number of the last write.
    pub fn last_write(&self) -> u64 {
        self.last_id
    }

    /// The number of the last change.
    pub fn last_change(&self) -> u64 {
        self.last_change
    }

    /// Whether all changes up to this one have come to their end.
    pub fn settled(&self, change: u64) -> bool {
        self.unsettled.first().is_none_or(|first| *first > change)
    }

    // -------------------------------------------------------------------------- from the program

    /// The program has changed an element. Whether there is something to be sent that was not before.
    pub fn change(&mut self, key: &str, value: Option<V>) -> bool {
        self.last_change += 1;
        self.unsettled.insert(self.last_change);
        let (before, number) = (self.queue.len(), self.last_change);
        self.with(key, &mut Vec::new(), |key, _, out| key.change(value, number, out));
        self.queue.len() > before
    }

    /// The bucket has gone, and now the element as well.
    pub fn forget(&mut self, key: &str) {
        self.keys.remove(key);
    }

    // ----------------------------------------------------------------------------- to the bucket

    pub fn is_online(&self) -> bool {
        self.online
    }

    /// Whether there is a connection that answers. What was on its way over the one before is in doubt.
    pub fn set_online(&mut self, online: bool) {
        self.online = online;
        if !online {
            self.doubtful.extend(self.flights.keys());
        }
    }

    /// What is to be sent now.
    pub fn take_write(&mut self) -> Option<(Rc<str>, Write<V>)> {
        if !self.online {
            return None;
        }
        while let Some(id) = self.doubtful.pop_first() {
            let Some(key) = self.flights.get(&id) else { continue };
            // A question is asked by whoever looks for it.
            if let Some(write) = self.keys.get(key).and_then(Key::again) {
                return Some((key.clone(), write));
            }
        }
        while self.flights.len() < WINDOW {
            let key = self.queue.pop_front()?;
            let id = self.last_id + 1;
            let Some(state) = self.keys.get_mut(&key) else { continue };
            state.queued = false;
            let Some(write) = state.next(id) else {
                if state.is_blank() {
                    self.keys.remove(&key);
                }
                continue;
            };
            self.last_id = id;
            self.flights.insert(id, key.clone());
            return Some((key, write));
        }
        None
    }

    /// Nothing could be sent just now: it is still to be done.
    pub fn put_back(&mut self, id: u64) {
        if self.flights.contains_key(&id) {
            self.doubtful.insert(id);
        }
    }

    /// Questions whose answers were lost.
    pub fn questions(&self) -> Vec<(Rc<str>, u64)> {
        let asks = |(id, key): (&u64, &Rc<str>)| {
            let asked = self.keys.get(key).and_then(Key::asks);
            (asked == Some(*id)).then(|| (key.clone(), *id))
        };
        self.flights.iter().filter_map(asks).collect()
    }

    // --------------------------------------------------------------------------- from the bucket

    pub fn acknowledged(&mut self, id: u64, revision: u64, out: &mut Vec<Output<V>>) {
        let Some(key) = self.flights.get(&id).cloned() else { return };
        self.counts.written += 1;
        self.note(&key, revision);
        self.with(&key, out, |key, policy, out| key.acknowledged(id, revision, policy, out));
    }

    pub fn refused(&mut self, id: u64, met: Option<u64>, error: Error, out: &mut Vec<Output<V>>) {
        let Some(key) = self.flights.get(&id).cloned() else { return };
        self.with(&key, out, |key, policy, out| key.refused(id, met, error, policy, out));
    }

    pub fn failed(&mut self, id: u64, error: Error, out: &mut Vec<Output<V>>) {
        let Some(key) = self.flights.get(&id).cloned() else { return };
        self.with(&key, out, |key, policy, out| key.failed(id, error, policy, out));
    }

    /// There is no answer. It is sent again, at once or when there is a connection.
    pub fn unanswered(&mut self, id: u64) {
        self.put_back(id);
    }

    pub fn told(
        &mut self,
        id: u64,
        answer: Result<(u64, Option<V>), Error>,
        out: &mut Vec<Output<V>>,
    ) {
        let Some(key) = self.flights.get(&id).cloned() else { return };
        self.with(&key, out, |key, policy, out| key.told(id, answer, policy, out));
    }

    pub fn entry(
        &mut self,
        key: &str,
        revision: u64,
        value: Option<V>,
        own: Option<u64>,
        out: &mut Vec<Output<V>>,
    ) {
        self.note(key, revision);
        if own.is_some_and(|own| self.flights.contains_key(&own)) {
            self.counts.written += 1;
        }
        self.with(key, out, |key, policy, out| key.entry(revision, value, own, policy, out));
    }

    fn note(&mut self, key: &str, revision: u64) {
        if let Some(since) = &mut self.since {
            since.insert(key.into(), revision);
        }
    }

    pub fn roll_call_begins(&mut self) {
        self.since = Some(HashMap::new());
    }

    /// These keys are there, besides those that were seen since the roll call began: unless they were
    /// on their way already and are before the first message that the stream had then.
    pub fn roll_call(
        &mut self,
        present: impl Fn(&str) -> bool,
        first_seq: u64,
        out: &mut Vec<Output<V>>,
    ) {
        let since = self.since.take().unwrap_or_default();
        let there = |key: &str| {
            present(key) || since.get(key).is_some_and(|revision| *revision >= first_seq)
        };
        let mut gone: Vec<Rc<str>> = self.keys.keys().filter(|key| !there(key)).cloned().collect();
        gone.sort_unstable();
        for key in gone {
            self.with(&key, out, |key, _, out| key.vanished(out));
        }
    }

    /// The bucket was made again.
    pub fn remade(&mut self, out: &mut Vec<Output<V>>) {
        self.since = None;
        self.epoch += 1;
        let mut all: Vec<Rc<str>> = self.keys.keys().cloned().collect();
        all.sort_unstable();
        for key in all {
            self.with(&key, out, |key, _, out| key.remade(out));
        }
    }

    /// The binding ends: what has not been acknowledged is lost for this reason.
    pub fn abandon(&mut self, error: &Error, out: &mut Vec<Output<V>>) {
        let mut lost = Vec::new();
        for (key, state) in &mut self.keys {
            if let Some(change) = state.abandon(&mut self.effects) {
                let (theirs, revision) = (state.bucket().cloned(), state.revision());
                lost.push((key.clone(), Loss { change, theirs, revision, error: error.clone() }));
            }
        }
        self.effects.clear();
        self.unsettled.clear();
        self.queue.clear();
        self.flights.clear();
        self.doubtful.clear();
        lost.sort_unstable_by_key(|(_, loss)| loss.change.number);
        self.counts.failed += lost.len() as u64;
        out.extend(lost.into_iter().map(|(key, loss)| Output::Lost(key, loss)));
    }

    // ---------------------------------------------------------------------------------- outcomes

    /// Does something to a key, and what comes of it.
    fn with(
        &mut self,
        name: &str,
        out: &mut Vec<Output<V>>,
        act: impl FnOnce(&mut Key<V>, Policy, &mut Vec<Effect<V>>),
    ) {
        let known = self.keys.get_key_value(name).map(|(name, _)| name.clone());
        let name: Rc<str> = known.unwrap_or_else(|| name.into());
        let mut effects = std::mem::take(&mut self.effects);
        let key = self.keys.entry(name.clone()).or_default();
        let flew = key.again().map(|write| write.id).or(key.asks());
        act(key, self.policy, &mut effects);
        let flies = key.again().map(|write| write.id).or(key.asks());
        let mut ready = false;
        if let Some(id) = flew.filter(|_| flew != flies) {
            self.flights.remove(&id);
            self.doubtful.remove(&id);
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::Show => out.push(Output::Show(name.clone())),
                Effect::Ready => ready = true,
                Effect::Ask(id) => out.push(Output::Ask(name.clone(), id)),
                Effect::Settled(number) => {
                    self.unsettled.remove(&number);
                }
                Effect::Lost(loss) => {
                    self.unsettled.remove(&loss.change.number);
                    match loss.error.kind {
                        Kind::WrongLastSequence => self.counts.conflicts += 1,
                        _ => self.counts.failed += 1,
                    }
                    out.push(Output::Lost(name.clone(), loss));
                }
            }
        }
        self.effects = effects;
        let Some(key) = self.keys.get_mut(&name) else { return };
        if ready && !key.queued {
            key.queued = true;
            self.queue.push_back(name);
        } else if key.is_blank() {
            self.keys.remove(&name);
        }
    }
}
