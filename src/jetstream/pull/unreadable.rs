//! Messages that nobody can read: each costs the connection, again and again, until it is acknowledged
//! (`jetstream/unreadable_pending.rs`). After a loss they are looked for, beside what goes on.

use std::time::Instant;

use super::driver::Driver;
use super::{Report, State};
use crate::error::Result;
use crate::jetstream::delivery::{Delivered, StoredDelivery};
use crate::jetstream::unreadable_pending::{Found, Losses, find, suspicion};
use crate::lock::lock;
use crate::transport::Task;

#[derive(Default)]
pub(super) struct Search {
    losses: Losses,
    /// The last one; one at a time is enough.
    task: Option<Task>,
    /// In the order of the machine's sizes.
    found: Vec<StoredDelivery>,
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
        let (stream, consumer) =
            (self.machine.stream().to_owned(), self.machine.consumer().to_owned());
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
            Ok(found) => found,
            Err(error) => {
                let (stream, consumer) = (self.machine.stream(), self.machine.consumer());
                if let Some(error) = suspicion(stream, consumer, count, &error) {
                    let report = Report::new(State::Warning, error.message.clone());
                    self.report(Report { error: Some(error), ..report });
                }
                return;
            }
        };
        self.search.found = self.search.losses.deliverable(found, Instant::now());
        let sizes = self.search.found.iter().map(|found| found.size() as u64).collect();
        self.input(|machine, now, out| machine.found(sizes, now, out));
    }

    /// Hands over the first of those that were found.
    pub(super) fn deliver_found(&mut self, count: usize) {
        let found = std::mem::take(&mut self.search.found);
        for message in found.into_iter().take(count) {
            self.search.losses.delivered(message.message.seq, Instant::now());
            let size = message.size() as u64;
            self.arrive(Delivered::Stored(Box::new(message)), size);
        }
    }
}
