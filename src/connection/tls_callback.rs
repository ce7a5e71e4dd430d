//! `-command`, `-validatecommand` and `-password` of `-tls_opts`: what the program is asked, in the
//! words of the Tcl package `tls`.

use super::Connection;
use super::certificate::describe;
use crate::error::Error;
use crate::options;
use crate::tcl::{Interp, Obj, Result};
use crate::transport::{Review, TlsQuestion};

impl Connection {
    /// Asks, unless the attempt that wants to know is over.
    pub(super) fn ask_about_tls(&self, question: TlsQuestion) {
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let commands = self.config.borrow().tls_opts.commands.clone();
        match question {
            TlsQuestion::Password(answer) => {
                if let Some(prefix) = commands.password.filter(|_| !answer.is_closed()) {
                    let _ = answer.send(ask(interp, &prefix, &[]).map(|word| word.string()));
                }
            }
            TlsQuestion::Review(review, answer) => {
                let judge = |words: &[Obj]| {
                    // It may also be the last answer that has ended it.
                    let prefix = commands.judge.as_ref().filter(|_| !answer.is_closed())?;
                    ask(interp, prefix, words)
                };
                let accepted = examine(interp, &review, judge);
                if answer.send(accepted).is_err() {
                    return;
                }
                if let Some(listener) = &commands.listener {
                    let done = ["info", "", "handshake", "done", DONE, "info"].map(Obj::new);
                    let failed = ["error", "", "certificate verify failed"].map(Obj::new);
                    ask(interp, listener, if accepted { &done } else { &failed });
                }
            }
        }
    }
}

/// What OpenSSL says at the end of a handshake.
const DONE: &str = "SSL negotiation finished successfully";

/// Asks about each certificate, down to that of the server, until one is refused. Each is shown
/// with what we think of all of them: there is no verdict on a single one.
fn examine(interp: Interp<'_>, review: &Review, judge: impl Fn(&[Obj]) -> Option<Obj>) -> bool {
    let status = Obj::int(review.problem.is_none().into());
    let problem = Obj::new(review.problem.as_deref().unwrap_or_default());
    review.chain.iter().enumerate().rev().all(|(depth, certificate)| {
        let depth = Obj::int(depth.try_into().unwrap_or(i64::MAX));
        let certificate = describe(certificate);
        let words =
            [Obj::new("verify"), Obj::empty(), depth, certificate, status.clone(), problem.clone()];
        judge(&words).is_some_and(|answer| accepts(interp, &answer, review.problem.is_none()))
    })
}

/// Whether an answer accepts a certificate. An empty one leaves it at what was `found`.
fn accepts(interp: Interp<'_>, answer: &Obj, found: bool) -> bool {
    let text = answer.text();
    if text.is_empty() {
        return found;
    }
    options::boolean(&text).unwrap_or_else(|| {
        let error = Error::invalid(format!("-command must return 1 or 0, got \"{text}\""));
        interp.aside(|| interp.background(&error.into()));
        false
    })
}

/// The result of a callback; `None` if it fails, which is a background error then, or if it has
/// deleted its interpreter.
fn ask(interp: Interp<'_>, prefix: &Obj, words: &[Obj]) -> Option<Obj> {
    let call = || -> Result<Obj> {
        let mut call = prefix.elements(interp)?;
        call.extend_from_slice(words);
        interp.call(&mut call)
    };
    let answer = interp.aside(|| call().map_err(|failure| interp.background(&failure)).ok());
    answer.filter(|_| !interp.deleted())
}
