//! `-trace`: API requests and replies as they happened, on their way to the log.

use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// Where lines wait until the Tcl thread takes them.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lines: Vec<String>,
    /// Nobody takes them any more.
    closed: bool,
}

impl Lines {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0).lines)
    }

    pub fn close(&self) {
        lock(&self.0).closed = true;
    }
}

/// Collects lines on any thread. Clones share them.
#[derive(Clone)]
pub struct Trace {
    lines: Lines,
    /// Called for the first one that waits.
    come: Arc<dyn Fn() + Send + Sync>,
}

impl Trace {
    pub fn new(lines: Lines, come: impl Fn() + Send + Sync + 'static) -> Trace {
        Trace { lines, come: Arc::new(come) }
    }

    pub fn request(&self, subject: &str, body: &[u8]) {
        self.add(">>>", subject, body);
    }

    pub fn reply(&self, subject: &str, body: &[u8]) {
        self.add("<<<", subject, body);
    }

    fn add(&self, mark: &str, subject: &str, body: &[u8]) {
        let line = format!("{mark} {subject} {}", String::from_utf8_lossy(body));
        let mut state = lock(&self.lines.0);
        if state.closed {
            return;
        }
        state.lines.push(line);
        let first = state.lines.len() == 1;
        drop(state);
        if first {
            (self.come)();
        }
    }
}
