//! How long the server has been silent, for a limit of that.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Two threads tell of every entry, so neither takes a lock.
pub struct Activity {
    began: Instant,
    /// When something came last, or when the program had caught up with it: in ns since the beginning.
    last: AtomicU64,
    /// What has come and waits for the program. So long the server waits as well: it is not silent.
    waiting: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Activity { began: Instant::now(), last: AtomicU64::new(0), waiting: AtomicU64::new(0) }
    }
}

impl Activity {
    pub fn now(&self) {
        self.last.fetch_max(self.age(), Ordering::Relaxed);
    }

    fn age(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Something has come and goes to the program, which counts from when it was taken.
    pub fn sent(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// The program has taken it.
    pub fn taken(&self) {
        if self.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.now();
        }
    }

    /// How long it may go on to be silent; None if that has been too long.
    fn rest(&self, limit: Duration) -> Option<Duration> {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return Some(limit);
        }
        let silent = self.age().saturating_sub(self.last.load(Ordering::Relaxed));
        limit.checked_sub(Duration::from_nanos(silent)).filter(|rest| !rest.is_zero())
    }
}

/// Resolves to true after `limit` without anything, to false if nobody is interested any more.
pub async fn silence(activity: Weak<Activity>, limit: Duration) -> bool {
    let mut wait = limit;
    loop {
        tokio::time::sleep(wait).await;
        let Some(activity) = activity.upgrade() else { return false };
        match activity.rest(limit) {
            Some(rest) => wait = rest,
            None => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_the_program_is_not_silence() {
        let activity = Activity::default();
        let limit = Duration::from_millis(20);
        assert!(activity.rest(limit).is_some_and(|rest| rest <= limit));
        activity.sent();
        std::thread::sleep(limit * 2);
        assert_eq!(activity.rest(limit), Some(limit));
        activity.taken();
        assert!(activity.rest(limit).is_some());
        std::thread::sleep(limit * 2);
        assert_eq!(activity.rest(limit), None);
    }
}
