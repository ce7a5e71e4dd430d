//! The public variables `status`, `last_error` and `serverInfo`: real Tcl variables, written once for
//! each change, and what they show.

use super::Status;
use crate::error::Error;
use crate::error_code::error_code;
use crate::json;
use crate::tcl::mailbox;
use crate::tcl::{Dict, Interp, InterpHandle, Obj};
use crate::transport::ServerInfo;
use serde_json::{Map, Value};
use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

pub struct Variables {
    interp_handle: InterpHandle,
    /// The command by which an object calls its own methods.
    my: Obj,
    status: Cell<Status>,
    last_error: RefCell<Option<Error>>,
    server_info: RefCell<Option<Arc<ServerInfo>>>,
    /// Variables that are being written, and what was written to them meanwhile.
    writing: RefCell<Vec<&'static str>>,
    missed: RefCell<VecDeque<(&'static str, Obj)>>,
    /// The turn of the event loop in which one of them was written last.
    last_write: Cell<Option<u64>>,
    /// The object has none any more.
    gone: Cell<bool>,
}

impl Variables {
    /// Makes the variables in the namespace of an object.
    pub fn declare(interp: Interp<'_>, namespace: &str) -> crate::tcl::Result<Variables> {
        let my = Obj::new(&format!("{namespace}::my"));
        interp.call(&mut [my.clone(), Obj::new("DeclareVariables")])?;
        Ok(Variables {
            interp_handle: interp.handle(),
            my,
            status: Cell::new(Status::Closed),
            last_error: RefCell::default(),
            server_info: RefCell::default(),
            writing: RefCell::default(),
            missed: RefCell::default(),
            last_write: Cell::new(None),
            gone: Cell::new(false),
        })
    }

    /// The object goes, and its variables with it.
    pub fn gone(&self) {
        self.gone.set(true);
        self.status.set(Status::Closed);
    }

    /// Whether one of them was written in this turn of the event loop.
    pub fn written_in(&self, turn: u64) -> bool {
        self.last_write.get() == Some(turn)
    }

    pub fn status(&self) -> Status {
        self.status.get()
    }

    /// What the status is from now on, though its variable is written later; what it was before.
    pub fn enter(&self, status: Status) -> Status {
        self.status.replace(status)
    }

    pub fn write_status(&self, status: Status) {
        self.status.set(status);
        self.put("status", Obj::new(status.word()));
    }

    pub fn last_error(&self) -> Ref<'_, Option<Error>> {
        self.last_error.borrow()
    }

    pub fn write_last_error(&self, error: Option<Error>) {
        let value = match &error {
            None => Obj::empty(),
            Some(error) => {
                let mut dict = Dict::new();
                dict.put("code", &error_code(error));
                dict.put("errorMessage", &Obj::new(&error.message));
                dict.into()
            }
        };
        *self.last_error.borrow_mut() = error;
        self.put("last_error", value);
    }

    pub fn server_info(&self) -> Ref<'_, Option<Arc<ServerInfo>>> {
        self.server_info.borrow()
    }

    /// What the server is known to be from now on, though the variable is written later.
    pub fn enter_server_info(&self, info: &Arc<ServerInfo>) {
        *self.server_info.borrow_mut() = Some(info.clone());
    }

    /// The INFO of a handshake takes the place of all that was there; a later one adds to it.
    pub fn write_server_info(&self, fields: &Map<String, Value>, later: bool) {
        if let Some(guard) = self.interp_handle.enter() {
            let fields = json::to_dict(fields);
            self.my_call(guard.interp(), &[Obj::new("PutInfo"), fields, Obj::word(later)]);
        }
    }

    fn my_call(&self, interp: Interp<'_>, words: &[Obj]) {
        // A trace may have destroyed the object, and its variables with it.
        if self.gone.get() {
            return;
        }
        self.last_write.set(Some(mailbox::turn()));
        let mut call = vec![self.my.clone()];
        call.extend_from_slice(words);
        // A trace of the program that throws is reported and harms nothing.
        interp.aside(|| {
            if let Err(failure) = interp.call(&mut call) {
                interp.background(&failure);
            }
        });
    }

    /// Writes a variable. Tcl fires no trace for a write that is made inside a trace on the same
    /// variable, so such a value is written at once, for all to see, and once more when that trace
    /// has returned, for the traces to see.
    fn put(&self, variable: &'static str, value: Obj) {
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let name = Obj::new(variable);
        let write = |value| {
            self.my_call(interp, &[Obj::new("PutVariable"), name.clone(), value]);
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
}
