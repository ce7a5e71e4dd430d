//! Commands of the program that are called back.

use super::{Interp, Obj};
use std::cell::Cell;

/// The first words of a command, to which arguments are added.
pub struct Prefix {
    words: Vec<Obj>,
    /// Kept from one call to the next; empty while a call runs.
    ready: Cell<Vec<Obj>>,
}

impl Prefix {
    pub fn new(mut words: Vec<Obj>) -> Prefix {
        if words.is_empty() {
            // A command that there is not: the first argument comes from elsewhere and must not become one.
            words.push(Obj::empty());
        }
        Prefix { words, ready: Cell::default() }
    }

    pub fn words(&self) -> &[Obj] {
        &self.words
    }

    /// Calls it at global level; an error is a background error. Whether there was none.
    pub fn call<const N: usize>(&self, interp: Interp<'_>, arguments: [Obj; N]) -> bool {
        let mut words = self.ready.take();
        if words.is_empty() {
            words.clone_from(&self.words);
        }
        words.extend(arguments);
        let fine = interp.call_back(&mut words);
        words.truncate(self.words.len());
        self.ready.set(words);
        fine
    }
}
