//! What other modules keep for a connection, one of each type. It goes with the object.

use super::Connection;
use crate::tcl::InterpHandle;
use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

#[derive(Default)]
pub struct Parts(RefCell<HashMap<TypeId, Rc<dyn Any>>>);

impl Parts {
    /// The connection has gone. Parts may own it.
    pub fn clear(&self) {
        let parts = self.0.take();
        drop(parts);
    }
}

impl Connection {
    /// The part of this type; `make` makes it if it is asked for the first time.
    pub fn part<T: Any>(
        &self,
        make: impl FnOnce(Weak<Connection>, InterpHandle) -> Rc<T>,
    ) -> Rc<T> {
        let known = self.parts.0.borrow().get(&TypeId::of::<T>()).cloned();
        if let Some(part) = known.and_then(|part| part.downcast().ok()) {
            return part;
        }
        let part = make(self.weak.clone(), self.interp_handle.clone());
        self.parts.0.borrow_mut().insert(TypeId::of::<T>(), part.clone());
        part
    }
}
