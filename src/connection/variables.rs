//! The public variables `status`, `last_error` and `serverInfo`: real Tcl variables, written once for
//! each change.

use super::log::Level;
use super::{Connection, Status};
use crate::error::Error;
use crate::json;
use crate::tcl::{Interp, Obj};
use serde_json::{Map, Value};

impl Connection {
    fn my_call(&self, interp: Interp<'_>, words: &[Obj]) {
        // A trace may have destroyed the object, and its variables with it.
        if self.gone.get() {
            return;
        }
        self.written.set(self.written.get() + 1);
        let mut call = vec![self.my.clone()];
        call.extend_from_slice(words);
        // A trace of the user that throws is reported and harms nothing.
        interp.aside(|| {
            if let Err(failure) = interp.call(&call) {
                interp.background(&failure);
            }
        });
    }

    /// Writes a variable. Tcl fires no trace for a write that is made inside a trace on the same
    /// variable, so such a value is written at once, for all to see, and once more when that trace
    /// has returned, for the traces to see.
    fn put(&self, variable: &'static str, value: Obj) {
        let Some(interp) = self.interp_handle.enter() else { return };
        let name = Obj::new(variable);
        let write = |value| {
            self.my_call(*interp, &[Obj::new("PutVariable"), name.clone(), value]);
        };
        if self.writing.borrow().contains(&variable) {
            self.missed.borrow_mut().push_back((variable, value.clone()));
            return write(value);
        }
        self.writing.borrow_mut().push(variable);
        write(value);
        loop {
            let mut missed = self.missed.borrow_mut();
            let Some(at) = missed.iter().position(|(name, _)| *name == variable) else { break };
            let next = missed.remove(at);
            drop(missed);
            if let Some((_, value)) = next {
                write(value);
            }
        }
        self.writing.borrow_mut().retain(|name| *name != variable);
    }

    pub(super) fn set_status(&self, status: Status) {
        self.status.set(status);
        self.put("status", Obj::new(status.word()));
    }

    pub(super) fn set_last_error(&self, error: Option<Error>) {
        let value = match &error {
            None => Obj::empty(),
            Some(error) => {
                let dict = Obj::dict();
                dict.put("code", &crate::tcl::interp::error_code(error));
                dict.put("errorMessage", &Obj::new(&error.message));
                dict
            }
        };
        if let Some(error) = &error {
            self.logger.log(Level::Warn, &error.message);
        }
        *self.last_error.borrow_mut() = error;
        self.put("last_error", value);
    }

    /// The INFO of a handshake takes the place of all that was there; a later one adds to it.
    pub(super) fn put_info(&self, fields: &Map<String, Value>, later: bool) {
        if let Some(interp) = self.interp_handle.enter() {
            let fields = json::to_dict(fields);
            self.my_call(*interp, &[Obj::new("PutInfo"), fields, Obj::word(later)]);
        }
    }
}
