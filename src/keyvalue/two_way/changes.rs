//! What the program does to the array of a binding.

use super::elements::Elements;
use super::form::{self, Value};
use super::key::{Change, Loss};
use super::object::Binding;
use crate::bucket::names::not_found;
use crate::error::Error;
use crate::tcl::trace::Traced;
use crate::tcl::{Interp, Result};

impl Binding {
    /// The program has set an element: the change goes to the table.
    fn accept(&self, interp: Interp<'_>, element: &str, value: Value) -> Result<()> {
        if let Some(error) = self.lost_error() {
            return Err(error.into());
        }
        let key = form::key_in(&self.kv, element)?;
        let exists = self.table.borrow().get(&key).is_some_and(|state| state.revision() > 0);
        form::check_name(element, &key, exists)?;
        if !form::matches(&self.settings.patterns, &key) {
            let text = format!("Key {element} is outside of the patterns of the binding");
            return Err(Error::invalid(text).into());
        }
        self.check_size(&key, &value)?;
        self.table.borrow_mut().change(&key, Some(value));
        self.elements.keep(interp, element);
        self.touched.borrow_mut().push(element.to_owned());
        self.schedule();
        Ok(())
    }

    /// An element has another value than was heard of.
    pub fn take_in(&self, interp: Interp<'_>, element: &str) {
        let Some(value) = self.elements.get(interp, element) else { return };
        if let Err(failure) = self.accept(interp, element, value) {
            interp.background(&failure);
            self.restore(interp, element);
        }
    }

    /// Why nothing is written any more, if the bucket has gone.
    fn lost_error(&self) -> Option<Error> {
        self.lost.get().then(|| not_found(&self.kv.bucket.name))
    }

    fn refuse_unset(&self, key: &str, error: Error) {
        let change = Change { value: None, number: 0 };
        let (theirs, revision) = match self.table.borrow().get(key) {
            Some(state) => (state.bucket().cloned(), state.revision()),
            None => (None, 0),
        };
        self.table.borrow_mut().forget(key);
        self.reports.lost(&self.kv, key, &Loss { change, theirs, revision, error });
    }

    /// What the element shows, as far as it is known here.
    fn shown(&self, interp: Interp<'_>, element: &str) -> Option<Value> {
        let key = interp.aside(|| form::key_in(&self.kv, element).ok())?;
        self.table.borrow().get(&key)?.shown().cloned()
    }

    fn restore(&self, interp: Interp<'_>, element: &str) {
        let shown = self.shown(interp, element);
        self.elements.restore(interp, element, shown.as_ref());
    }

    /// Traces that come behind ours may have changed what was set.
    pub fn look_again(&self, interp: Interp<'_>) {
        for element in self.touched.take() {
            let now = self.elements.get(interp, &element);
            if let (Some(shown), Some(now)) = (self.shown(interp, &element), now)
                && shown != now
            {
                self.take_in(interp, &element);
            }
        }
    }

    /// Traces end, changes that were made go on to the bucket.
    pub fn end_array(&self, interp: Interp<'_>) {
        self.look_again(interp);
        self.elements.end(interp);
    }
}

impl Traced for Binding {
    fn written(&self, interp: Interp<'_>, element: &str) -> Result<()> {
        if self.elements.is_gone() || self.elements.is_own(element, true) {
            return Ok(());
        }
        let Some(value) = self.elements.get(interp, element) else { return Ok(()) };
        if self.elements.is_put_back(element, &value) {
            self.elements.leave(element, &value);
            return Ok(());
        }
        if Elements::any_shows() && self.shown(interp, element).is_some_and(|shown| shown == value)
        {
            // What another binding shows has come from here, round about or not.
            return Ok(());
        }
        if let Some((heard, before)) = self.heard.take()
            && heard == element
            && before.0.is(&value.0)
        {
            return Ok(());
        }
        if let Err(failure) = self.accept(interp, element, value.clone()) {
            self.restore(interp, element);
            return Err(failure);
        }
        self.heard.replace(Some((element.to_owned(), value)));
        Ok(())
    }

    fn unset(&self, interp: Interp<'_>, element: &str) {
        if self.elements.is_gone() || self.elements.is_own(element, false) {
            return;
        }
        self.heard.take();
        if self.elements.has(interp, element) {
            // A trace before ours has made it again.
            return self.take_in(interp, element);
        }
        self.elements.forget(element);
        let Ok(key) = interp.aside(|| form::key_in(&self.kv, element)) else { return };
        let shown = self.table.borrow().get(&key).is_some_and(|state| state.shown().is_some());
        if !shown {
            return;
        }
        if let Some(error) = self.lost_error() {
            // Nothing that happens in an unset can make that fail.
            return self.refuse_unset(&key, error);
        }
        self.table.borrow_mut().change(&key, None);
        self.schedule();
    }

    fn array_unset(&self, interp: Interp<'_>) {
        self.elements.end(interp);
        self.schedule();
    }
}
