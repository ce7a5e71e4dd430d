//! An array is not bound to the same bucket twice: each binding would take for a change of the program what
//! the other one shows, and write again what others have replaced meanwhile.

use super::object::Binding;
use crate::error::Error;
use crate::tcl::{Interp, Result};
use std::cell::RefCell;
use std::rc::{Rc, Weak};

thread_local! {
    static BINDINGS: RefCell<Vec<Weak<Binding>>> = const { RefCell::new(Vec::new()) };
}

/// Refuses one whose array has another binding to its bucket over the same connection, and remembers it.
pub fn check(interp: Interp<'_>, binding: &Rc<Binding>) -> Result<()> {
    let others: Vec<Rc<Binding>> = BINDINGS.with_borrow_mut(|all| {
        all.retain(|one| one.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).collect()
    });
    let same = |other: &Rc<Binding>| {
        Rc::ptr_eq(&other.kv.js.connection, &binding.kv.js.connection)
            && other.kv.js.prefix == binding.kv.js.prefix
            && other.kv.bucket.stream == binding.kv.bucket.stream
            && other.elements.is_same(interp, &binding.elements)
    };
    if others.iter().any(same) {
        let (array, bucket) = (&binding.elements.name, &binding.kv.bucket.name);
        let text = format!("The array {array} is bound to the bucket {bucket} already");
        return Err(Error::invalid(text).into());
    }
    BINDINGS.with_borrow_mut(|all| all.push(Rc::downgrade(binding)));
    Ok(())
}
