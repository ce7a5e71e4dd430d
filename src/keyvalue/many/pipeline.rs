//! Many requests under way at once, within a window. No Tcl here.

use crate::error::Result;
use crate::lock::lock;
use crate::transport::{Link, RequestId};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// So many writes or reads are under way at most: a server refuses what waits for a stream beyond 10 000
/// messages, or drops it.
pub const WINDOW: usize = 4096;
/// And so many requests to the API, which all accounts of a server share.
pub const API_WINDOW: usize = 256;
/// After so many others have their turn on the thread.
const BREATH: usize = 128;

struct State<T> {
    /// By the number of the request.
    answers: Vec<Option<Result<T>>>,
    missing: usize,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// When so few are missing the next ones are sent.
    few: usize,
    turn: Notify,
}

/// Where the answer to one of them goes.
pub struct Answer<T> {
    at: usize,
    shared: Arc<Shared<T>>,
}

impl<T> Answer<T> {
    pub fn come(self, answer: Result<T>) {
        let mut state = lock(&self.shared.state);
        state.missing -= 1;
        if let Some(place) = state.answers.get_mut(self.at) {
            *place = Some(answer);
        }
        let turn = state.missing == 0 || state.missing == self.shared.few;
        drop(state);
        if turn {
            self.shared.turn.notify_one();
        }
    }
}

/// Those that are dropped are cancelled.
struct Run<T> {
    link: Link,
    shared: Arc<Shared<T>>,
    sent: Vec<RequestId>,
}

impl<T> Run<T> {
    fn missing(&self) -> usize {
        lock(&self.shared.state).missing
    }

    /// Waits until so many are missing at most.
    async fn until(&self, few: usize) {
        while self.missing() > few {
            self.shared.turn.notified().await;
        }
    }
}

impl<T> Drop for Run<T> {
    fn drop(&mut self) {
        if self.missing() > 0 {
            for id in &self.sent {
                self.link.cancel(*id);
            }
        }
    }
}

/// Sends `count` requests, `window` of them at once, and resolves to their answers in order. `send` gets
/// the number of a request and where its answer goes; if it fails, that is the answer.
pub async fn pipelined<T: Send + 'static>(
    link: Link,
    count: usize,
    window: usize,
    mut send: impl FnMut(usize, Answer<T>) -> Result<RequestId> + Send,
) -> Vec<Result<T>> {
    let few = window / 2;
    let state = State { answers: Vec::with_capacity(count), missing: 0 };
    let shared = Arc::new(Shared { state: Mutex::new(state), few, turn: Notify::new() });
    let mut run = Run { link, shared, sent: Vec::with_capacity(count) };
    for at in 0..count {
        if run.missing() >= window {
            run.until(few).await;
        }
        {
            let mut state = lock(&run.shared.state);
            state.answers.push(None);
            state.missing += 1;
        }
        match send(at, Answer { at, shared: run.shared.clone() }) {
            Ok(id) => run.sent.push(id),
            Err(error) => Answer { at, shared: run.shared.clone() }.come(Err(error)),
        }
        if at % BREATH == BREATH - 1 {
            tokio::task::yield_now().await;
        }
    }
    run.until(0).await;
    let answers = std::mem::take(&mut lock(&run.shared.state).answers);
    answers.into_iter().flatten().collect()
}
