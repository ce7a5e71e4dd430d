//! Messages that nobody can read: each costs the connection, again and again, until it is acknowledged
//! (`jetstream/unreadable_pending.rs`). After a loss they are looked for, beside what goes on.

use super::driver::{Driver, Event};
use crate::error::Result;
use crate::jetstream::delivery::Delivered;
use crate::jetstream::unreadable_pending::{Found, Losses, find, suspicion};
use crate::lock::lock;
use crate::transport::Task;
use std::time::Instant;

#[derive(Default)]
pub(super) struct Search {
    losses: Losses,
    /// The last one; one at a time is enough.
    task: Option<Task>,
}

impl Search {
    pub fn end(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Driver {
    pub(super) fn look(&mut self) {
        self.search.end();
        let count = self.search.losses.connection_lost();
        let (stream, consumer) = (self.stream.clone(), self.name.clone());
        let (api, me) = (self.api.clone(), self.me.clone());
        self.search.task = Some(self.api.link.spawn(async move {
            let found = find(api, stream, consumer, count).await;
            if let Some(driver) = me.upgrade() {
                lock(&driver).looked(count, found);
            }
        }));
    }

    fn looked(&mut self, count: u32, found: Result<Found>) {
        let found = match found {
            Ok(_) if self.is_stopped() => return,
            Ok(found) => found,
            Err(error) => {
                if let Some(error) = suspicion(&self.stream, &self.name, count, &error) {
                    self.events.send(Event::Warning(error.kind, error.message.into_owned()));
                }
                return;
            }
        };
        let now = Instant::now();
        for message in self.search.losses.deliverable(found, now) {
            self.search.losses.delivered(message.message.seq, now);
            self.machine.found();
            self.hand_over(Delivered::Stored(Box::new(message)));
        }
    }
}
