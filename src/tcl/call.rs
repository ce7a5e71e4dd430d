//! Entries from Tcl: native commands and TclOO methods.

use super::boundary::caught;
use super::{Dict, Failure, Fault, Interp, List, Obj, Object, Result, leaving, stubs};
use std::any::Any;
use std::ffi::{CString, c_int, c_void};
use std::rc::Rc;

/// What a command leaves behind.
pub enum Return {
    Empty,
    Value(Obj),
    /// The command goes on when its coroutine is resumed (see `wait`).
    Suspended(c_int),
}

impl From<Obj> for Return {
    fn from(value: Obj) -> Return {
        Return::Value(value)
    }
}

impl From<List> for Return {
    fn from(list: List) -> Return {
        Return::Value(list.into())
    }
}

impl From<Dict> for Return {
    fn from(dict: Dict) -> Return {
        Return::Value(dict.into())
    }
}

/// One call from Tcl.
pub struct Call<'a> {
    pub interp: Interp<'a>,
    object: Option<Object<'a>>,
    words: &'a [Obj],
    skip: usize,
}

impl<'a> Call<'a> {
    /// The arguments behind the command or method name.
    pub fn args(&self) -> &'a [Obj] {
        self.words.get(self.skip..).unwrap_or_default()
    }

    pub fn arg(&self, index: usize) -> Result<&'a Obj> {
        self.args().get(index).ok_or_else(|| Fault::Internal.failure("an argument is missing"))
    }

    /// Tcl's own error for a wrong number of arguments.
    pub fn wrong_args(&self, usage: &str) -> Failure {
        let Ok(text) = CString::new(usage) else { return Failure::Raised };
        let usage = if usage.is_empty() { std::ptr::null() } else { text.as_ptr() };
        // SAFETY: the words are Tcl's own; the message ends with NUL or is null.
        unsafe {
            stubs::wrong_num_args(
                self.interp.raw(),
                self.skip.min(self.words.len()) as isize,
                self.words.as_ptr().cast(),
                usage,
            );
        }
        Failure::Raised
    }

    /// The object whose method runs.
    pub fn object(&self) -> Result<Object<'a>> {
        self.object.ok_or_else(|| Fault::Internal.failure("no object"))
    }

    /// The Rust data of the object. It is absent when the constructor of a subclass did not call
    /// `next`.
    pub fn data<T: Any>(&self) -> Result<Rc<T>> {
        self.object()?.data::<T>().ok_or_else(|| {
            let text = "The object was not initialised: its constructor must call next";
            Fault::Argument.failure(text)
        })
    }
}

pub type Body = fn(&Call<'_>) -> Result<Return>;

/// A native command or method: `usage` is its part of Tcl's `wrong # args` message.
pub struct Method {
    pub name: &'static str,
    pub usage: &'static str,
    pub min: usize,
    pub max: usize,
    pub body: Body,
}

/// `max` of a method with any number of arguments.
pub const ANY: usize = usize::MAX;

fn run<'a>(
    method: &Method,
    interp: Interp<'a>,
    object: Option<Object<'a>>,
    words: &'a [Obj],
    skip: usize,
) -> c_int {
    let call = Call { interp, object, words, skip };
    let count = call.args().len();
    if count < method.min || count > method.max {
        return conclude(interp, Err(call.wrong_args(method.usage)));
    }
    conclude(interp, caught(|| (method.body)(&call)).unwrap_or_else(|error| Err(error.into())))
}

/// Makes an outcome the interpreter's result.
pub(super) fn conclude(interp: Interp<'_>, outcome: Result<Return>) -> c_int {
    match outcome {
        Ok(Return::Empty) => {
            interp.reset_result();
            stubs::OK
        }
        Ok(Return::Value(value)) => {
            interp.set_result(&value);
            stubs::OK
        }
        Ok(Return::Suspended(code)) => code,
        Err(failure) => {
            leaving::stay_behind();
            if let Failure::Error(error) = failure {
                interp.raise(&error);
            }
            stubs::ERROR
        }
    }
}

unsafe extern "C" fn command_entry(
    data: *mut c_void,
    interp: *mut stubs::RawInterp,
    count: c_int,
    words: *const *mut stubs::RawObj,
) -> c_int {
    // SAFETY: `data` is the static Method that `create` registered; Tcl passes a live
    // interpreter and `count` live words; `Obj` is a transparent pointer and only borrowed.
    unsafe {
        let method = &*data.cast::<Method>();
        let words = std::slice::from_raw_parts(words.cast::<Obj>(), count as usize);
        run(method, Interp::from_raw(interp), None, words, 1)
    }
}

/// Registers a command by its absolute name. It can wait in coroutines.
pub fn create(interp: Interp<'_>, command: &'static Method) -> Result<()> {
    let name =
        CString::new(command.name).map_err(|_| Fault::Internal.failure("bad command name"))?;
    let data = std::ptr::from_ref(command).cast_mut().cast();
    // SAFETY: alive; the data is static; entries have the right type. Tcl calls the second
    // function when it runs the command without recursion, and the first one never otherwise.
    unsafe {
        stubs::nr_create_command(
            interp.raw(),
            name.as_ptr(),
            command_entry,
            command_entry,
            data,
            None,
        );
    }
    Ok(())
}

unsafe extern "C" fn method_entry(
    data: *mut c_void,
    interp: *mut stubs::RawInterp,
    context: *mut stubs::ObjectContext,
    count: c_int,
    words: *const *mut stubs::RawObj,
) -> c_int {
    // SAFETY: as in command_entry; the context is live during the call.
    unsafe {
        let method = &*data.cast::<Method>();
        let words = std::slice::from_raw_parts(words.cast::<Obj>(), count as usize);
        let skip = stubs::object_context_skipped_args(context);
        let object = Object::from_raw(stubs::object_context_object(context));
        run(method, Interp::from_raw(interp), object, words, skip)
    }
}

pub(super) static METHOD_TYPE: stubs::MethodType = stubs::MethodType {
    version: 1,
    name: c"native method".as_ptr(),
    call: method_entry,
    delete: None,
    clone: None,
};
