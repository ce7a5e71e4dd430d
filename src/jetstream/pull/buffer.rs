//! Messages that have come and that the program has not taken. The runtime thread puts them in, the
//! Tcl thread takes them out; whoever waits for one has a place in a queue.

use super::Report;
use super::deliver::PullEvent;
use crate::bridge::{Promise, Sender};
use crate::error::{Error, Kind};
use crate::jetstream::delivery::Delivered;
use crate::lock::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Somebody waits for a message: what he gets is `None` when his time has run out.
type Taker = Promise<Option<Taken>>;

pub struct Buffer {
    state: Mutex<State>,
    events: Sender<PullEvent>,
    /// Messages go to a callback: the handler is told when there are some. Otherwise to who asks.
    calls_back: bool,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Held>,
    bytes: u64,
    /// The handler knows that there are some.
    marked: bool,
    takers: VecDeque<(u64, Taker)>,
    last_taker: u64,
    paused: bool,
    /// To be said when the last message is taken.
    last_words: Option<Report>,
    /// Why there are none any more.
    end: Option<Error>,
}

struct Held {
    message: Delivered,
    /// When it came, or when the server was last told that it is being dealt with.
    since: Instant,
}

/// A message on its way to the one who has waited for it. If he has gone, the next one gets it.
pub struct Taken {
    message: Option<Delivered>,
    buffer: Arc<Buffer>,
}

impl Taken {
    pub fn message(mut self) -> Option<Delivered> {
        let message = self.message.take();
        self.buffer.emptied();
        message
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.buffer.put_back(message);
        }
    }
}

/// What there is for somebody who asks.
pub enum Next {
    Message(Delivered),
    Nothing,
    Ended(Error),
}

fn ended(reason: &str) -> Error {
    Error::new(Kind::ConsumerEnded, format!("The consumer has ended: {reason}"))
}

impl State {
    fn pop(&mut self) -> Option<Delivered> {
        let held = self.waiting.pop_front()?;
        self.bytes -= held.message.size() as u64;
        Some(held.message)
    }
}

impl Buffer {
    pub fn new(events: Sender<PullEvent>, calls_back: bool) -> Arc<Buffer> {
        Arc::new(Buffer { state: Mutex::default(), events, calls_back })
    }

    /// A message has come. Given back if nobody will have it.
    pub fn arrive(self: &Arc<Self>, message: Delivered) -> Option<Delivered> {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            return Some(message);
        }
        let taker = if state.paused { None } else { state.takers.pop_front() };
        if let Some((_, taker)) = taker {
            drop(state);
            self.hand_over(taker, message);
            return None;
        }
        state.bytes += message.size() as u64;
        state.waiting.push_back(Held { message, since: Instant::now() });
        self.mark(&mut state);
        None
    }

    fn hand_over(self: &Arc<Self>, taker: Taker, message: Delivered) {
        taker.complete(Ok(Some(Taken { message: Some(message), buffer: self.clone() })));
    }

    fn mark(&self, state: &mut State) {
        let wanted = self.calls_back && !state.paused && !state.waiting.is_empty();
        if wanted && !std::mem::replace(&mut state.marked, true) {
            self.events.send(PullEvent::Messages);
        }
    }

    /// Somebody has gone before he got it.
    fn put_back(self: &Arc<Self>, message: Delivered) {
        let mut state = lock(&self.state);
        if let Some((_, taker)) = state.takers.pop_front() {
            drop(state);
            return self.hand_over(taker, message);
        }
        if state.end.is_some() {
            return self.events.send(PullEvent::Unwanted(message));
        }
        state.bytes += message.size() as u64;
        state.waiting.push_front(Held { message, since: Instant::now() });
    }

    /// The handler takes up to so many messages; true if there are more.
    pub fn take(&self, most: usize, into: &mut Vec<Delivered>) -> bool {
        let mut state = lock(&self.state);
        if !state.paused {
            for _ in 0..most {
                let Some(message) = state.pop() else { break };
                into.push(message);
            }
        }
        let more = !state.paused && !state.waiting.is_empty();
        state.marked = more;
        more
    }

    /// The handler has dealt with what it took: if it was the last, this is where it ends.
    pub fn emptied(&self) {
        let mut state = lock(&self.state);
        if state.waiting.is_empty()
            && let Some(report) = state.last_words.take()
        {
            self.finish(&mut state, report);
        }
    }

    fn finish(&self, state: &mut State, report: Report) {
        let reason = ended(&report.description);
        state.end = Some(reason.clone());
        for (_, taker) in state.takers.drain(..) {
            taker.complete(Err(reason.clone()));
        }
        self.events.send(PullEvent::Report(report));
    }

    pub fn next(&self) -> Next {
        let mut state = lock(&self.state);
        if !state.paused
            && let Some(message) = state.pop()
        {
            return Next::Message(message);
        }
        match &state.end {
            Some(error) => Next::Ended(error.clone()),
            None => Next::Nothing,
        }
    }

    /// Takes a place in the queue, and tells its number.
    pub fn wait(self: &Arc<Self>, taker: Taker) -> u64 {
        let mut state = lock(&self.state);
        if let Some(error) = &state.end {
            taker.complete(Err(error.clone()));
            return 0;
        }
        let message = if state.paused { None } else { state.pop() };
        if let Some(message) = message {
            drop(state);
            self.hand_over(taker, message);
            return 0;
        }
        state.last_taker += 1;
        let number = state.last_taker;
        state.takers.push_back((number, taker));
        number
    }

    /// Leaves the queue; who waits then gets nothing.
    pub fn leave(&self, number: u64) {
        let mut state = lock(&self.state);
        let at = state.takers.iter().position(|(other, _)| *other == number);
        let taker = at.and_then(|at| state.takers.remove(at));
        drop(state);
        if let Some((_, taker)) = taker {
            taker.complete(Ok(None));
        }
    }

    /// Nothing is handed out until `resume`.
    pub fn pause(&self) {
        lock(&self.state).paused = true;
    }

    pub fn resume(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.paused = false;
        let mut served = Vec::new();
        while !state.takers.is_empty() {
            let Some(message) = state.pop() else { break };
            if let Some((_, taker)) = state.takers.pop_front() {
                served.push((taker, message));
            }
        }
        self.mark(&mut state);
        drop(state);
        for (taker, message) in served {
            self.hand_over(taker, message);
        }
    }

    /// Nothing more comes: that is said when the last one is taken.
    pub fn end(&self, report: Report) {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            self.events.send(PullEvent::Report(report));
        } else if state.waiting.is_empty() {
            self.finish(&mut state, report);
        } else {
            state.last_words = Some(report);
        }
    }

    /// Nobody gets any more, for this reason; what is left.
    pub fn close(&self, reason: &str) -> Vec<Delivered> {
        let mut state = lock(&self.state);
        let error = ended(reason);
        state.end.get_or_insert_with(|| error.clone());
        if let Some(report) = state.last_words.take() {
            self.events.send(PullEvent::Report(report));
        }
        let (left, takers) = Self::clear(&mut state);
        drop(state);
        for (_, taker) in takers {
            taker.complete(Err(error.clone()));
        }
        left
    }

    /// The connection is closed: who waits hears of it. With `all`, nobody gets what is left; if that
    /// was to be the last of it, this is the end.
    pub fn disconnect(&self, all: bool) -> Vec<Delivered> {
        let mut state = lock(&self.state);
        let (left, takers) = match all {
            true => Self::clear(&mut state),
            false => (Vec::new(), std::mem::take(&mut state.takers)),
        };
        if all && let Some(report) = state.last_words.take() {
            let description = format!("Connection closed, {} messages were given back", left.len());
            self.finish(&mut state, Report { description, ..report });
        }
        drop(state);
        for (_, taker) in takers {
            taker.complete(Err(Error::connection_closed()));
        }
        left
    }

    fn clear(state: &mut State) -> (Vec<Delivered>, VecDeque<(u64, Taker)>) {
        let left = std::mem::take(&mut state.waiting);
        state.bytes = 0;
        (left.into_iter().map(|held| held.message).collect(), std::mem::take(&mut state.takers))
    }

    /// The reply subjects of messages that have been here for so long, since the last time.
    pub fn older_than(&self, age: Duration, now: Instant) -> Vec<String> {
        let mut state = lock(&self.state);
        let old = state.waiting.iter_mut().filter(|held| now >= held.since + age);
        old.filter_map(|held| {
            held.since = now;
            held.message.reply().map(str::to_owned)
        })
        .collect()
    }

    /// How many messages there are, and their bytes.
    pub fn size(&self) -> (usize, u64) {
        let state = lock(&self.state);
        (state.waiting.len(), state.bytes)
    }
}
