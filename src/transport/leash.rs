//! How the engine is ended. Its task is its own: nobody has a handle of it.
//!
//! It is held where it calls us, in its task: while it waits for an answer of ours, and where it traces
//! (`trace`). There it unwinds once all is over, as in a panic, but nothing is printed; so the socket
//! and what it keeps go. To get there it is woken: the waker is known since it last asked us, and a
//! connection that is woken reads and traces that, even if its writing is blocked. Only while it dials
//! it does neither; that lasts no longer than the timeout of a connect, and then it asks or traces.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::lock::lock;

/// In so many turns of the runtime an engine that was woken has had its own.
const TURNS: usize = 8;

/// Stops the engine where it stands. Called in its task.
pub(super) fn stop() {
    if !std::thread::panicking() {
        resume_unwind(Box::new("the engine was ended"));
    }
}

/// Holds the engines of a link, of which one at a time is alive.
#[derive(Default)]
pub(super) struct Leash {
    over: AtomicBool,
    engines: AtomicUsize,
    /// That of the engine's task.
    waker: Mutex<Option<Waker>>,
}

/// Goes with an engine.
pub(super) struct Collar(Arc<Leash>);

impl Drop for Collar {
    fn drop(&mut self) {
        self.0.engines.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Leash {
    /// For another engine.
    pub fn collar(self: &Arc<Self>) -> Collar {
        self.engines.fetch_add(1, Ordering::AcqRel);
        Collar(self.clone())
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// From now on the engine neither calls nor tells us anything: it ends as soon as it can.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for the engine, unless it dials.
    pub async fn ended(&self) {
        for _ in 0..TURNS {
            if self.engines.load(Ordering::Acquire) == 0 {
                return;
            }
            yield_now().await;
        }
    }

    /// Stops the engine where it stands, if all is over. Called in its task.
    fn check(&self) {
        if self.is_over() {
            stop();
        }
    }

    /// An answer for the engine, which awaits this. Without one it waits for its end.
    pub async fn answer<T>(self: Arc<Self>, told: oneshot::Receiver<T>) -> T {
        let mut told = Some(told);
        poll_fn(|cx| {
            self.check();
            *lock(&self.waker) = Some(cx.waker().clone());
            match told.as_mut().map(|told| Pin::new(told).poll(cx)) {
                Some(Poll::Ready(Ok(answer))) => return Poll::Ready(answer),
                Some(Poll::Ready(Err(_))) => told = None,
                Some(Poll::Pending) | None => {}
            }
            Poll::Pending
        })
        .await
    }
}
