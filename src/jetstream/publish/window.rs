//! How many publishes may be unacknowledged, and what became of those that were. No Tcl here: places
//! are taken on any thread.

use crate::error::{Error, Result};
use crate::lock::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// What became of publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub acknowledged: u64,
    pub failed: u64,
    pub timed_out: u64,
}

/// How a publish ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Acknowledged,
    /// It was refused, or nobody has got it.
    Failed,
    /// Nothing was heard: it may have been stored.
    TimedOut,
}

#[derive(Default)]
struct State {
    /// 0 is none.
    limit: u64,
    taken: u64,
    /// Who waits for a place, and who for all of them to be free.
    waiting: VecDeque<oneshot::Sender<Slot>>,
    idle: Vec<oneshot::Sender<()>>,
    settled: Settled,
}

pub struct Window(Mutex<State>);

impl Window {
    pub fn new(limit: u64) -> Arc<Window> {
        Arc::new(Window(Mutex::new(State { limit, ..State::default() })))
    }

    /// How many publishes are under way.
    pub fn taken(&self) -> u64 {
        lock(&self.0).taken
    }

    /// A place, or where it comes when those who waited before have got theirs.
    fn claim(self: &Arc<Self>) -> std::result::Result<Slot, oneshot::Receiver<Slot>> {
        let mut state = lock(&self.0);
        state.waiting.retain(|waiting| !waiting.is_closed());
        if state.waiting.is_empty() && (state.limit == 0 || state.taken < state.limit) {
            state.taken += 1;
            return Ok(Slot(self.clone()));
        }
        let (give, given) = oneshot::channel();
        state.waiting.push_back(give);
        Err(given)
    }

    /// A place, if there is one and nobody waits for it.
    pub fn try_take(self: &Arc<Self>) -> Option<Slot> {
        // A claim that is dropped is none.
        self.claim().ok()
    }

    /// A place as soon as there is one, in the order of those who wait.
    pub async fn take(self: Arc<Self>) -> Slot {
        loop {
            match self.claim() {
                Ok(slot) => return slot,
                Err(given) => {
                    if let Ok(slot) = given.await {
                        return slot;
                    }
                }
            }
        }
    }

    /// When nothing is under way.
    pub async fn idle(self: Arc<Self>) {
        let (tell, told) = oneshot::channel();
        {
            let mut state = lock(&self.0);
            if state.taken == 0 {
                return;
            }
            state.idle.push(tell);
        }
        // It is told, since the window is still here.
        let _ = told.await;
    }

    /// What became of publishes since the last call.
    pub fn take_settled(&self) -> Settled {
        std::mem::take(&mut lock(&self.0).settled)
    }
}

/// What comes out of a wait, or this error when its time is over.
pub async fn within<T>(
    limit: Option<Duration>,
    wait: impl Future<Output = T>,
    late: impl FnOnce() -> Error,
) -> Result<T> {
    match limit {
        None => Ok(wait.await),
        Some(limit) => tokio::time::timeout(limit, wait).await.map_err(|_| late()),
    }
}

/// The place of one publish. Dropped, it is free for the next one.
pub struct Slot(Arc<Window>);

impl Slot {
    /// Frees the place of a publish that has ended.
    pub fn settle(self, end: End) {
        let settled = &mut lock(&self.0.0).settled;
        match end {
            End::Acknowledged => settled.acknowledged += 1,
            End::Failed => settled.failed += 1,
            End::TimedOut => settled.timed_out += 1,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        state.waiting.retain(|waiting| !waiting.is_closed());
        if let Some(next) = state.waiting.pop_front() {
            drop(state);
            // One that has given up just now drops the place again, for the one behind it.
            let _ = next.send(Slot(self.0.clone()));
            return;
        }
        state.taken -= 1;
        if state.taken == 0 {
            let idle = std::mem::take(&mut state.idle);
            drop(state);
            for tell in idle {
                let _ = tell.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn places_go_to_those_who_wait_in_their_order() {
        let window = Window::new(2);
        let (first, second) = (window.try_take().expect("free"), window.try_take().expect("free"));
        assert!(window.try_take().is_none());
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(window.clone().take())).collect();
        assert!(waiting.iter_mut().all(|slot| slot.now_or_never().is_none()));
        // One of them gives up.
        drop(waiting.remove(0));
        drop(first);
        let slot = waiting.remove(0).now_or_never().expect("its turn");
        assert_eq!(window.taken(), 2);
        assert!(window.try_take().is_none());
        second.settle(End::Failed);
        slot.settle(End::TimedOut);
        // The last one has got its place, which it frees unused.
        assert_eq!(window.taken(), 1);
        drop(waiting);
        assert_eq!(window.taken(), 0);
        let settled = Settled { failed: 1, timed_out: 1, ..Settled::default() };
        assert_eq!((window.take_settled(), window.take_settled()), (settled, Settled::default()));
    }

    #[test]
    fn without_a_limit_nobody_waits_and_idle_is_told_once_all_are_free() {
        let window = Window::new(0);
        assert!(window.clone().idle().now_or_never().is_some());
        let slots: Vec<Slot> = (0..10_000).filter_map(|_| window.try_take()).collect();
        assert_eq!(window.taken(), 10_000);
        let mut idle = Box::pin(window.clone().idle());
        assert!((&mut idle).now_or_never().is_none());
        slots.into_iter().for_each(|slot| slot.settle(End::Acknowledged));
        assert!(idle.now_or_never().is_some());
        assert_eq!(window.take_settled().acknowledged, 10_000);
    }
}
