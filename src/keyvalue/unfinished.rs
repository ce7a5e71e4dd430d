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
        let weak = Rc::downgrade(&data);
        drop(data);
        js.wait(interp, pending, move |interp, outcome| {
            outcome?;
            let Some(data) = weak.upgrade() else {
                return Err(Error::invalid("The object was destroyed").into());
            };
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
