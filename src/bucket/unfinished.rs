//! An object whose creation is not complete.

use crate::bridge::Pending;
use crate::error::{self, Error};
use crate::jetstream::context::JetStream;
use crate::tcl::{Interp, InterpHandle, Obj, ObjectHandle, Result, Return};
use std::rc::Rc;

/// Destroys the object if nobody finishes it.
pub struct Unfinished {
    interp_handle: InterpHandle,
    object: Option<ObjectHandle>,
}

impl Unfinished {
    pub fn new(interp: Interp<'_>, object: &ObjectHandle) -> Unfinished {
        Unfinished { interp_handle: interp.handle(), object: Some(object.clone()) }
    }

    /// Waits for what the object begins with. Unless `begin` refuses, the creation is complete then: returns the
    /// object's command.
    pub fn wait<T: 'static>(
        self,
        interp: Interp<'_>,
        js: &Rc<JetStream>,
        pending: Pending<()>,
        data: Rc<T>,
        begin: impl FnOnce(&T) -> error::Result<()> + 'static,
    ) -> Result<Return> {
        // Nothing holds it during the wait: destroyed meanwhile, it ends that.
        let (weak, this) = (Rc::downgrade(&data), js.clone());
        drop(data);
        js.wait(interp, pending, move |interp, outcome| {
            let Some(data) = weak.upgrade() else {
                return Err(gone(&this, outcome).into());
            };
            outcome?;
            begin(&data)?;
            let object = self.object.as_ref();
            let command = object.map_or_else(Obj::empty, |object| object.command(interp));
            self.finish();
            Ok(command.into())
        })
    }

    /// The creation is complete: the object stays.
    pub fn finish(mut self) {
        self.object = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(object) = self.object.take()
            && let Some(guard) = self.interp_handle.enter()
        {
            object.destroy(guard.interp());
        }
    }
}

/// The error of the command that makes an object, if that is gone by now: the program has destroyed it,
/// unless all went with the connection. What its own end did to what was asked says nothing.
pub fn gone<T>(js: &JetStream, outcome: error::Result<T>) -> Error {
    match js.connection.link() {
        Err(_) => outcome.err().unwrap_or_else(Error::connection_closed),
        Ok(_) => Error::invalid("The object was destroyed"),
    }
}
