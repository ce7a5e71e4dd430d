//! The state machine of continuous pull. No I/O and no clock: inputs come with the time, what is to be
//! done goes out as a list of actions.
//!
//! ```text
//!      start ──▶ Asking ── the consumer is there ──▶ Running ◀─────────────┐
//!               ▲  │ ▲                                │   │                │
//!      no answer│  │ └── nobody there, refused ───────┘   │ silence        │
//!        ┌──────┘  ▼                                      ▼                │
//!        │      Waiting                               Retiring ── over ────┘
//!        │                                              ▲  │
//!        └─────────── connected ◀── Offline ────────────┘  └─ nothing more wanted ─▶ Stopped
//! ```
//! `Asking` asks for the consumer's info, `Retiring` ends the requests that the server may still have:
//! what they have brought until then comes before the next ones are made, so that what is outstanding is
//! known. After that there is another inbox, an *incarnation*.
//!
//! Here is what happens while all goes well. `books` counts, `request` asks for more, `status` reads
//! what the server says of requests, `health` notices when it says nothing, `connection` goes through
//! losses, `unreadable` gets in what may have been their reason, `presence` asks for the consumer,
//! `ending` ends it.

mod action;
mod books;
mod connection;
mod ending;
mod health;
mod presence;
mod request;
mod status;
mod unreadable;

use std::time::{Duration, Instant};

pub use self::action::{Action, Surroundings};
use self::books::Books;
use self::request::Limits;
pub use self::status::Status;
use super::{PullConfig, Report, State};
use crate::error::Error;
use crate::transport::ConnState;

enum Phase {
    Offline,
    Asking {
        token: u64,
    },
    /// What follows is another question for the consumer, or messages.
    Retiring {
        token: u64,
        until: Instant,
        asks: bool,
    },
    Running,
    /// The consumer is asked for again then.
    Waiting {
        until: Instant,
    },
    Stopped,
}

/// What the program wants.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Run,
    Pause,
    /// The end, for this reason; what is still on its way is taken, or given back.
    End(Box<Report>, OnItsWay),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnItsWay {
    Taken,
    GivenBack,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Deliver,
    /// Nobody wants it here: it is given back to the server, for others.
    GiveBack,
}

pub struct Machine {
    config: PullConfig,
    around: Surroundings,
    phase: Phase,
    wish: Wish,
    state: Option<State>,
    connected: bool,
    generation: u64,
    /// Whoever makes it waits for the first request.
    first: bool,
    started: bool,
    /// There was no such consumer when it was asked for last.
    absent: bool,
    incarnation: u64,
    listening: bool,
    tokens: u64,
    books: Books,
    limits: Limits,
    /// The consumer may not be asked for by this user.
    may_ask: bool,
    /// As far as is known it has pins.
    has_pins: bool,
    pin: Option<String>,
    /// The sizes of messages that were found and wait until nothing is under way.
    found: Vec<u64>,
    last_traffic: Instant,
    armed: Option<Instant>,
    /// Refusals since the last message; the next request waits the longer.
    refusals: u32,
    pause_until: Option<Instant>,
    /// A request for fewer bytes has just been refused because of its bytes.
    least_bytes: u64,
    /// The question how large the message is that does not fit.
    size_question: Option<u64>,
    size_reported: bool,
    /// The last warning, and when it was said.
    warned: Option<(String, Instant)>,
    random: u64,
    pulls: u64,
    resets: u64,
}

impl Machine {
    pub fn new(config: PullConfig, around: Surroundings, now: Instant) -> Machine {
        let (connected, generation) = match around.connection {
            ConnState::Connected(generation) => (true, generation),
            ConnState::Disconnected | ConnState::Closed => (false, 0),
        };
        Machine {
            random: around.seed,
            config,
            around,
            phase: Phase::Offline,
            wish: Wish::Run,
            state: None,
            connected,
            generation,
            first: true,
            started: false,
            absent: false,
            incarnation: 0,
            listening: false,
            tokens: 0,
            books: Books::default(),
            limits: Limits::default(),
            may_ask: true,
            has_pins: true,
            pin: None,
            found: Vec::new(),
            last_traffic: now,
            armed: None,
            refusals: 0,
            pause_until: None,
            least_bytes: 0,
            size_question: None,
            size_reported: false,
            warned: None,
            pulls: 0,
            resets: 0,
        }
    }

    /// Begins: the consumer is asked for. Without a connection that waits for one, or fails.
    pub fn start(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.ask_consumer(now, out);
        self.settle(now, out);
    }

    pub fn stream(&self) -> &str {
        &self.config.stream
    }

    pub fn consumer(&self) -> &str {
        &self.config.consumer
    }

    pub fn group(&self) -> Option<&str> {
        self.config.group.as_ref().map(|group| group.name.as_str())
    }

    pub fn timeout(&self) -> Option<Duration> {
        self.around.timeout
    }

    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    pub fn state(&self) -> State {
        match (&self.phase, &self.wish) {
            (Phase::Stopped, _) => State::Stopped,
            (_, Wish::End(..)) => State::Draining,
            (_, Wish::Pause) => State::Paused,
            _ => self.state.unwrap_or(State::Started),
        }
    }

    /// Messages that the server owes.
    pub fn asked(&self) -> u64 {
        self.books.asked()
    }

    /// Of messages, bytes, and messages that were given back: what is known of the program.
    pub fn counts_consumed(&self) -> (u64, u64, u64) {
        self.books.counts_consumed()
    }

    /// Requests that were sent, and how often what was under way was given up.
    pub fn counts(&self) -> (u64, u64) {
        (self.pulls, self.resets)
    }

    /// A message of the stream has come.
    pub fn message(
        &mut self,
        size: u64,
        pin: Option<&str>,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Fate {
        self.heard(now, out);
        self.refusals = 0;
        self.least_bytes = 0;
        self.size_reported = false;
        if self.has_pins && pin.is_some() && pin != self.pin.as_deref() {
            self.pin = pin.map(str::to_owned);
        }
        let enough = self.config.stop_after.is_some_and(|most| self.books.accepted() >= most);
        if enough || self.gives_back() {
            return Fate::GiveBack;
        }
        self.books.receive(size);
        self.end_if_enough(now, out);
        self.refill(now, out);
        self.settle(now, out);
        Fate::Deliver
    }

    /// `-stop_after`
    fn end_if_enough(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.config.stop_after.is_some_and(|most| self.books.accepted() >= most) {
            let text = format!("{} messages were delivered", self.books.accepted());
            self.end(Report::new(State::Stopped, text), OnItsWay::GivenBack, now, out);
        }
    }

    /// The program has dealt with so many messages and bytes, ever, and given back so many of them.
    pub fn consumed(
        &mut self,
        messages: u64,
        bytes: u64,
        returned: u64,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        self.books.consume(messages, bytes, returned);
        self.refill(now, out);
        self.settle(now, out);
    }

    fn gives_back(&self) -> bool {
        self.is_stopped() || matches!(self.wish, Wish::End(_, OnItsWay::GivenBack))
    }

    fn next_token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    fn change_state(&mut self, report: Report, out: &mut Vec<Action>) {
        if self.state.replace(report.state) != Some(report.state) {
            out.push(Action::Report(report));
        }
    }

    /// Something is wrong and it goes on. The same is not said again and again.
    fn warn(
        &mut self,
        status: Option<u16>,
        text: &str,
        error: Option<Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        /// A warning that is repeated after this time is news.
        const NEWS: Duration = Duration::from_secs(10);
        let known = |(said, at): &(String, Instant)| said == text && now < *at + NEWS;
        if self.warned.as_ref().is_some_and(known) {
            return;
        }
        self.warned = Some((text.to_owned(), now));
        let report = Report { status, error, ..Report::new(State::Warning, text) };
        out.push(Action::Report(report));
    }
}
