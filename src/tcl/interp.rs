//! `Interp`: permission to talk to an interpreter, on its thread.

use super::boundary::reported;
use super::obj::Obj;
use super::{Error, Failure, Fault, Result, stubs};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::rc::Rc;

/// Proof that we are on the interpreter's thread and that it is alive for `'a`: Tcl is calling us,
/// or [`InterpHandle::enter`] holds it. Neither `Send` nor storable.
#[derive(Clone, Copy)]
pub struct Interp<'a> {
    raw: *mut stubs::RawInterp,
    _life: PhantomData<&'a ()>,
}

impl<'a> Interp<'a> {
    /// # Safety
    /// `raw` is a live interpreter of this thread and stays so for `'a`.
    pub(super) unsafe fn from_raw(raw: *mut stubs::RawInterp) -> Interp<'a> {
        Interp { raw, _life: PhantomData }
    }

    pub(super) fn raw(self) -> *mut stubs::RawInterp {
        self.raw
    }

    pub fn deleted(self) -> bool {
        // SAFETY: alive (its memory is), by the type's promise.
        unsafe { stubs::interp_deleted(self.raw) != 0 }
    }

    pub fn set_result(self, value: &Obj) {
        // SAFETY: both live.
        unsafe { stubs::set_obj_result(self.raw, value.raw()) };
    }

    pub fn result(self) -> Obj {
        // SAFETY: the result of a live interpreter is never null.
        unsafe { Obj::from_raw(stubs::get_obj_result(self.raw)) }.unwrap_or_else(Obj::empty)
    }

    pub fn reset_result(self) {
        // SAFETY: alive.
        unsafe { stubs::reset_result(self.raw) };
    }

    /// Makes `error` the interpreter's result and error code.
    pub fn raise(self, error: &Error) {
        if error.hint.is_some() {
            // Nor is there anything left of the `errorInfo` of an earlier one.
            self.reset_result();
        }
        self.set_result(&Obj::new(&error.message));
        // SAFETY: both live; Tcl takes its own reference of the code.
        unsafe { stubs::set_obj_error_code(self.raw, error_code(&error.code).raw()) };
        if let Some(hint) = &error.hint {
            let line = Obj::new(&format!("\n    ({hint})"));
            // SAFETY: both live; Tcl copies the text.
            unsafe { stubs::append_obj_to_error_info(self.raw, line.raw()) };
        }
    }

    /// The error code of the failure that the interpreter holds.
    pub fn raised_code(self) -> Option<Obj> {
        // SAFETY: alive; the options of a live interpreter are a value.
        let options = unsafe { Obj::from_raw(stubs::get_return_options(self.raw, stubs::ERROR)) }?;
        options.dict_get_by(self, &Obj::new("-errorcode")).ok().flatten()
    }

    /// Evaluates a command at global level. Commands may change words in place that nobody else has.
    pub fn call(self, words: &mut [Obj]) -> Result<Obj> {
        // SAFETY: live values, one pointer per word.
        let code = unsafe {
            stubs::eval_objv(
                self.raw,
                words.len() as isize,
                words.as_mut_ptr().cast(),
                stubs::EVAL_GLOBAL,
            )
        };
        if code == stubs::OK { Ok(self.result()) } else { Err(Failure::Raised) }
    }

    /// Evaluates a command at global level from the event loop: its result is dropped and its
    /// error goes to the interpreter's background error handler. Whether there was none.
    pub fn call_back(self, words: &mut [Obj]) -> bool {
        // SAFETY: live values, one pointer per word; the interpreter is held by `self`.
        unsafe {
            let code = stubs::eval_objv(
                self.raw,
                words.len() as isize,
                words.as_mut_ptr().cast(),
                stubs::EVAL_GLOBAL,
            );
            if code != stubs::OK && !self.deleted() {
                stubs::background_exception(self.raw, code);
            }
            code == stubs::OK
        }
    }

    /// [`Interp::call_back`] for whoever is told what went wrong first: text and return options. What
    /// `failed` does not see to (it returns `false`) goes to the background error handler. It runs nothing
    /// of the program unless it sees to it.
    pub fn call_back_or(
        self,
        words: &mut [Obj],
        failed: impl FnOnce(Interp<'_>, Obj, Obj) -> bool,
    ) -> bool {
        // SAFETY: as in `call_back`; the options are a value of a live interpreter.
        unsafe {
            let code = stubs::eval_objv(
                self.raw,
                words.len() as isize,
                words.as_mut_ptr().cast(),
                stubs::EVAL_GLOBAL,
            );
            if code == stubs::OK {
                return true;
            }
            if self.deleted() {
                return false;
            }
            let text = self.result();
            let options = Obj::from_raw(stubs::get_return_options(self.raw, code));
            if !failed(self, text, options.unwrap_or_else(Obj::empty)) && !self.deleted() {
                stubs::background_exception(self.raw, code);
            }
            false
        }
    }

    /// Whether there is a command of this name.
    pub fn has_command(self, name: &Obj) -> bool {
        // SAFETY: alive; what comes back is only compared.
        !unsafe { stubs::get_command_from_obj(self.raw, name.raw()) }.is_null()
    }

    /// Evaluates a script at global level.
    pub fn eval(self, script: &str) -> Result<()> {
        // SAFETY: pointer and length of one slice.
        let code =
            unsafe { stubs::eval_ex(self.raw, script.as_ptr().cast(), script.len() as isize) };
        if code == stubs::OK { Ok(()) } else { Err(Failure::Raised) }
    }

    /// Reports a failure to the background error handler.
    pub fn background(self, failure: &Failure) {
        if self.deleted() {
            return;
        }
        if let Failure::Error(error) = failure {
            self.reset_result();
            self.raise(error);
        }
        // SAFETY: alive; the result holds the error.
        unsafe { stubs::background_exception(self.raw, stubs::ERROR) };
    }

    /// Runs `body` and puts result, error code and error info back as they were: for work that
    /// happens by the way, such as the traces of a variable we set.
    pub fn aside<R>(self, body: impl FnOnce() -> R) -> R {
        // SAFETY: alive; the state is restored exactly once.
        let state = unsafe { stubs::save_interp_state(self.raw, stubs::OK) };
        let value = body();
        // SAFETY: as above.
        unsafe { stubs::restore_interp_state(self.raw, state) };
        value
    }

    /// Sets a variable, or an element of an array, by a name that is absolute. `Raised` has Tcl's
    /// message (a trace threw, the name is a scalar …).
    pub fn set_var(self, name: &Obj, element: Option<&Obj>, value: &Obj) -> Result<()> {
        let element = element.map_or(ptr::null_mut(), Obj::raw);
        let flags = stubs::GLOBAL_ONLY | stubs::LEAVE_ERR_MSG;
        // SAFETY: all live.
        let set = unsafe { stubs::obj_set_var2(self.raw, name.raw(), element, value.raw(), flags) };
        if set.is_null() { Err(Failure::Raised) } else { Ok(()) }
    }

    /// Sets an element of an array by its absolute name, and returns what it has then: traces may have
    /// made something else of it. `Raised` as for [`Interp::set_var`].
    pub fn put_element(self, array: &Obj, element: &Obj, value: &Obj) -> Result<Obj> {
        let flags = stubs::GLOBAL_ONLY | stubs::LEAVE_ERR_MSG;
        // SAFETY: all live; what comes back is referenced at once.
        let now = unsafe {
            let set = stubs::obj_set_var2(self.raw, array.raw(), element.raw(), value.raw(), flags);
            Obj::from_raw(set)
        };
        now.ok_or(Failure::Raised)
    }

    pub fn get_var(self, name: &Obj, element: Option<&Obj>) -> Option<Obj> {
        let element = element.map_or(ptr::null_mut(), Obj::raw);
        // SAFETY: all live; a null result means that there is no such variable.
        unsafe {
            Obj::from_raw(stubs::obj_get_var2(self.raw, name.raw(), element, stubs::GLOBAL_ONLY))
        }
    }

    /// The names of an array's elements; none if it is no array.
    pub fn array_names(self, array: &Obj) -> Vec<String> {
        let mut words = [Obj::new("::array"), Obj::new("names"), array.clone()];
        let names = self.aside(|| self.call(&mut words).and_then(|names| names.elements(self)));
        names.unwrap_or_default().iter().map(Obj::string).collect()
    }

    /// Removes an element; one that is not there is no error.
    pub fn unset_element(self, array: &Obj, element: &Obj) {
        // Tcl_UnsetVar2 wants C strings, and Tcl's internal form has no NUL inside.
        let (Ok(array), Ok(element)) =
            (CString::new(array.tcl_bytes()), CString::new(element.tcl_bytes()))
        else {
            return;
        };
        // SAFETY: alive; both strings end with NUL.
        unsafe {
            stubs::unset_var2(self.raw, array.as_ptr(), element.as_ptr(), stubs::GLOBAL_ONLY)
        };
    }

    /// Links the variable that `name` means in the calling frame to the absolute name `local`;
    /// Tcl refuses variables of a procedure.
    pub fn link_var(self, name: &Obj, local: &str) -> Result<()> {
        let (Ok(name), Ok(local)) = (CString::new(name.tcl_bytes()), CString::new(local)) else {
            return Err(Fault::Argument.failure("Invalid variable name"));
        };
        // SAFETY: alive; all strings end with NUL; "0" is the frame that is current now.
        let code = unsafe {
            stubs::up_var2(
                self.raw,
                c"0".as_ptr(),
                name.as_ptr(),
                ptr::null(),
                local.as_ptr(),
                stubs::GLOBAL_ONLY,
            )
        };
        if code == stubs::OK { Ok(()) } else { Err(Failure::Raised) }
    }

    /// Writes a line to a channel by its Tcl name. A channel that is closed, bad or not for
    /// writing is no error: a log must not harm what it reports.
    pub fn write_line(self, channel: &str, line: &str) {
        let Ok(channel) = CString::new(channel) else { return };
        let mut mode = 0;
        let line = Obj::new(line);
        // SAFETY: alive; the channel is used at once; the flag is Tcl's.
        self.aside(|| unsafe {
            let channel = stubs::get_channel(self.raw, channel.as_ptr(), &raw mut mode);
            if !channel.is_null() && mode & stubs::WRITABLE != 0 {
                let bytes = line.tcl_bytes();
                stubs::write_chars(channel, bytes.as_ptr().cast(), bytes.len() as isize);
                stubs::flush(channel);
            }
        });
    }

    /// Whether a channel can be read and written; one that does not exist cannot.
    pub fn channel_mode(self, channel: &str) -> (bool, bool) {
        let found = CString::new(channel).ok().and_then(|name| self.find_channel(&name));
        let mode = found.map_or(0, |(_, mode)| mode);
        (mode & stubs::READABLE != 0, mode & stubs::WRITABLE != 0)
    }

    /// A channel, for this layer.
    pub(super) fn channel(self, name: &CStr) -> Option<*mut stubs::Channel> {
        self.find_channel(name).map(|(channel, _)| channel)
    }

    fn find_channel(self, name: &CStr) -> Option<(*mut stubs::Channel, c_int)> {
        let mut mode = 0;
        // SAFETY: alive; the channel itself is not used.
        let known =
            self.aside(|| unsafe { stubs::get_channel(self.raw, name.as_ptr(), &raw mut mode) });
        (!known.is_null()).then_some((known, mode))
    }

    /// The text and the words of the error code of a failure, which the interpreter may hold.
    pub fn told(self, failure: Failure) -> (String, Vec<String>) {
        match failure {
            Failure::Error(error) => {
                let code = error.code.into_iter().map(Cow::into_owned).collect();
                (error.message.into_owned(), code)
            }
            Failure::Raised => {
                let text = self.result().string();
                let code = self.raised_code().and_then(|code| code.elements(self).ok());
                (text, code.unwrap_or_default().iter().map(Obj::string).collect())
            }
        }
    }

    /// A handle that may be stored.
    pub fn handle(self) -> InterpHandle {
        InterpHandle::of(self)
    }
}

/// The name of an error of the system, and its text, as Tcl has them.
pub fn system_error(errno: i32) -> (String, String) {
    let text = |text: *const std::ffi::c_char| {
        // SAFETY: Tcl returns static strings, or those of the C library, which end with NUL.
        unsafe { std::ffi::CStr::from_ptr(text) }.to_string_lossy().into_owned()
    };
    // SAFETY: on a Tcl thread.
    unsafe {
        stubs::set_errno(errno);
        (text(stubs::errno_id()), text(stubs::errno_msg(errno)))
    }
}

/// An error code as a list.
pub fn error_code(words: &[Cow<'static, str>]) -> Obj {
    let words: Vec<Obj> = words.iter().map(|word| Obj::new(word)).collect();
    Obj::list(&words)
}

/// A stored interpreter. It does not keep the interpreter, or that could never be deleted: its
/// objects hold such handles. [`InterpHandle::enter`] does, for a while, if it is still there. Not `Send`.
#[derive(Clone)]
pub struct InterpHandle(Rc<KnownInterp>);

struct KnownInterp {
    /// Null once the interpreter has gone.
    raw: Cell<*mut stubs::RawInterp>,
    /// How many [`InterpGuard`]s there are; together they hold the interpreter once.
    guards: Cell<usize>,
}

thread_local!(static INTERPS: RefCell<HashMap<*mut stubs::RawInterp, InterpHandle>> = RefCell::default());

impl InterpHandle {
    fn of(interp: Interp<'_>) -> InterpHandle {
        INTERPS.with(|known| {
            let mut known = known.borrow_mut();
            let interp_handle = known.entry(interp.raw).or_insert_with(|| {
                // SAFETY: alive; called once, on this thread, before the memory goes.
                unsafe { stubs::call_when_deleted(interp.raw, forget, ptr::null_mut()) };
                InterpHandle(Rc::new(KnownInterp {
                    raw: Cell::new(interp.raw),
                    guards: Cell::new(0),
                }))
            });
            interp_handle.clone()
        })
    }

    /// Whether both are of one interpreter.
    pub fn same(&self, other: &InterpHandle) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Any interpreter of this thread that has a handle and is not being deleted.
    pub(super) fn of_this_thread() -> Option<InterpHandle> {
        let all: Vec<InterpHandle> = INTERPS
            .try_with(|known| known.try_borrow().ok().map(|all| all.values().cloned().collect()))
            .ok()??;
        all.into_iter().find(|handle| handle.enter().is_some())
    }

    /// Holds the interpreter, so that code which deletes it does not take it from under us.
    /// `None` once it is being deleted.
    pub fn enter(&self) -> Option<InterpGuard<'_>> {
        let raw = self.0.raw.get();
        if raw.is_null() {
            return None;
        }
        // SAFETY: not null, so its memory is there, and `InterpHandle` is not `Send`, so this is its thread.
        if unsafe { Interp::from_raw(raw) }.deleted() {
            return None;
        }
        let guards = self.0.guards.get();
        if guards == 0 {
            // SAFETY: alive; balanced by the release in `InterpGuard`.
            unsafe { stubs::preserve(raw.cast()) };
        }
        self.0.guards.set(guards + 1);
        Some(InterpGuard { interp: &self.0, raw })
    }
}

unsafe extern "C" fn forget(_data: *mut c_void, raw: *mut stubs::RawInterp) {
    reported(|| {
        let interp_handle = INTERPS.try_with(|known| known.try_borrow_mut().ok()?.remove(&raw));
        if let Ok(Some(interp_handle)) = interp_handle {
            interp_handle.0.raw.set(ptr::null_mut());
        }
    });
}

/// An interpreter that is held.
pub struct InterpGuard<'a> {
    interp: &'a KnownInterp,
    raw: *mut stubs::RawInterp,
}

impl InterpGuard<'_> {
    /// The interpreter, for as long as it is held.
    pub fn interp(&self) -> Interp<'_> {
        // SAFETY: held by `self`, on its thread: `InterpGuard` is not `Send`.
        unsafe { Interp::from_raw(self.raw) }
    }
}

impl Drop for InterpGuard<'_> {
    fn drop(&mut self) {
        let guards = self.interp.guards.get() - 1;
        self.interp.guards.set(guards);
        if guards == 0 {
            // SAFETY: balances the preserve in `InterpHandle::enter`, on the same thread. An interpreter
            // that was deleted meanwhile goes now, with all that is in it.
            unsafe { stubs::release(self.raw.cast()) };
        }
    }
}
