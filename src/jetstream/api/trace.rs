//! `-trace`: API requests and replies as they happened, on their way to the log.

use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// Collects lines on any thread until the Tcl thread takes them. Clones share the lines.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    pub fn request(&self, subject: &str, body: &[u8]) {
        self.add(">>>", subject, body);
    }

    pub fn reply(&self, subject: &str, body: &[u8]) {
        self.add("<<<", subject, body);
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0))
    }

    fn add(&self, mark: &str, subject: &str, body: &[u8]) {
        let line = format!("{mark} {subject} {}", String::from_utf8_lossy(body));
        lock(&self.0).push(line);
    }
}
