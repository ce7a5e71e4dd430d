//! The bucket.

use crate::keyvalue::two_way::key::Write;
use crate::random::Random;
use std::collections::{BTreeMap, HashMap};

pub type Value = u64;

#[derive(Clone)]
pub struct Message {
    pub revision: u64,
    pub key: usize,
    pub value: Option<Value>,
    /// Client and number of the write.
    pub by: Option<(usize, u64)>,
}

/// The bucket: the last message of each key, and the numbers of writes that it knows.
#[derive(Default)]
pub struct Server {
    pub last: u64,
    pub keys: BTreeMap<usize, Message>,
    pub seen: HashMap<(usize, u64), u64>,
    pub generation: u64,
}

pub enum Answer {
    Stored(u64),
    Met(Option<u64>),
    Failed,
}

impl Server {
    pub fn store(&mut self, key: usize, value: Option<Value>, by: Option<(usize, u64)>) -> u64 {
        self.last += 1;
        let message = Message { revision: self.last, key, value, by };
        self.keys.insert(key, message);
        if let Some(by) = by {
            self.seen.insert(by, self.last);
        }
        self.last
    }

    pub fn write(
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
