//! How many messages a callback gets in one list.

use std::time::{Duration, Instant};

/// How long the messages of one batch may take to be put into its list.
const TIME: Duration = Duration::from_millis(1);
/// How many messages are put into a list between two looks at the clock.
const STEP: usize = 64;

/// A list that grows while there is time for it.
pub struct Batch {
    until: Instant,
    count: usize,
}

impl Batch {
    pub fn begin() -> Batch {
        Batch { until: Instant::now() + TIME, count: 0 }
    }

    /// A message was added. Whether there is time for another one.
    pub fn add(&mut self) -> bool {
        self.count += 1;
        !self.count.is_multiple_of(STEP) || Instant::now() < self.until
    }

    pub fn count(&self) -> usize {
        self.count
    }
}
