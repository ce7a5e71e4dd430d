//! The array of a binding, as Tcl has it.

use super::form::Value;
use crate::error::Error;
use crate::tcl::trace::{ArrayTrace, Traced};
use crate::tcl::{Failure, Interp, Obj, Result};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Weak;

pub struct Elements {
    /// The absolute name by which it is reached, and the one that the program has given.
    array: Obj,
    pub name: String,
    trace: OnceCell<ArrayTrace>,
    /// What is written by us just now is no change of the program.
    writing: RefCell<Vec<Own>>,
    going: RefCell<Vec<Going>>,
    /// What was there before, as far as the bucket has not taken its place.
    before: RefCell<HashMap<String, Obj>>,
    gone: Cell<bool>,
}

fn not_an_array(name: &str) -> Failure {
    Error::invalid(format!("{name} is a variable but not an array")).into()
}

thread_local! {
    /// How many elements are being written by bindings just now.
    static SHOWING: Cell<usize> = const { Cell::new(0) };
}

#[derive(PartialEq)]
struct Own {
    element: String,
    sets: bool,
}

/// An element that goes because the bucket does not have it any more.
struct Going {
    element: String,
    value: Value,
}

impl Elements {
    /// Makes `array` another name of the variable that `name` is for the caller.
    pub fn link(interp: Interp<'_>, name: &Obj, array: &str) -> Result<Elements> {
        if let Err(failure) = interp.link_var(name, array) {
            let code = interp.raised_code();
            if code.is_some_and(|code| code.tcl_bytes() == b"TCL UPVAR INVERTED") {
                // Tcl's text is about how it is done here; its code stays.
                interp.set_result(&Obj::new("the array must not be a local variable"));
            }
            return Err(failure);
        }
        let array = Obj::new(array);
        if interp.get_var(&array, None).is_some() {
            return Err(not_an_array(&name.text()));
        }
        Ok(Elements {
            array,
            name: name.string(),
            trace: OnceCell::new(),
            writing: RefCell::default(),
            going: RefCell::default(),
            before: RefCell::default(),
            gone: Cell::new(false),
        })
    }

    /// Stands for an array that there is none of.
    pub fn none(name: &str) -> Elements {
        Elements {
            array: Obj::new(name),
            name: String::new(),
            trace: OnceCell::new(),
            writing: RefCell::default(),
            going: RefCell::default(),
            before: RefCell::default(),
            gone: Cell::new(true),
        }
    }

    /// From now on what the program does is heard of.
    pub fn begin(&self, interp: Interp<'_>, traced: Weak<dyn Traced>) -> Result<()> {
        // It may have become something else meanwhile. From now on it is an array, though it may be empty.
        let mut words = [Obj::new("::array"), Obj::new("set"), self.array.clone(), Obj::empty()];
        if interp.aside(|| interp.call(&mut words).is_err()) {
            return Err(not_an_array(&self.name));
        }
        let mut before = HashMap::new();
        for element in interp.array_names(&self.array) {
            if let Some(value) = interp.get_var(&self.array, Some(&Obj::new(&element))) {
                before.insert(element, value);
            }
        }
        self.before.replace(before);
        let _ = self.trace.set(ArrayTrace::begin(interp, &self.array, traced)?);
        Ok(())
    }

    /// Hears and writes nothing more.
    pub fn end(&self, interp: Interp<'_>) {
        if !self.gone.replace(true)
            && let Some(trace) = self.trace.get()
        {
            trace.end(interp);
        }
    }

    pub fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// Whether a binding writes an element just now, this one or another.
    pub fn any_shows() -> bool {
        SHOWING.get() > 0
    }

    /// Whether both are the same array, of which this one hears.
    pub fn is_same(&self, interp: Interp<'_>, other: &Elements) -> bool {
        !self.gone.get() && self.trace.get().is_some_and(|trace| trace.is_on(interp, &other.array))
    }

    /// Whether a write that is heard of is one of ours.
    pub fn is_own(&self, element: &str, sets: bool) -> bool {
        self.writing.borrow().iter().any(|own| own.sets == sets && own.element == element)
    }

    /// Whether the element that is going gets the value again that it had: Tk does that with the variables
    /// of its widgets, and the bucket is not to get it back.
    pub fn is_put_back(&self, element: &str, value: &Value) -> bool {
        self.going.borrow().iter().any(|going| going.element == element && going.value == *value)
    }

    /// The element is the program's own: the bucket does not have it.
    pub fn leave(&self, element: &str, value: &Value) {
        self.before.borrow_mut().insert(element.to_owned(), value.0.clone());
    }

    pub fn get(&self, interp: Interp<'_>, element: &str) -> Option<Value> {
        interp.get_var(&self.array, Some(&Obj::new(element))).map(Value)
    }

    /// Whether the element is there. Traces of reading may make one, so it is not read.
    pub fn has(&self, interp: Interp<'_>, element: &str) -> bool {
        let words = [Obj::new("::array"), Obj::new("names"), self.array.clone()];
        let mut words = [&words[..], &[Obj::new("-exact"), Obj::new(element)]].concat();
        interp.aside(|| interp.call(&mut words)).is_ok_and(|names| !names.is_empty())
    }

    /// The element has come from the program, and will be heard of by whatever name it is called.
    pub fn keep(&self, interp: Interp<'_>, element: &str) {
        self.before.borrow_mut().remove(element);
        if let Some(trace) = self.trace.get().filter(|_| !self.gone.get()) {
            trace.add(interp, element);
        }
    }

    pub fn forget(&self, element: &str) {
        self.before.borrow_mut().remove(element);
    }

    /// Makes the element what it is in the bucket; what it has then, if traces of the program have made
    /// something else of it.
    pub fn show(&self, interp: Interp<'_>, element: &str, value: Option<&Value>) -> Option<Value> {
        if self.gone.get() {
            return None;
        }
        self.before.borrow_mut().remove(element);
        let now = match value {
            Some(_) => self.write(interp, element, value),
            None => {
                self.remove(interp, element);
                None
            }
        };
        if value.is_some()
            && !self.gone.get()
            && let Some(trace) = self.trace.get()
        {
            trace.add(interp, element);
        }
        now
    }

    fn remove(&self, interp: Interp<'_>, element: &str) {
        let Some(value) = self.get(interp, element) else { return };
        self.going.borrow_mut().push(Going { element: element.to_owned(), value });
        self.write(interp, element, None);
        // What has begun in between has ended.
        self.going.borrow_mut().pop();
        if self.before.borrow().contains_key(element)
            && let Some(trace) = self.trace.get().filter(|_| !self.gone.get())
        {
            // It was put back. The traces that it had have gone by now.
            trace.add(interp, element);
        }
    }

    fn write(&self, interp: Interp<'_>, element: &str, value: Option<&Value>) -> Option<Value> {
        let own = || Own { element: element.to_owned(), sets: value.is_some() };
        self.writing.borrow_mut().push(own());
        SHOWING.set(SHOWING.get() + 1);
        let name = Obj::new(element);
        let now = match value {
            None => {
                interp.unset_element(&self.array, &name);
                None
            }
            Some(value) => match interp.put_element(&self.array, &name, &value.0) {
                Ok(now) => Some(Value(now)),
                Err(failure) => {
                    // A trace of the user threw.
                    interp.background(&failure);
                    None
                }
            },
        };
        SHOWING.set(SHOWING.get() - 1);
        let mut writing = self.writing.borrow_mut();
        if let Some(at) = writing.iter().rposition(|other| *other == own()) {
            writing.remove(at);
        }
        now
    }

    /// Makes the element again what it was before the program has set it; Tcl calls no trace for that.
    pub fn restore(&self, interp: Interp<'_>, element: &str, shown: Option<&Value>) {
        let before = self.before.borrow().get(element).cloned().map(Value);
        interp.aside(|| self.write(interp, element, shown.or(before.as_ref())));
    }
}
