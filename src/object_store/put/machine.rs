//! Lays the chunks of one object into the stream: each once, and in order, whatever happens to
//! messages and answers. Decides and does nothing: no I/O, no clock.
//!
//! Chunks are sent without waiting for each other. Those that got no answer are sent again under the same
//! message id, so that the server does not store them twice. Order is seen by the sequence numbers of
//! the answers: what was stored before something that belongs in front of it is deleted, and sent again
//! under another id. What cannot be seen that way, a copy that was stored after the server had forgotten
//! the id, is left to a count at the end ([`Action::Complete`]).

use crate::error::{Error, Kind};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long chunks wait after the server's report that nobody takes them.
const PAUSE: Duration = Duration::from_millis(250);
/// How long an answer may take before its chunk is sent again.
const SILENCE: Duration = Duration::from_secs(2);

/// How much may be under way.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub chunks: usize,
    pub bytes: usize,
}

/// Names one message: the place of its chunk in the object, and which edition of it that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    pub index: u64,
    pub edition: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    Send(Label, Bytes),
    /// Delete a message of the stream.
    Delete(u64),
    /// All are there, in order. `doubt`: somebody has to count whether there are more or fewer of them.
    Complete {
        chunks: u64,
        /// The sequence number of the last one.
        last: u64,
        doubt: bool,
    },
    /// For good.
    Fail(Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not sent over this connection.
    Waiting,
    Sent(Instant),
    /// There, as this sequence number of the stream.
    Stored(u64),
}

struct Chunk {
    payload: Bytes,
    edition: u32,
    state: State,
}

pub struct Machine {
    limit: Window,
    /// How long nothing may be acknowledged.
    patience: Option<Duration>,
    connected: bool,
    window: VecDeque<Chunk>,
    /// The place of the first chunk in the window.
    front: u64,
    placed_bytes: u64,
    bytes: usize,
    /// Of the last one that is in its place.
    last_seq: u64,
    /// When those that nobody took are sent again; nothing else is until then.
    resume: Option<Instant>,
    progress: Instant,
    deleting: usize,
    doubt: bool,
    ended: bool,
    over: bool,
}

impl Machine {
    pub fn new(
        limit: Window,
        patience: Option<Duration>,
        connected: bool,
        now: Instant,
    ) -> Machine {
        Machine {
            limit,
            patience,
            connected,
            window: VecDeque::new(),
            front: 0,
            placed_bytes: 0,
            bytes: 0,
            last_seq: 0,
            resume: None,
            progress: now,
            deleting: 0,
            doubt: false,
            ended: false,
            over: false,
        }
    }

    /// Whether another chunk can be taken.
    pub fn has_room(&self) -> bool {
        let few = self.window.len() < self.limit.chunks && self.bytes < self.limit.bytes;
        !self.over && !self.ended && few
    }

    /// How many bytes are in their place.
    pub fn placed_bytes(&self) -> u64 {
        self.placed_bytes
    }

    /// The next chunk of the object.
    pub fn chunk(&mut self, payload: Bytes, now: Instant, out: &mut Vec<Action>) {
        if self.over {
            return;
        }
        if self.window.is_empty() {
            self.progress = now;
        }
        self.bytes += payload.len();
        let mut state = State::Waiting;
        // The chunks in front of it are on their way if this one may be.
        if self.connected && self.resume.is_none() {
            state = State::Sent(now);
            let label = Label { index: self.front + self.window.len() as u64, edition: 0 };
            out.push(Action::Send(label, payload.clone()));
        }
        self.window.push_back(Chunk { payload, edition: 0, state });
    }

    /// There are no more.
    pub fn end(&mut self, out: &mut Vec<Action>) {
        self.ended = true;
        self.conclude(out);
    }

    /// There is another connection, or none. What was sent over the one before may have been lost, or its
    /// answer; and a server that was started again may have lost what it had acknowledged.
    pub fn connection(&mut self, connected: bool, now: Instant, out: &mut Vec<Action>) {
        self.connected = connected;
        self.resume = None;
        for chunk in &mut self.window {
            if let State::Sent(_) = chunk.state {
                chunk.state = State::Waiting;
                self.doubt = true;
            }
        }
        self.doubt |= self.front > 0;
        self.send_waiting(now, out);
    }

    /// The server has stored it, now or before.
    pub fn stored(&mut self, label: Label, seq: u64, now: Instant, out: &mut Vec<Action>) {
        let Some(chunk) = self.find(label) else { return };
        match chunk.state {
            // There are two of them.
            State::Stored(known) if known != seq => self.doubt = true,
            State::Stored(_) => {}
            State::Waiting | State::Sent(_) => {
                chunk.state = State::Stored(seq);
                self.progress = now;
                self.advance(now, out);
            }
        }
    }

    /// The server reports that nobody takes it, at present.
    pub fn nobody(&mut self, label: Label, now: Instant) {
        let Some(chunk) = self.find(label) else { return };
        if let State::Sent(_) = chunk.state {
            chunk.state = State::Waiting;
            self.resume.get_or_insert(now + PAUSE);
        }
    }

    /// What will not do.
    pub fn fail(&mut self, error: Error, out: &mut Vec<Action>) {
        if !std::mem::replace(&mut self.over, true) {
            self.window.clear();
            out.push(Action::Fail(error));
        }
    }

    /// What was to be deleted is.
    pub fn deleted(&mut self, out: &mut Vec<Action>) {
        self.deleting -= 1;
        self.conclude(out);
    }

    /// When [`Machine::tick`] is wanted next.
    pub fn timer(&self) -> Option<Instant> {
        if self.over || (self.window.is_empty() && self.deleting == 0) {
            return None;
        }
        let silence = self.oldest().map(|sent| sent + SILENCE);
        let end = self.patience.and_then(|patience| self.progress.checked_add(patience));
        [self.resume, silence.filter(|_| self.connected), end].into_iter().flatten().min()
    }

    pub fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.over {
            return;
        }
        let waits = !self.window.is_empty() || self.deleting > 0;
        let late = |patience| now.saturating_duration_since(self.progress) >= patience;
        if waits && self.patience.is_some_and(late) {
            let text = "The chunks of the object are not acknowledged";
            return self.fail(Error::new(Kind::Timeout, text), out);
        }
        if self.resume.is_some_and(|resume| resume <= now) {
            self.resume = None;
            self.send_waiting(now, out);
        }
        if self.connected && self.oldest().is_some_and(|sent| sent + SILENCE <= now) {
            self.doubt = true;
            for chunk in &mut self.window {
                if let State::Sent(_) = chunk.state {
                    chunk.state = State::Waiting;
                }
            }
            self.send_waiting(now, out);
        }
    }

    fn find(&mut self, label: Label) -> Option<&mut Chunk> {
        let at = usize::try_from(label.index.checked_sub(self.front)?).ok()?;
        self.window.get_mut(at).filter(|chunk| chunk.edition == label.edition)
    }

    /// When the first one was sent whose answer is missing.
    fn oldest(&self) -> Option<Instant> {
        match self.window.front()?.state {
            State::Sent(at) => Some(at),
            _ => None,
        }
    }

    /// Sends what has to be, from the first one on.
    fn send_waiting(&mut self, now: Instant, out: &mut Vec<Action>) {
        if !self.connected || self.resume.is_some() || self.over {
            return;
        }
        for (index, chunk) in (self.front..).zip(&mut self.window) {
            if chunk.state == State::Waiting {
                chunk.state = State::Sent(now);
                let label = Label { index, edition: chunk.edition };
                out.push(Action::Send(label, chunk.payload.clone()));
            }
        }
    }

    /// Lets go of what is in its place.
    fn advance(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some(&Chunk { state: State::Stored(seq), .. }) = self.window.front() {
            if seq <= self.last_seq {
                self.lay_again(now, out);
                return;
            }
            self.last_seq = seq;
            self.front += 1;
            let placed = self.window.pop_front().map_or(0, |chunk| chunk.payload.len());
            self.bytes -= placed;
            self.placed_bytes += placed as u64;
        }
        self.conclude(out);
    }

    /// The first one of the window was stored before what belongs in front of it. It has to go behind
    /// that, and all that is there already behind it.
    fn lay_again(&mut self, now: Instant, out: &mut Vec<Action>) {
        for chunk in &mut self.window {
            if let State::Stored(seq) = chunk.state {
                out.push(Action::Delete(seq));
                self.deleting += 1;
                chunk.edition += 1;
                chunk.state = State::Waiting;
            }
        }
        self.send_waiting(now, out);
    }

    fn conclude(&mut self, out: &mut Vec<Action>) {
        if self.ended && self.window.is_empty() && self.deleting == 0 && !self.over {
            self.over = true;
            out.push(Action::Complete {
                chunks: self.front,
                last: self.last_seq,
                doubt: self.doubt,
            });
        }
    }
}
