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
    waiting: VecDeque<oneshot::Sender<Turn>>,
    idle: Vec<oneshot::Sender<()>>,
    settled: Settled,
}

impl State {
    fn is_free(&self) -> bool {
        self.limit == 0 || self.taken < self.limit
    }

    /// Whose turn it is, if there is a place.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        self.waiting.retain(|waiting| !waiting.is_closed());
        if self.is_free() { self.waiting.pop_front() } else { None }
    }
}

/// How to wait for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Behind those who wait already.
    InOrder,
    /// Before them: they cannot go on while this one waits, because it waits in an event loop inside
    /// of theirs.
    First,
}

/// The places of publishes that are under way.
///
/// A place is for whoever takes it first. Who waits is told that one is free, and looks again: was it
/// reserved for somebody whose event loop is blocked by an inner one, that one would wait for ever.
pub struct Window(Mutex<State>);

impl Window {
    pub fn new(limit: u64) -> Arc<Window> {
        Arc::new(Window(Mutex::new(State { limit, ..State::default() })))
    }

    /// How many publishes are under way.
    pub fn taken(&self) -> u64 {
        lock(&self.0).taken
    }

    /// A place if there is one, for one who waits like that.
    pub fn take(self: &Arc<Self>, wait: Wait) -> Option<Slot> {
        let mut state = lock(&self.0);
        if !state.is_free() || (wait == Wait::InOrder && !state.waiting.is_empty()) {
            return None;
        }
        state.taken += 1;
        Some(Slot(self.clone()))
    }

    /// When there may be a place. Who asks has its place among those who wait at once, before the
    /// future is polled. The next one has its turn when this one is dropped.
    pub fn turn(self: &Arc<Self>, wait: Wait) -> impl Future<Output = Turn> + Send + use<> {
        let (tell, told) = oneshot::channel();
        {
            let mut state = lock(&self.0);
            match wait {
                Wait::InOrder => state.waiting.push_back(tell),
                Wait::First => state.waiting.push_front(tell),
            }
        }
        self.tell_next();
        let window = self.clone();
        // It is told, since the window is still here.
        async move { told.await.unwrap_or_else(|_| Turn(window)) }
    }

    /// A place as soon as there is one.
    pub async fn place(self: &Arc<Self>) -> Slot {
        let mut slot = self.take(Wait::InOrder);
        loop {
            if let Some(slot) = slot {
                return slot;
            }
            let _turn = self.turn(Wait::InOrder).await;
            slot = self.take(Wait::First);
        }
    }

    fn tell_next(self: &Arc<Self>) {
        let next = lock(&self.0).next();
        if let Some(next) = next {
            // One that has given up just now drops its turn, for the one behind it.
            let _ = next.send(Turn(self.clone()));
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
        state.taken -= 1;
        let idle = if state.taken == 0 { std::mem::take(&mut state.idle) } else { Vec::new() };
        drop(state);
        for tell in idle {
            let _ = tell.send(());
        }
        self.0.tell_next();
    }
}

/// The turn of one who waits.
pub struct Turn(Arc<Window>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.tell_next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn turns_come_in_their_order_and_none_is_lost() {
        let window = Window::new(1);
        let slot = window.take(Wait::InOrder).expect("free");
        assert!(window.take(Wait::First).is_none());
        let mut waiting: Vec<_> = [Wait::InOrder, Wait::InOrder, Wait::First]
            .map(|wait| Box::pin(window.turn(wait)))
            .into();
        slot.settle(End::Failed);
        let inner = waiting.pop().expect("three").now_or_never().expect("the first one");
        assert!((&mut waiting[0]).now_or_never().is_none());
        // Who runs now takes it, unless that is another one who waits.
        assert!(window.take(Wait::InOrder).is_none());
        let slot = window.take(Wait::First).expect("free");
        drop(inner);
        assert!((&mut waiting[0]).now_or_never().is_none());
        slot.settle(End::TimedOut);
        // It has been told, and gives up: the next one is.
        drop(waiting.remove(0));
        assert!((&mut waiting[0]).now_or_never().is_some());
        let settled = Settled { failed: 1, timed_out: 1, ..Settled::default() };
        assert_eq!((window.take_settled(), window.take_settled()), (settled, Settled::default()));
        assert_eq!(window.taken(), 0);
    }

    #[test]
    fn a_place_of_one_who_waits_in_order() {
        let window = Window::new(1);
        let slot = window.place().now_or_never().expect("free");
        let mut next = Box::pin(window.place());
        assert!((&mut next).now_or_never().is_none());
        drop(slot);
        let slot = (&mut next).now_or_never().expect("free");
        assert_eq!(window.taken(), 1);
        drop(slot);
        assert_eq!(window.taken(), 0);
    }

    #[test]
    fn without_a_limit_nobody_waits_and_idle_is_told_once_all_are_free() {
        let window = Window::new(0);
        assert!(window.clone().idle().now_or_never().is_some());
        let slots: Vec<Slot> = (0..10_000).filter_map(|_| window.take(Wait::InOrder)).collect();
        assert_eq!(window.taken(), 10_000);
        let mut idle = Box::pin(window.clone().idle());
        assert!((&mut idle).now_or_never().is_none());
        slots.into_iter().for_each(|slot| slot.settle(End::Acknowledged));
        assert!(idle.now_or_never().is_some());
        assert_eq!(window.take_settled().acknowledged, 10_000);
    }
}
