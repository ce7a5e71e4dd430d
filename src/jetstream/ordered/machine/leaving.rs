//! Consumers that are not needed any more.
//!
//! The server removes them by itself, two seconds after nobody listens, and until then they count
//! against the limits of the stream: what is made in their place could be refused because of them.
//! So they are deleted before others are made. What was left while there was no connection is
//! deleted when there is one again.

use super::{Action, Machine};

impl Machine {
    /// Nobody listens to the present consumer any more, if there is one.
    pub(super) fn forget_consumer(&mut self, out: &mut Vec<Action>) {
        if self.listening {
            self.listening = false;
            out.push(Action::Unsubscribe);
        }
        let names = [
            std::mem::take(&mut self.name),
            self.asked_name.take().unwrap_or_default(),
            std::mem::take(&mut self.seen),
        ];
        self.left_behind.extend(names.into_iter().find(|name| !name.is_empty()));
        self.discard(out);
        self.credit.forget();
        self.probe = None;
        self.probe_retry = None;
        self.suspicion = None;
        self.leaps.forget();
        self.gap = false;
    }

    /// The server says that it has no such consumer.
    pub(super) fn consumer_is_gone(&mut self) {
        self.name.clear();
        self.asked_name = None;
        self.seen.clear();
    }

    /// Deletes what was left behind, if there is a connection.
    pub(super) fn discard(&mut self, out: &mut Vec<Action>) {
        if self.connected {
            let left = self.left_behind.drain(..);
            out.extend(left.map(|consumer| Action::Discard { consumer }));
        }
    }
}
