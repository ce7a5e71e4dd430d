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
        self.with_words(arguments, |words| interp.call_back(words))
    }

    /// The same by [`Interp::call_back_or`].
    pub fn call_or<const N: usize>(
        &self,
        interp: Interp<'_>,
        arguments: [Obj; N],
        failed: impl FnOnce(Interp<'_>, Obj, Obj) -> bool,
    ) -> bool {
        self.with_words(arguments, |words| interp.call_back_or(words, failed))
    }

    fn with_words<const N: usize>(
        &self,
        arguments: [Obj; N],
        call: impl FnOnce(&mut [Obj]) -> bool,
    ) -> bool {
        let mut words = self.ready.take();
        if words.is_empty() {
            words.clone_from(&self.words);
        }
        words.extend(arguments);
        let fine = call(&mut words);
        words.truncate(self.words.len());
        self.ready.set(words);
        fine
    }
}
