//! The streams that this program watches: what one part of it does to a stream, on whatever connection
//! and in whatever interpreter, is told to those that watch it where the stream itself says nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Weak};

use super::consumer::Signals;
use crate::lock::lock;

/// By the stream's name alone. Another account may have a stream of that name, whose watchers ask in
/// vain.
static WATCHED: LazyLock<Mutex<HashMap<String, Vec<Weak<Signals>>>>> =
    LazyLock::new(Mutex::default);

/// An entry in the list, until it is dropped.
pub(super) struct Watched {
    stream: String,
    signals: Weak<Signals>,
}

impl Watched {
    pub fn enter(stream: &str, signals: &Arc<Signals>) -> Self {
        let (stream, signals) = (stream.to_owned(), Arc::downgrade(signals));
        lock(&WATCHED).entry(stream.clone()).or_default().push(signals.clone());
        Watched { stream, signals }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut watched = lock(&WATCHED);
        if let Some(all) = watched.get_mut(&self.stream) {
            all.retain(|other| !other.ptr_eq(&self.signals));
            if all.is_empty() {
                watched.remove(&self.stream);
            }
        }
    }
}

fn tell(stream: &str, what: impl Fn(&Signals) -> &AtomicBool) {
    let all = lock(&WATCHED).get(stream).cloned().unwrap_or_default();
    for signals in all.iter().filter_map(Weak::upgrade) {
        what(&signals).store(true, Ordering::SeqCst);
        signals.wake.notify_one();
    }
}

/// Messages of the stream were removed: its watchers look what is left.
pub fn emptied(stream: &str) {
    tell(stream, |signals| &signals.emptied);
}

/// The stream was made: its watchers look whether it is another one than theirs.
pub fn made(stream: &str) {
    tell(stream, |signals| &signals.remade);
}
