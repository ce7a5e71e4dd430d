//! Why a transfer fails.

use crate::error::Error;
use crate::tcl::{self, Failure, Interp, interp};
use std::borrow::Cow;
use std::io;

/// What is told to the program as the error of its command. It comes from any thread.
#[derive(Clone, Debug)]
pub enum Trouble {
    Nats(Error),
    /// What the system has against a file: its number, and what was tried.
    System {
        errno: i32,
        what: String,
    },
    /// What Tcl has against a channel or a file.
    Tcl {
        message: String,
        code: Vec<String>,
    },
}

impl Trouble {
    pub fn system(what: impl Into<String>, error: &io::Error) -> Trouble {
        let what = what.into();
        match error.raw_os_error() {
            Some(errno) => Trouble::System { errno, what },
            // A NUL byte in a name, which the system was never asked about.
            None if error.kind() == io::ErrorKind::InvalidInput => {
                Error::invalid(format!("{what}: {error}")).into()
            }
            None => Trouble::Tcl { message: format!("{what}: {error}"), code: vec!["NONE".into()] },
        }
    }

    /// What a command of Tcl has failed with.
    pub fn of_tcl(interp: Interp<'_>, failure: Failure) -> Trouble {
        let (message, code) = interp.told(failure);
        Trouble::Tcl { message, code }
    }

    /// Says more about what the failure has left behind.
    pub fn with_note(self, note: &str) -> Trouble {
        match self {
            Trouble::Nats(error) => {
                let message = format!("{}; {note}", error.message).into();
                Trouble::Nats(Error { message, ..error })
            }
            Trouble::System { errno, what } => {
                Trouble::System { errno, what: format!("{note}; {what}") }
            }
            Trouble::Tcl { message, code } => {
                Trouble::Tcl { message: format!("{message}; {note}"), code }
            }
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Nats(error)
    }
}

/// As Tcl's own commands tell it.
impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Nats(error) => error.into(),
            Trouble::System { errno, what } => {
                let (name, text) = interp::system_error(errno);
                let code = vec!["POSIX".into(), name.into(), text.clone().into()];
                let message = format!("{what}: {text}").into();
                tcl::Error { message, code, hint: None }.into()
            }
            Trouble::Tcl { message, code } => {
                let code = code.into_iter().map(Cow::Owned).collect();
                tcl::Error { message: message.into(), code, hint: None }.into()
            }
        }
    }
}
