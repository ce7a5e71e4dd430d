//! A connection's thread with its single-threaded runtime; all of them at process exit; fork.
//!
//! Ending the future of a [`Thread`] drops its runtime with every task in it. That is the only sure
//! way to stop the engine while it reconnects, and it keeps connections independent.

use std::future::Future;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};

use crate::descriptors;
use crate::error::{Error, Kind, Result};
use crate::lock::lock;

/// How long an idle thread of the resolver stays.
const RESOLVER_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// A thread that runs one future on a runtime of its own.
pub struct Thread {
    handle: Handle,
    id: ThreadId,
    process: Process,
    join: Mutex<Option<JoinHandle<()>>>,
    finished: Arc<(Mutex<bool>, Condvar)>,
}

impl Thread {
    /// Starts the thread. `main` runs until it is done, then the runtime is dropped with whatever
    /// else it runs.
    ///
    /// # Errors
    /// Whatever the system says when it has no thread or file descriptor left.
    pub fn start(main: impl Future<Output = ()> + Send + 'static) -> io::Result<Thread> {
        let runtime = descriptors::make_high(|| {
            Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .max_blocking_threads(2)
                .thread_keep_alive(RESOLVER_KEEP_ALIVE)
                .thread_name("nats-resolver")
                .build()
        })?;
        let handle = runtime.handle().clone();
        let finished = Arc::new((Mutex::new(false), Condvar::new()));
        let finish = Finish(finished.clone());
        let join = thread::Builder::new().name("nats".into()).spawn(move || {
            let _finish = finish;
            runtime.block_on(main);
            // Does not wait for a resolver that hangs.
            runtime.shutdown_background();
        })?;
        Ok(Thread {
            handle,
            id: join.thread().id(),
            process: Process::current(),
            join: Mutex::new(Some(join)),
            finished,
        })
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Whether the caller is this thread.
    pub fn is_current(&self) -> bool {
        thread::current().id() == self.id
    }

    /// The process that started the thread, the only one in which it runs.
    pub fn process(&self) -> Process {
        self.process
    }

    /// Waits at most so long for the end of the thread; tells whether it has ended. Called by the
    /// thread itself, or in a fork of its process, it does not wait.
    pub fn join(&self, limit: Duration) -> bool {
        if self.is_current() || !self.process.is_current() {
            return false;
        }
        let (flag, changed) = &*self.finished;
        let guard = lock(flag);
        let waited = changed.wait_timeout_while(guard, limit, |finished| !*finished);
        let ended = *waited.unwrap_or_else(PoisonError::into_inner).0;
        if ended && let Some(join) = lock(&self.join).take() {
            // Past its last instruction of ours, so this does not wait; a panic has ended it as well.
            let _ = join.join();
        }
        ended
    }
}

/// Tells the end of the thread, also if it panics.
struct Finish(Arc<(Mutex<bool>, Condvar)>);

impl Drop for Finish {
    fn drop(&mut self) {
        let (flag, changed) = &*self.0;
        *lock(flag) = true;
        changed.notify_all();
    }
}

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
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_end_of_main_drops_all_tasks_and_the_thread_is_joined() {
        let (tell, told) = mpsc::channel();
        let main = async move {
            tokio::spawn(async move {
                let _dropped_with_the_task = tell;
                std::future::pending::<()>().await;
            });
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let thread = Thread::start(main).expect("start");
        assert!(!thread.is_current());
        assert!(thread.join(Duration::from_secs(10)));
        assert_eq!(told.recv(), Err::<(), _>(mpsc::RecvError));
        assert!(thread.join(Duration::ZERO));
    }

    #[test]
    fn joining_is_bounded() {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = Thread::start(async move { drop(stopped.await) }).expect("start");
        assert!(!thread.join(Duration::from_millis(5)));
        drop(stop);
        assert!(thread.join(Duration::from_secs(10)));
    }

    #[test]
    fn another_process_is_refused() {
        assert!(Process::current().check().is_ok());
        let other = Process(std::process::id() + 1);
        assert_eq!(other.check().expect_err("other").kind, Kind::ConnectionClosed);
    }
}
