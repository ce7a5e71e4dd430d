//! The stream: what is written and deleted, and when.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::{EARLIER, Random, World};
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::jetstream::ordered::machine::{Machine, Surroundings};
use crate::jetstream::ordered::machine_tests::{spec, surroundings};
use crate::jetstream::ordered::{OrderedConfig, Resume};
use crate::transport::ConnState;

impl World {
    pub(super) fn new(seed: u64, policy: DeliverPolicy, resume: Resume, moves: bool) -> Self {
        World::make(seed, policy, resume, moves, false)
    }

    /// Consumers are on a replica that has just come back.
    pub(super) fn lagging(seed: u64, policy: DeliverPolicy, resume: Resume) -> Self {
        World::make(seed, policy, resume, false, true)
    }

    fn make(seed: u64, policy: DeliverPolicy, resume: Resume, moves: bool, behind: bool) -> Self {
        let now = Instant::now();
        let mut random = Random::new(seed);
        let history = random.percent(50);
        let around = Surroundings {
            keeps_place: Box::new(move || !moves),
            ..surroundings(ConnState::Connected(1))
        };
        let config = OrderedConfig { behind, ..spec(policy.clone(), resume) };
        let machine = Machine::new(config, around, now);
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
            kept_back: VecDeque::new(),
            moves,
            passed_over: 0,
            replica: None,
            waited: 0,
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
            latest_before: BTreeMap::new(),
            seed,
            policy,
            resume,
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
        world.latest_before = world.stream.iter().map(|(seq, key)| (*key, *seq)).collect();
        world.replica = behind.then(|| world.last_seq - world.random.below(5));
        world.keys_before = world.stream.values().copied().collect();
        world.revisions_before = world.stream.keys().copied().collect();
        world.run(|machine, now, out| machine.start(now, out));
        world
    }

    /// What the server that has the consumers knows.
    pub(super) fn served(&self) -> u64 {
        self.replica.unwrap_or(self.last_seq)
    }

    pub(super) fn time(&mut self) -> i64 {
        self.clock += 1;
        self.clock
    }

    pub(super) fn made_at(&mut self) -> String {
        format!("2026-01-01T00:00:00.{:09}Z", self.time())
    }

    pub(super) fn write(&mut self) {
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
        if self.moves && self.random.percent(30) {
            // A rollup of this message, or a purge of some subject that nobody wants.
            let behind = u64::from(self.random.percent(30));
            self.move_consumer(self.last_seq + behind);
        }
    }

    fn move_consumer(&mut self, next: u64) {
        if let Some(consumer) = &mut self.consumer
            && consumer.next < next
        {
            self.passed_over += self.stream.range(consumer.next..next).count();
            consumer.next = next;
        }
    }

    pub(super) fn delete(&mut self, seq: u64) {
        if let Some(key) = self.stream.remove(&seq) {
            self.deletions += 1;
            self.revisions_before.remove(&seq);
            if self.history {
                self.latest_before.retain(|_, latest| *latest != seq);
            }
            // If it was the latest one, an older one comes to light, or none: no snapshot shows that.
            if !self.stream.range(seq..).any(|(_, other)| *other == key) {
                self.keys_before.remove(&key);
            }
        }
    }
}
