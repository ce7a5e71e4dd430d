//! The connection comes and goes under the consumer.

use std::time::{Duration, Instant};

use super::{Action, Machine, Phase};
use crate::error::{Error, Kind};
use crate::transport::ConnState;

/// How long the server may take to end requests. It does so at once, or the connection is dead.
const RETIREMENT: Duration = Duration::from_secs(2);

impl Machine {
    /// The connection was established, lost, or closed.
    pub fn connection(&mut self, connection: ConnState, now: Instant, out: &mut Vec<Action>) {
        if self.is_stopped() {
            return;
        }
        match connection {
            ConnState::Connected(generation) => {
                if !self.connected || generation != self.generation {
                    self.connected = true;
                    self.generation = generation;
                    self.reconnected(now, out);
                }
            }
            // The question for the consumer ends by itself.
            ConnState::Disconnected if self.first => self.connected = false,
            ConnState::Disconnected => {
                self.offline();
                self.stale(None, "Connection lost", None, out);
                // It would be the server's answer that is waited for.
                self.end_if_wanted(out);
            }
            ConnState::Closed => {
                self.offline();
                self.listening = false;
                self.books.forget();
                self.found.clear();
                let error = Error::new(Kind::ConnectionClosed, "Connection closed");
                if self.first {
                    self.phase = Phase::Stopped;
                    out.push(Action::Failed(error));
                    return;
                }
                self.stale(None, "Connection closed", Some(error), out);
                self.end_if_wanted(out);
            }
        }
        self.settle(now, out);
    }

    /// Goes on over another link, after the one it had was closed. Names of inboxes depend on it.
    pub fn revive(
        &mut self,
        connection: ConnState,
        inboxes: Box<dyn FnMut() -> String + Send>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        self.around.new_inbox = inboxes;
        self.listening = false;
        self.connected = false;
        self.connection(connection, now, out);
    }

    fn offline(&mut self) {
        self.connected = false;
        self.size_question = None;
        self.phase = Phase::Offline;
    }

    /// A server that was not restarted may still have the old requests.
    fn reconnected(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.refusals = 0;
        self.pause_until = None;
        if self.books.asked() > 0 {
            out.push(Action::Look);
        }
        match self.listening {
            true => self.retire(self.absent, now, out),
            false => self.retired_now_asking(true, now, out),
        }
    }

    /// Ends all requests that the server has, and goes on from there.
    pub(super) fn retire(&mut self, asks: bool, now: Instant, out: &mut Vec<Action>) {
        self.resets += 1;
        self.listening = false;
        let token = self.next_token();
        self.phase = Phase::Retiring { token, until: now + RETIREMENT, asks };
        out.push(Action::Retire { token });
    }

    /// The server has ended the requests: nothing more comes from them.
    pub fn retired(&mut self, token: u64, now: Instant, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Retiring { token: t, .. } if t == token) {
            self.retired_now(now, out);
            self.settle(now, out);
        }
    }

    pub(super) fn retired_now(&mut self, now: Instant, out: &mut Vec<Action>) {
        let asks = matches!(self.phase, Phase::Retiring { asks: true, .. });
        self.retired_now_asking(asks, now, out);
    }

    fn retired_now_asking(&mut self, asks: bool, now: Instant, out: &mut Vec<Action>) {
        self.books.forget();
        self.deliver_found(now, out);
        if self.end_if_wanted(out) {
            return;
        }
        match asks {
            true => self.ask_consumer(now, out),
            false => self.run(now, out),
        }
    }
}
