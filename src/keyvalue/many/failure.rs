//! The error of a command that could do only a part of what was asked.

use crate::error::{Error, Result};
use crate::error_code::error_code;
use crate::tcl::{Dict, Failure, Interp, Obj};

/// What has become of each key.
pub struct Outcome<'a, T> {
    pub keys: &'a [String],
    pub answers: &'a [Result<T>],
}

impl<'a, T> Outcome<'a, T> {
    pub fn done(&self) -> impl Iterator<Item = (&'a str, &'a T)> + use<'a, T> {
        let all = self.keys.iter().zip(self.answers);
        all.filter_map(|(key, answer)| Some((key.as_str(), answer.as_ref().ok()?)))
    }

    fn failed(&self) -> impl Iterator<Item = (&'a str, &'a Error)> + use<'a, T> {
        let all = self.keys.iter().zip(self.answers);
        all.filter_map(|(key, answer)| Some((key.as_str(), answer.as_ref().err()?)))
    }

    /// Throws if something has failed: with the code of the first failure and, in the return options,
    /// what was done (`-written`, the dict is `show`'s) and what failed (`-failed`: key → error code).
    /// `verb` is what was done to the keys.
    pub fn check(
        &self,
        interp: Interp<'_>,
        verb: &str,
        show: impl Fn(&T) -> Obj,
    ) -> std::result::Result<(), Failure> {
        let Some((key, first)) = self.failed().next() else { return Ok(()) };
        let mut failed = Dict::new();
        self.failed().for_each(|(key, error)| failed.put(key, &error_code(error)));
        let text = format!(
            "{} of {} keys were {verb}; {key}: {}",
            self.done().count(),
            self.keys.len(),
            first.message
        );
        let (text, code) = (Obj::new(&text), error_code(first));
        let word = Obj::new;
        // Only `return` can set options of its own. Given the stack, it does not add itself to that.
        let mut words = vec![word("::return"), word("-level"), Obj::int(0), word("-code")];
        words.extend([word("error"), word("-errorcode"), code, word("-errorinfo"), text.clone()]);
        words.extend([word(&format!("-{verb}")), self.shown(show).into()]);
        words.extend([word("-failed"), failed.into(), text]);
        interp.call(&mut words).and(Ok(()))
    }

    /// The dict of what was done.
    pub fn shown(&self, show: impl Fn(&T) -> Obj) -> Dict {
        let mut dict = Dict::new();
        self.done().for_each(|(key, value)| dict.put(key, &show(value)));
        dict
    }
}
