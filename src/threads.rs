//! The few threads that all connections share, and what a connection has on them.
//!
//! A runtime has three descriptors (epoll, a copy of it, an eventfd) and a thread: too much for each
//! connection. So [`MOST`] of them do for all, started with the first connection and ended with the
//! last one. A runtime that goes takes its tasks along; a connection that goes before has to end its
//! own: [`Tasks`].

use std::future::Future;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use crate::lock::lock;
use crate::runtime::Process;

/// As many threads as there may be. The second connection has the second one, so that of two, of which
/// one is flooded, the other one is as quick as alone.
const MOST: usize = 2;

/// Names are resolved by threads that wait, one each; one that hangs must not keep the others.
const RESOLVERS: usize = 64;

/// How long an idle thread of the resolver stays.
const RESOLVER_KEEP_ALIVE: Duration = Duration::from_secs(1);

static WORKERS: Mutex<Vec<Worker>> = Mutex::new(Vec::new());

/// One of the shared threads.
struct Worker {
    handle: Handle,
    process: Process,
    /// How many have a place there.
    places: usize,
    /// Ends it; it tells then that it has.
    stop: oneshot::Sender<Finish>,
    join: JoinHandle<()>,
}

impl Worker {
    fn start() -> io::Result<Worker> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(RESOLVERS)
            .thread_keep_alive(RESOLVER_KEEP_ALIVE)
            .thread_name("nats-resolver")
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let join = thread::Builder::new().name("nats".into()).spawn(move || {
            let finish = runtime.block_on(stopped);
            // Does not wait for a resolver that hangs.
            runtime.shutdown_background();
            drop(finish);
        })?;
        Ok(Worker { handle, process: Process::current(), places: 0, stop, join })
    }

    fn id(&self) -> ThreadId {
        self.join.thread().id()
    }

    /// The one for another place, which is counted.
    fn choose(workers: &mut Vec<Worker>) -> io::Result<&mut Worker> {
        if workers.first().is_some_and(|worker| !worker.process.is_current()) {
            // Those of the parent. They are not dropped: that would wake it.
            std::mem::forget(std::mem::take(workers));
        }
        let places: usize = workers.iter().map(|worker| worker.places).sum();
        if workers.len() < MOST && places >= workers.len() {
            match Worker::start() {
                Ok(worker) => workers.push(worker),
                // There is no descriptor left for another.
                Err(_) if !workers.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        let worker = workers.iter_mut().min_by_key(|worker| worker.places);
        let worker = worker.ok_or(io::ErrorKind::NotFound)?;
        worker.places += 1;
        Ok(worker)
    }
}

/// A future on one of the shared threads.
pub struct Place {
    thread: ThreadId,
    process: Process,
    end: Arc<End>,
}

impl Place {
    /// Runs `main` there, and the tasks of `tasks` from now on. `main` has to end these.
    ///
    /// # Errors
    /// Whatever the system says when it has no thread or file descriptor left.
    pub fn start(
        tasks: &Tasks,
        main: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Place> {
        let mut workers = lock(&WORKERS);
        let worker = Worker::choose(&mut workers)?;
        let (thread, process, handle) = (worker.id(), worker.process, worker.handle.clone());
        drop(workers);
        let end = Arc::<End>::default();
        let seat = Seat { thread, finish: Some(Finish(end.clone())) };
        tasks.begin(handle.clone());
        handle.spawn(async move {
            let _seat = seat;
            main.await;
        });
        Ok(Place { thread, process, end })
    }

    /// The process that started the thread, the only one in which it runs.
    pub fn process(&self) -> Process {
        self.process
    }

    /// Waits at most so long for the end of the future, and of the thread if it was the last one there;
    /// tells whether it has ended. Called by the thread itself, or in a fork of its process, it does
    /// not wait.
    pub fn join(&self, limit: Duration) -> bool {
        if thread::current().id() == self.thread || !self.process.is_current() {
            return false;
        }
        let guard = lock(&self.end.state);
        let waited = self.end.changed.wait_timeout_while(guard, limit, |state| !state.finished);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let ended = state.finished;
        let join = if ended { state.join.take() } else { None };
        drop(state);
        if let Some(join) = join {
            // Past its last instruction of ours, so this does not wait; a panic has ended it as well.
            let _ = join.join();
        }
        ended
    }
}

#[derive(Default)]
struct End {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    finished: bool,
    /// The thread, if it ends with this place.
    join: Option<JoinHandle<()>>,
}

/// Tells the end when it goes, also in a panic.
struct Finish(Arc<End>);

impl Drop for Finish {
    fn drop(&mut self) {
        lock(&self.0.state).finished = true;
        self.0.changed.notify_all();
    }
}

/// A place that is counted. The last one of a thread ends that.
struct Seat {
    thread: ThreadId,
    finish: Option<Finish>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(finish) = self.finish.take() else { return };
        let mut workers = lock(&WORKERS);
        let Some(at) = workers.iter().position(|worker| worker.id() == self.thread) else { return };
        workers[at].places -= 1;
        if workers[at].places > 0 {
            return;
        }
        // From now on nobody gets a place there.
        let worker = workers.swap_remove(at);
        drop(workers);
        lock(&finish.0.state).join = Some(worker.join);
        drop(worker.handle);
        // It has ended already if this is refused.
        let _ = worker.stop.send(finish);
    }
}

/// The tasks of one place, which end together. Later ones are dropped.
#[derive(Default)]
pub struct Tasks(Mutex<Option<Running>>);

struct Running {
    handle: Handle,
    set: JoinSet<()>,
    /// They are about to go, and none runs any more.
    aborted: bool,
}

impl Tasks {
    fn begin(&self, handle: Handle) {
        *lock(&self.0) = Some(Running { handle, set: JoinSet::new(), aborted: false });
    }

    /// Starts one, from any thread; none before the place is there and after its end.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
        let mut running = lock(&self.0);
        let Some(Running { handle, set, aborted: false }) = running.as_mut() else {
            drop(running);
            // A future may start another one when it is dropped.
            drop(future);
            return None;
        };
        // Those that are done.
        while set.try_join_next().is_some() {}
        Some(set.spawn_on(future, handle))
    }

    /// From now on none of them does anything but to go. Called on their thread, outside of them.
    pub fn abort(&self) {
        if let Some(running) = lock(&self.0).as_mut() {
            running.aborted = true;
            running.set.abort_all();
        }
    }

    /// Drops all, and waits for that. Called on their thread.
    pub async fn end(&self) {
        let running = lock(&self.0).take();
        if let Some(mut running) = running {
            running.set.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn the_tasks_of_a_place_end_and_those_of_others_go_on() {
        let (tell, told) = mpsc::channel::<()>();
        let (stop, stopped) = oneshot::channel::<()>();
        let other = Arc::new(Tasks::default());
        let ending = other.clone();
        let stays = Place::start(&other, async move {
            drop(stopped.await);
            ending.end().await;
        })
        .expect("start");
        let tasks = Arc::new(Tasks::default());
        let ending = tasks.clone();
        let place = Place::start(&tasks, async move {
            let again = ending.clone();
            ending.spawn(async move {
                let _dropped_with_the_task = tell;
                std::future::pending::<()>().await;
                again.spawn(async {});
            });
            // A panic is that of the task.
            ending.spawn(async { std::panic::resume_unwind(Box::new("")) });
            tokio::time::sleep(Duration::from_millis(1)).await;
            ending.end().await;
        })
        .expect("start");
        assert!(place.join(LONG));
        assert_eq!(told.recv(), Err(mpsc::RecvError));
        assert!(place.join(Duration::ZERO));
        assert!(tasks.spawn(async {}).is_none());
        assert!(!stays.join(Duration::from_millis(5)));
        let (tell, told) = mpsc::channel();
        assert!(other.spawn(async move { tell.send(1).expect("send") }).is_some());
        assert_eq!(told.recv_timeout(LONG), Ok(1));
        drop(stop);
        assert!(stays.join(LONG));
    }
}
