//! An object whose creation is not complete.

use crate::tcl::{Interp, InterpHandle, ObjectHandle};

/// Destroys the object if nobody finishes it.
pub struct Unfinished {
    interp_handle: InterpHandle,
    object: Option<ObjectHandle>,
}

impl Unfinished {
    pub fn new(interp: Interp<'_>, object: &ObjectHandle) -> Unfinished {
        Unfinished { interp_handle: interp.handle(), object: Some(object.clone()) }
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
