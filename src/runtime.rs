//! Processes and their forks; all that is open at process exit.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::lock::lock;

/// Which process something belongs to. A fork has a copy of everything but the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u32);

impl Process {
    pub fn current() -> Process {
        Process(std::process::id())
    }

    pub fn is_current(self) -> bool {
        self == Process::current()
    }

    /// # Errors
    /// `ErrConnectionClosed` in a fork of the process.
    pub fn check(self) -> Result<()> {
        if self.is_current() {
            return Ok(());
        }
        Err(Error::new(
            Kind::ConnectionClosed,
            "The connection belongs to the parent of this process",
        ))
    }
}

/// Something that wants to end well when the process exits.
pub trait Open: Send + Sync {
    /// Starts to close: flush for at most so long, then end. Must not wait.
    fn begin_close(&self, flush: Duration);
    /// Waits at most so long for the end.
    fn wait_closed(&self, limit: Duration);
    /// The process it belongs to.
    fn process(&self) -> Process;
}

fn registry() -> MutexGuard<'static, Vec<Weak<dyn Open>>> {
    static OPEN: OnceLock<Mutex<Vec<Weak<dyn Open>>>> = OnceLock::new();
    lock(OPEN.get_or_init(Mutex::default))
}

/// Remembers what [`close_all`] has to close. Nothing is kept alive by this.
pub fn register(open: Weak<dyn Open>) {
    let mut all = registry();
    all.retain(|known| known.strong_count() > 0);
    all.push(open);
}

/// Closes everything that is open, side by side, within this time. For the exit of the process.
pub fn close_all(limit: Duration) {
    let deadline = Instant::now() + limit;
    let all: Vec<Arc<dyn Open>> = registry().drain(..).filter_map(|open| open.upgrade()).collect();
    let ours: Vec<_> = all.into_iter().filter(|open| open.process().is_current()).collect();
    for open in &ours {
        open.begin_close(limit);
    }
    for open in &ours {
        open.wait_closed(deadline.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_is_refused() {
        assert!(Process::current().check().is_ok());
        let other = Process(std::process::id() + 1);
        assert_eq!(other.check().expect_err("other").kind, Kind::ConnectionClosed);
    }
}
