//! What is counted of the requests of an endpoint.

use std::cell::{Cell, RefCell};
use std::time::Duration;

#[derive(Default)]
pub struct Counters {
    requests: Cell<u64>,
    errors: Cell<u64>,
    /// Nanoseconds from handing over to the answer, of all requests together.
    time: Cell<u64>,
    last_error: RefCell<String>,
}

/// As the schema has them.
pub struct Counts {
    pub requests: u64,
    pub errors: u64,
    pub time: u64,
    pub average: u64,
    pub last_error: String,
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Counters {
    pub fn request(&self, time: Duration) {
        self.requests.set(self.requests.get() + 1);
        self.more_time(time);
    }

    /// A request that was counted already took longer.
    pub fn more_time(&self, time: Duration) {
        self.time.set(self.time.get().saturating_add(nanoseconds(time)));
    }

    pub fn error(&self, code: &str, description: &str) {
        self.errors.set(self.errors.get() + 1);
        self.last_error.replace(format!("{code}:{description}"));
    }

    pub fn reset(&self) {
        self.requests.set(0);
        self.errors.set(0);
        self.time.set(0);
        self.last_error.take();
    }

    pub fn counts(&self) -> Counts {
        let (requests, time) = (self.requests.get(), self.time.get());
        Counts {
            requests,
            errors: self.errors.get(),
            time,
            average: time.checked_div(requests).unwrap_or(0),
            last_error: self.last_error.borrow().clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_of_requests() {
        let counters = Counters::default();
        assert_eq!(counters.counts().average, 0);
        counters.request(Duration::from_nanos(10));
        counters.request(Duration::from_nanos(20));
        counters.more_time(Duration::from_nanos(6));
        counters.error("500", "x");
        let counts = counters.counts();
        assert_eq!((counts.requests, counts.errors, counts.time, counts.average), (2, 1, 36, 18));
        assert_eq!(counts.last_error, "500:x");
        counters.reset();
        let counts = counters.counts();
        assert_eq!((counts.requests, counts.errors, counts.time, counts.average), (0, 0, 0, 0));
        assert_eq!(counts.last_error, "");
    }
}
