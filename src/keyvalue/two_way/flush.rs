//! Who waits until changes are acknowledged.

use super::form::Value;
use super::table::Table;
use crate::bridge::Promise;
use crate::error::{Error, Kind};
use std::cell::{Cell, RefCell};

#[derive(Default)]
pub struct Flushes {
    all: RefCell<Vec<Flush>>,
    last: Cell<u64>,
}

struct Flush {
    id: u64,
    /// The last change that it is about.
    change: u64,
    failed: Option<Error>,
    promise: Promise<()>,
}

impl Flushes {
    /// Waits for all changes up to this one.
    pub fn add(&self, change: u64, promise: Promise<()>) -> u64 {
        let id = self.last.get() + 1;
        self.last.set(id);
        self.all.borrow_mut().push(Flush { id, change, failed: None, promise });
        id
    }

    /// Nobody waits any more.
    pub fn cancel(&self, id: u64) {
        let all = self.all.take();
        let (gone, rest) = all.into_iter().partition::<Vec<_>, _>(|flush| flush.id == id);
        self.all.replace(rest);
        drop(gone);
    }

    pub fn late(&self, id: u64, array: &str) {
        let mut all = self.all.borrow_mut();
        let Some(at) = all.iter().position(|flush| flush.id == id) else { return };
        let flush = all.remove(at);
        drop(all);
        let text = format!("Timeout while flushing array {array}");
        flush
            .promise
            .complete(Err(flush.failed.unwrap_or_else(|| Error::new(Kind::Timeout, text))));
    }

    /// A change is lost. The first one is what is reported.
    pub fn failed(&self, change: u64, error: &Error) {
        for flush in self.all.borrow_mut().iter_mut().filter(|flush| flush.change >= change) {
            flush.failed.get_or_insert_with(|| error.clone());
        }
    }

    /// Ends those that have nothing more to wait for.
    pub fn settled(&self, table: &Table<Value>) {
        if self.all.borrow().is_empty() {
            return;
        }
        let all = self.all.take();
        let (done, rest) =
            all.into_iter().partition::<Vec<_>, _>(|flush| table.settled(flush.change));
        self.all.replace(rest);
        for flush in done {
            flush.promise.complete(flush.failed.map_or(Ok(()), Err));
        }
    }

    /// All end with this error, or with the one that they have.
    pub fn fail(&self, error: &Error) {
        for flush in self.all.take() {
            flush.promise.complete(Err(flush.failed.unwrap_or_else(|| error.clone())));
        }
    }

    /// There is nothing to wait for any more: the promises say so.
    pub fn end(&self) {
        drop(self.all.take());
    }
}
