//! Errors as programs see them: the error code `{NATS ErrX}`.

use crate::error::{Error, Kind};
use crate::tcl::{self, Failure, Fault, Obj};
use std::borrow::Cow;

fn words(error: &Error) -> Vec<Cow<'static, str>> {
    let mut words = vec!["NATS".into(), error.kind.code().into()];
    if error.kind.has_numbers()
        && let Some((code, err_code)) = error.api
    {
        words.push(code.to_string().into());
        words.push(err_code.to_string().into());
    }
    words
}

pub fn error_code(error: &Error) -> Obj {
    tcl::interp::error_code(&words(error))
}

impl From<Error> for tcl::Error {
    fn from(error: Error) -> tcl::Error {
        tcl::Error { code: words(&error), message: error.message, hint: error.hint }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(error.into())
    }
}

/// What the layer below finds wrong.
pub fn of_fault(fault: Fault, text: Cow<'static, str>) -> tcl::Error {
    match fault {
        Fault::Internal => Error::new(Kind::Internal, text),
        Fault::Argument => Error::invalid(text),
        Fault::Threads => Error::new(Kind::NotSupported, text),
        Fault::CoroutineDeleted => Error::new(Kind::InvalidCoroutine, text),
        Fault::InterpDeleted => Error::connection_closed(),
    }
    .into()
}
