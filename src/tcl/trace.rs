//! Traces on an array and on its elements.
//!
//! A trace on the array sees what is done to its elements by their names. One that is reached by another
//! name (`upvar 0 arr(k) name`) is seen by a trace of its own only: so each element that matters gets
//! one. Both are heard where both apply.

use super::boundary::reported;
use super::obj::Obj;
use super::{Failure, Fault, Interp, Result, stubs};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::rc::{Rc, Weak};

/// Hears what is done to an array.
pub trait Traced {
    /// An element was set, and has its new value. An error fails the command that has set it; the
    /// message becomes `can't set "arr(k)": …`.
    fn written(&self, interp: Interp<'_>, element: &str) -> Result<()>;
    /// An element was removed.
    fn unset(&self, interp: Interp<'_>, element: &str);
    /// The array was removed, and with it all traces.
    fn array_unset(&self, interp: Interp<'_>);
}

const FLAGS: c_int = stubs::TRACE_WRITES | stubs::TRACE_UNSETS | stubs::TRACE_RESULT_OBJECT;

/// The traces of one array. Dropped, they are heard no more; [`ArrayTrace::end`] also takes them off.
pub struct ArrayTrace {
    array: CString,
    marks: Rc<Marks>,
}

struct Marks {
    traced: Weak<dyn Traced>,
    whole: RefCell<Option<NonNull<Mark>>>,
    elements: RefCell<HashMap<Rc<str>, NonNull<Mark>>>,
}

/// What Tcl has of a trace: made when that is set, and freed when Tcl or [`ArrayTrace::end`] removes it.
struct Mark {
    marks: Rc<Marks>,
    /// None for the whole array.
    element: Option<Rc<str>>,
}

impl ArrayTrace {
    /// Sets a trace on the array of this absolute name; one that does not exist is made by that.
    pub fn begin(interp: Interp<'_>, array: &Obj, traced: Weak<dyn Traced>) -> Result<ArrayTrace> {
        let marks =
            Rc::new(Marks { traced, whole: RefCell::new(None), elements: RefCell::default() });
        let this = ArrayTrace { array: name(array), marks };
        match this.set(interp, None) {
            Some(mark) => *this.marks.whole.borrow_mut() = Some(mark),
            None => return Err(Failure::Raised),
        }
        Ok(this)
    }

    /// Sets a trace on an element that exists, unless it has one.
    pub fn add(&self, interp: Interp<'_>, element: &str) {
        if self.marks.whole.borrow().is_none() || self.marks.elements.borrow().contains_key(element)
        {
            return;
        }
        let element: Rc<str> = element.into();
        if let Some(mark) = self.set(interp, Some(element.clone())) {
            self.marks.elements.borrow_mut().insert(element, mark);
        }
    }

    fn set(&self, interp: Interp<'_>, element: Option<Rc<str>>) -> Option<NonNull<Mark>> {
        let part = element.as_deref().map(|element| name(&Obj::new(element)));
        let mark = Box::into_raw(Box::new(Mark { marks: self.marks.clone(), element }));
        // SAFETY: alive; the names end with NUL and are copied; the mark lives until the trace goes.
        let code = unsafe {
            stubs::trace_var2(
                interp.raw(),
                self.array.as_ptr(),
                part.as_ref().map_or(ptr::null(), |part| part.as_ptr()),
                FLAGS | stubs::GLOBAL_ONLY | stubs::LEAVE_ERR_MSG,
                heard,
                mark.cast(),
            )
        };
        if code != stubs::OK {
            // SAFETY: nobody else has it.
            drop(unsafe { Box::from_raw(mark) });
            return None;
        }
        NonNull::new(mark)
    }

    /// Whether the variable of this absolute name is the array.
    pub fn is_on(&self, interp: Interp<'_>, array: &Obj) -> bool {
        let Some(mark) = *self.marks.whole.borrow() else { return false };
        is_set(interp, &name(array), ptr::null(), mark)
    }

    /// Takes all traces off.
    pub fn end(&self, interp: Interp<'_>) {
        let elements = self.marks.elements.take();
        let whole = self.marks.whole.take();
        for (element, mark) in elements {
            self.remove(interp, Some(&name(&Obj::new(&element))), mark);
        }
        if let Some(mark) = whole {
            self.remove(interp, None, mark);
        }
    }

    fn remove(&self, interp: Interp<'_>, part: Option<&CString>, mark: NonNull<Mark>) {
        let part = part.map_or(ptr::null(), |part| part.as_ptr());
        let (array, data): (_, *mut c_void) = (self.array.as_ptr(), mark.as_ptr().cast());
        if !is_set(interp, &self.array, part, mark) {
            return;
        }
        // SAFETY: alive; the names end with NUL. The mark is freed only if it is found at the variable, so
        // that its trace is removed here; a call of it that is under way does not look at it any more.
        // Where the variable is being removed, or is not to be reached by its name any more, Tcl has it
        // still, and calls it once more, for the last time.
        unsafe {
            let flags = FLAGS | stubs::GLOBAL_ONLY;
            stubs::untrace_var2(interp.raw(), array, part, flags, heard, data);
            drop(Box::from_raw(mark.as_ptr()));
        }
    }
}

/// Whether the variable has the trace of this mark; `part` is null or ends with NUL.
fn is_set(interp: Interp<'_>, array: &CStr, part: *const c_char, mark: NonNull<Mark>) -> bool {
    let mut found = ptr::null_mut();
    loop {
        let (array, flags) = (array.as_ptr(), stubs::GLOBAL_ONLY);
        // SAFETY: alive; the names end with NUL; what was found is only compared.
        found = unsafe { stubs::var_trace_info2(interp.raw(), array, part, flags, heard, found) };
        if found.is_null() || found == mark.as_ptr().cast() {
            return !found.is_null();
        }
    }
}

fn name(obj: &Obj) -> CString {
    // Tcl's internal form has no NUL inside.
    CString::new(obj.tcl_bytes()).unwrap_or_default()
}

unsafe extern "C" fn heard(
    data: *mut c_void,
    raw: *mut stubs::RawInterp,
    _array: *const c_char,
    element: *const c_char,
    flags: c_int,
) -> *mut c_char {
    // SAFETY: the mark is there as long as the trace; what is taken from it is our own.
    let (marks, mut about) = unsafe {
        let mark = &*data.cast::<Mark>();
        (mark.marks.clone(), mark.element.clone())
    };
    let whole = about.is_none();
    let mut unnamed = false;
    if whole && !element.is_null() {
        // SAFETY: a name that ends with NUL, in Tcl's internal form.
        let bytes = unsafe { CStr::from_ptr(element) }.to_bytes();
        let text = super::text::to_utf8(bytes);
        // A lone surrogate has no UTF-8.
        unnamed = text.as_bytes() != bytes && Obj::new(&text).tcl_bytes() != bytes;
        about = Some(text.as_ref().into());
    }
    if flags & stubs::TRACE_DESTROYED != 0 {
        match (&about, whole) {
            (Some(element), false) => {
                let mut elements = marks.elements.borrow_mut();
                // A trace before ours may have made the element again.
                if elements.get(element).is_some_and(|mark| mark.as_ptr().cast() == data) {
                    elements.remove(element);
                }
            }
            _ => drop(marks.whole.take()),
        }
        // SAFETY: Tcl has removed the trace and does not call it again.
        drop(unsafe { Box::from_raw(data.cast::<Mark>()) });
    }
    // SAFETY: Tcl passes the live interpreter that the variable is in.
    let interp = unsafe { Interp::from_raw(raw) };
    let Some(traced) = marks.traced.upgrade().filter(|_| !interp.deleted()) else {
        return ptr::null_mut();
    };
    let failed = reported(|| match about {
        Some(_) if unnamed && flags & stubs::TRACE_UNSETS != 0 => None,
        Some(_) if unnamed => Some(Fault::Argument.failure("Invalid name of an element")),
        Some(element) if flags & stubs::TRACE_UNSETS != 0 => {
            traced.unset(interp, &element);
            None
        }
        Some(element) => traced.written(interp, &element).err(),
        None => {
            traced.array_unset(interp);
            None
        }
    });
    match failed.flatten() {
        None => ptr::null_mut(),
        Some(failure) => {
            if let Failure::Error(error) = &failure {
                interp.raise(error);
            }
            // Tcl takes the reference.
            let text = std::mem::ManuallyDrop::new(interp.result());
            text.raw().cast()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcl::Error;
    use crate::tcl::testing::interp;

    #[derive(Default)]
    struct Log(RefCell<Vec<String>>);

    impl Traced for Log {
        fn written(&self, _: Interp<'_>, element: &str) -> Result<()> {
            self.0.borrow_mut().push(format!("w {element}"));
            match element {
                "bad" => Err(Failure::Error(Error {
                    message: "no".into(),
                    code: vec!["A".into(), "B".into()],
                    hint: None,
                })),
                "worse" => Err(Fault::Argument.failure("never")),
                _ => Ok(()),
            }
        }
        fn unset(&self, _: Interp<'_>, element: &str) {
            self.0.borrow_mut().push(format!("u {element}"));
        }
        fn array_unset(&self, _: Interp<'_>) {
            self.0.borrow_mut().push("gone".into());
        }
    }

    fn begin(interp: Interp<'_>) -> (Rc<Log>, ArrayTrace) {
        let log = Rc::new(Log::default());
        let traced: Rc<dyn Traced> = log.clone();
        let trace = ArrayTrace::begin(interp, &Obj::new("::arr"), Rc::downgrade(&traced));
        (log, trace.expect("a trace"))
    }

    #[test]
    fn what_is_heard() {
        interp(|interp| {
            let (log, trace) = begin(interp);
            interp.eval("set arr(a) 1; incr arr(a); upvar 0 arr(a) other").expect("fine");
            trace.add(interp, "a");
            trace.add(interp, "a");
            interp
                .eval("set other 5; unset arr(a); set arr(b) 1; unset arr; set arr(c) 1")
                .expect("fine");
            let heard = ["w a", "w a", "w a", "u a", "u a", "w b", "gone"];
            assert_eq!(*log.0.borrow(), heard);
            trace.add(interp, "c");
            interp.eval("set arr(c) 2").expect("fine");
            trace.end(interp);
            assert_eq!(log.0.borrow().len(), heard.len());
        });
    }

    #[test]
    fn an_error_is_that_of_the_command() {
        interp(|interp| {
            let (_log, trace) = begin(interp);
            interp
                .eval("set code [catch {set arr(bad) 1} text options]; set all [list $code $text [dict get $options -errorcode]]")
                .expect("fine");
            assert_eq!(
                interp.result().text(),
                "1 {can't set \"arr(bad)\": no} {TCL WRITE VARNAME}"
            );
            assert!(interp.eval("set arr(worse) 1").is_err());
            trace.end(interp);
            interp.eval("set arr(bad) 2; set arr(worse) 3").expect("no trace");
        });
    }

    #[test]
    fn taken_off_in_the_middle() {
        struct Ends(RefCell<Option<ArrayTrace>>);
        impl Traced for Ends {
            fn written(&self, interp: Interp<'_>, element: &str) -> Result<()> {
                if let Some(trace) = self.0.borrow_mut().take() {
                    trace.add(interp, element);
                    trace.end(interp);
                }
                Ok(())
            }
            fn unset(&self, _: Interp<'_>, _: &str) {}
            fn array_unset(&self, _: Interp<'_>) {}
        }
        interp(|interp| {
            let ends = Rc::new(Ends(RefCell::new(None)));
            let traced: Rc<dyn Traced> = ends.clone();
            let trace = ArrayTrace::begin(interp, &Obj::new("::arr"), Rc::downgrade(&traced));
            *ends.0.borrow_mut() = trace.ok();
            interp.eval("set arr(a) 1; set arr(a) 2; unset arr").expect("fine");
            assert!(ends.0.borrow().is_none());
        });
    }
}
