//! Why a command fails, in the terms of Tcl; what this layer itself finds wrong.

use std::borrow::Cow;

/// An error to be raised: its text, the words of its error code, and what stands below the text in
/// `errorInfo`.
#[derive(Debug)]
pub struct Error {
    pub message: Cow<'static, str>,
    pub code: Vec<Cow<'static, str>>,
    pub hint: Option<Cow<'static, str>>,
}

/// Why a command fails.
#[derive(Debug)]
pub enum Failure {
    /// An error of ours, still to be made the interpreter's.
    Error(Error),
    /// The interpreter holds the error already (Tcl raised it).
    Raised,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(error)
    }
}

/// What this layer itself finds wrong. The package says how its programs are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A panic, or what only a mistake of ours can lead to.
    Internal,
    /// What a program gave is not accepted.
    Argument,
    /// This Tcl lacks threads.
    Threads,
    /// The coroutine that waited was deleted.
    CoroutineDeleted,
    /// The interpreter was deleted during a wait.
    InterpDeleted,
}

impl Fault {
    pub(super) fn error(self, text: impl Into<Cow<'static, str>>) -> Error {
        let text = text.into();
        match super::load::package() {
            Some(package) => (package.error)(self, text),
            None => Error { message: text, code: Vec::new(), hint: None },
        }
    }

    pub(super) fn failure(self, text: impl Into<Cow<'static, str>>) -> Failure {
        self.error(text).into()
    }
}
