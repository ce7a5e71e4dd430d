//! The connection comes and goes under the consumer.

use std::time::{Duration, Instant};

use super::resume::{SHORTEST_PATIENCE, SHORTEST_PAUSE};
use super::{Action, KeepsPlace, Machine, Phase, Reason};
use crate::error::Kind;
use crate::jetstream::ordered::ConsumerState;
use crate::transport::ConnState;

/// While a server settles after a reconnection, failures are expected and not worth a word.
const SETTLING: Duration = Duration::from_secs(3);

impl Machine {
    /// The connection was established, lost, or given up.
    pub fn connection(&mut self, connection: ConnState, now: Instant, out: &mut Vec<Action>) {
        if !matches!(connection, ConnState::Connected(_)) {
            self.roll_call_lost(now);
        }
        match connection {
            ConnState::Connected(generation) => {
                if !self.connected || generation != self.generation {
                    self.generation = generation;
                    self.reconnected(now, out);
                }
            }
            ConnState::Disconnected => {
                self.may_get_holes();
                self.connected = false;
                self.check_stream = true;
                self.silent_until = None;
                self.probe = None;
                self.probe_retry = None;
                self.suspicion = None;
                if matches!(self.phase, Phase::Checking { .. } | Phase::Passing { .. }) {
                    self.go_offline(now);
                }
            }
            ConnState::Closed => {
                self.connected = false;
                self.closed |= !matches!(self.phase, Phase::Stopped);
                // The first creation fails by its request, for its caller to hear of it.
                if !self.first && !matches!(self.phase, Phase::Stopped) {
                    let idle =
                        matches!(self.phase, Phase::Running | Phase::Full | Phase::Waiting { .. });
                    if !idle {
                        let text = "failed to reset: Connection lost".to_owned();
                        out.push(Action::LastError(Kind::Timeout, text));
                    }
                    self.give_up(Kind::ConnectionClosed, "stopped", out);
                }
            }
        }
        self.settle(now, out);
    }

    /// The names of inboxes depend on the link, and so does the server.
    pub fn use_link(
        &mut self,
        inboxes: Box<dyn FnMut() -> String + Send>,
        keeps_place: KeepsPlace,
    ) {
        self.around.new_inbox = inboxes;
        self.around.keeps_place = keeps_place;
    }

    /// Goes on over a new connection, after the last one was closed and the user was told so. What
    /// has stopped for another reason, or never began, stays as it is.
    pub fn revive(&mut self, connection: ConnState, now: Instant, out: &mut Vec<Action>) {
        if self.first || !std::mem::take(&mut self.closed) {
            return;
        }
        self.generation = 0;
        self.phase = Phase::Offline { deadline: None };
        self.change_state(ConsumerState::Stale, out);
        self.connection(connection, now, out);
    }

    fn reconnected(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.connected = true;
        // A loss may be known by nothing but the next connection.
        self.may_get_holes();
        self.stream_seen = now;
        self.discard(out);
        self.unreadable.connection_lost(self.stream_seq);
        self.leaps.reconnected();
        self.check_stream = true;
        self.roll_call_lost(now);
        self.silent_until = Some(now + SETTLING);
        self.pause = SHORTEST_PAUSE;
        self.patience = SHORTEST_PATIENCE;
        // Each attempt has a timer of its own; connections may be lost faster than it runs.
        let late = self.first && self.deadline.is_some_and(|deadline| now >= deadline);
        if late && !self.is_stopped() {
            return self.attempt_failed(self.timed_out(), now, out);
        }
        // In a cluster the old server may still be the one with the consumer.
        let kept = self.keeps_place;
        self.keeps_place = (self.around.keeps_place)();
        match self.phase {
            Phase::Running if !kept || !self.keeps_place => {
                self.reset(Kind::ConsumerNotActive, now, out);
            }
            Phase::Running => {
                self.suspicion = None;
                self.ask_consumer(Reason::Reconnect, out);
                self.ask_for_holes(out);
            }
            // Nobody knows whether that request got through. One that waits for its first connection
            // is in good hands.
            Phase::Creating if self.sent => {
                self.forget_consumer(out);
                self.attempt(now, out);
            }
            Phase::Offline { .. } | Phase::Checking { .. } | Phase::Passing { .. } => {
                self.attempt(now, out)
            }
            Phase::Waiting { silent, .. } => {
                if !silent {
                    self.announce(out);
                }
                self.attempt(now, out);
            }
            Phase::Creating | Phase::Full | Phase::Stopped => {}
        }
    }
}
