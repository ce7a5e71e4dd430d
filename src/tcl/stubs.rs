//! Tcl's C functions, reached through the stub tables of Tcl 8.6 and Tcl 9.
//!
//! One shared object serves both: no Tcl header, no libtcl at link time. Each function is declared
//! by its slot number; `stubs_tests` compares number, name and types of each with the real headers. Functions whose
//! signature differs between the versions (`int` became `Tcl_Size`, and so 64 bits) exist twice
//! and are chosen at run time in the wrappers at the end, because widening an argument or a
//! result by luck of the calling convention is undefined.
//!
//! # Safety
//! All functions here are the C functions: the caller keeps Tcl's rules (pointers of this
//! interpreter, on its thread, objects with a reference held). [`init`] has to have succeeded
//! before any of them is called; it is the first thing that an initialisation function does.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

macro_rules! opaque {
    ($($name:ident),*) => { $(#[repr(C)] pub struct $name { _opaque: [u8; 0] })* };
}
opaque!(Command, Object, Class, MethodToken, ObjectContext, InterpState, Channel);

/// The first fields of `Tcl_Interp`, which are the same in 8.6 and 9.
#[repr(C)]
pub struct RawInterp {
    _result: *mut c_char,
    _free_proc: *mut c_void,
    _error_line: c_int,
    stub_table: *const StubTable,
}

#[repr(C)]
struct StubTable {
    magic: c_int,
    hooks: *const c_void,
}

/// The fields of `Tcl_Obj` that lie at the same place in 8.6 and 9 on 64-bit machines.
/// The reference count is not among them: 32 bits there, 64 here.
#[repr(C)]
pub struct RawObj {
    _ref_count: u64,
    pub bytes: *mut c_char,
    _length: u64,
    pub type_ptr: *const c_void,
}

/// The first fields of `Tcl_Namespace`.
#[repr(C)]
pub struct Namespace {
    _name: *const c_char,
    pub full_name: *const c_char,
}

#[repr(C)]
pub struct Event {
    pub proc_: Option<unsafe extern "C" fn(*mut Event, c_int) -> c_int>,
    pub next: *mut Event,
}

#[repr(C)]
pub struct Time {
    pub sec: i64,
    pub usec: i64,
}

/// `Tcl_DictSearch`: 40 bytes at most in both versions; only Tcl looks inside.
#[repr(C)]
pub struct DictSearch {
    _space: [u64; 8],
}

pub type ObjCmdProc =
    unsafe extern "C" fn(*mut c_void, *mut RawInterp, c_int, *const *mut RawObj) -> c_int;
pub type MethodCallProc = unsafe extern "C" fn(
    *mut c_void,
    *mut RawInterp,
    *mut ObjectContext,
    c_int,
    *const *mut RawObj,
) -> c_int;
pub type CmdDeleteProc = unsafe extern "C" fn(*mut c_void);
pub type VarTraceProc = unsafe extern "C" fn(
    *mut c_void,
    *mut RawInterp,
    *const c_char,
    *const c_char,
    c_int,
) -> *mut c_char;
pub type ExitProc = unsafe extern "C" fn(*mut c_void);
pub type EventProc = unsafe extern "C" fn(*mut c_void, c_int);
pub type NrPostProc = unsafe extern "C" fn(*const *mut c_void, *mut RawInterp, c_int) -> c_int;
pub type InterpDeleteProc = unsafe extern "C" fn(*mut c_void, *mut RawInterp);
pub type CloneProc = unsafe extern "C" fn(*mut RawInterp, *mut c_void, *mut *mut c_void) -> c_int;

/// `Tcl_MethodType` of version 1, which both versions accept.
#[repr(C)]
pub struct MethodType {
    pub version: c_int,
    pub name: *const c_char,
    pub call: MethodCallProc,
    pub delete: Option<CmdDeleteProc>,
    pub clone: Option<CloneProc>,
}
// SAFETY: the structure is constant data; its pointers are to static strings and functions.
unsafe impl Sync for MethodType {}

#[repr(C)]
pub struct MetadataType {
    pub version: c_int,
    pub name: *const c_char,
    pub delete: CmdDeleteProc,
    pub clone: Option<CloneProc>,
}
// SAFETY: as for MethodType.
unsafe impl Sync for MetadataType {}

pub const OK: c_int = 0;
pub const ERROR: c_int = 1;
pub const GLOBAL_ONLY: c_int = 1;
pub const TRACE_WRITES: c_int = 0x20;
pub const TRACE_UNSETS: c_int = 0x40;
pub const TRACE_DESTROYED: c_int = 0x80;
pub const TRACE_RESULT_OBJECT: c_int = 0x10000;
pub const LEAVE_ERR_MSG: c_int = 0x200;
pub const EVAL_GLOBAL: c_int = 0x20000;
pub const READABLE: c_int = 2;
pub const WRITABLE: c_int = 4;
pub const DONT_WAIT: c_int = 2;
pub const ALL_EVENTS: c_int = !DONT_WAIT;
pub const FILE_EVENTS: c_int = 1 << 3;
/// Those of windows, files, timers and idle scripts.
pub const EVENT_KINDS: c_int = 0xf << 2;
pub const QUEUE_TAIL: c_int = 0;
pub const SERVICE_ALL: c_int = 1;

static TABLE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static OO_TABLE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static NINE: AtomicBool = AtomicBool::new(false);

const MAGIC_8: c_int = 0xFCA3_BACF_u32 as c_int;
const MAGIC_9: c_int = (0xFCA3_BACB_u32 + size_of::<*const ()>() as u32) as c_int;
/// Both tables begin with a magic number and one pointer.
const FIRST_SLOT: usize = 16;

/// Whether the process runs Tcl 9.
pub fn nine() -> bool {
    NINE.load(Ordering::Relaxed)
}

/// Finds the stub tables. `Err` leaves Tcl's message in the interpreter where Tcl could be called.
///
/// # Safety
/// `interp` is the live interpreter that Tcl passed to the initialisation function.
pub unsafe fn init(interp: *mut RawInterp) -> Result<(), ()> {
    // SAFETY: the layout of these fields is fixed for every Tcl since 8.1.
    let table = unsafe { (*interp).stub_table };
    if table.is_null() {
        return Err(());
    }
    // SAFETY: not null, and every stub table begins with its magic number.
    let nine = match unsafe { (*table).magic } {
        m if m == MAGIC_8 => false,
        m if m == MAGIC_9 => true,
        _ => return Err(()),
    };
    NINE.store(nine, Ordering::Relaxed);
    TABLE.store(table.cast_mut().cast(), Ordering::Release);
    let mut checked: *mut c_void = ptr::null_mut();
    let mut oo: *mut c_void = ptr::null_mut();
    // SAFETY: slot 1 is Tcl_PkgRequireEx since 8.1; both strings are static and end with NUL.
    unsafe {
        let out = (&raw mut checked).cast();
        if pkg_require_ex(interp, c"Tcl".as_ptr(), c"8.6-".as_ptr(), 0, out).is_null() {
            return Err(());
        }
        let out = (&raw mut oo).cast();
        if pkg_require_ex(interp, c"TclOO".as_ptr(), c"1.0".as_ptr(), 0, out).is_null()
            || oo.is_null()
        {
            return Err(());
        }
    }
    OO_TABLE.store(oo, Ordering::Release);
    let (sized, sized_oo) = if nine { (V9, V9_OO) } else { (V8, V8_OO) };
    let tables = [(&TABLE, SAME), (&TABLE, sized), (&OO_TABLE, OO), (&OO_TABLE, sized_oo)];
    for (table, list) in tables {
        for Slot { index, .. } in list {
            // A header may declare what a build of Tcl leaves empty, so the table itself decides.
            // SAFETY: the index lies within the table, as the headers have it.
            if unsafe { slot(table, *index) }.is_null() {
                return Err(());
            }
        }
    }
    Ok(())
}

#[inline(always)]
unsafe fn slot(table: &AtomicPtr<c_void>, index: usize) -> *const c_void {
    // SAFETY: the caller's index is one that the tests found in both headers; init was called.
    unsafe {
        *table.load(Ordering::Relaxed).byte_add(FIRST_SLOT).cast::<*const c_void>().add(index)
    }
}

/// Dropped only if a call into Tcl does not return, because a script under it has ended the thread
/// (`thread::exit`): the C library then unwinds the stack, and whatever catches that on the way, as
/// our boundaries do, makes it abort the process. Tcl has finished with the thread by then, so it
/// ends here and now.
struct Returns;

thread_local!(static FINISHED: Cell<bool> = const { Cell::new(false) });

/// Tcl has begun to end this thread.
pub fn finish_thread() {
    FINISHED.set(true);
}

impl Drop for Returns {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        if FINISHED.get() {
            // SAFETY: ends this thread only; nothing of it is used any more. Who joins it sees
            // that; its stack stays mapped.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        }
    }
}

/// A slot that is used, with what the tests hold against the headers.
pub struct Slot {
    index: usize,
    #[cfg(test)]
    pub name: &'static str,
    #[cfg(test)]
    pub signature: fn() -> &'static str,
}

#[cfg(test)]
impl Slot {
    pub fn index(&self) -> usize {
        self.index
    }
}

macro_rules! stubs {
    ($table:ident, $list:ident: $( $index:literal $name:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)? ; )*) => {
        $(
            #[inline(always)]
            pub unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
                let returns = Returns;
                // SAFETY: the slot holds a function of this type (checked by the tests).
                let result = unsafe {
                    let f: unsafe extern "C-unwind" fn($($ty),*) $(-> $ret)? =
                        std::mem::transmute(slot(&super::$table, $index));
                    f($($arg),*)
                };
                std::mem::forget(returns);
                result
            }
        )*
        pub const $list: &[Slot] = &[$(Slot {
            index: $index,
            #[cfg(test)]
            name: stringify!($name),
            #[cfg(test)]
            signature: std::any::type_name::<fn($($ty),*) $(-> $ret)?>,
        }),*];
    };
}

/// Functions that are the same in 8.6 and 9.
mod same {
    use super::*;

    stubs! { TABLE, SAME:
        0 pkg_provide_ex(interp: *mut RawInterp, name: *const c_char, version: *const c_char, data: *const c_void) -> c_int;
        1 pkg_require_ex(interp: *mut RawInterp, name: *const c_char, version: *const c_char, exact: c_int, data: *mut c_void) -> *const c_char;
        19 db_decr_ref_count(obj: *mut RawObj, file: *const c_char, line: c_int);
        20 db_incr_ref_count(obj: *mut RawObj, file: *const c_char, line: c_int);
        44 list_obj_append_element(interp: *mut RawInterp, list: *mut RawObj, obj: *mut RawObj) -> c_int;
        79 call_when_deleted(interp: *mut RawInterp, f: InterpDeleteProc, data: *mut c_void);
        80 cancel_idle_call(f: ExitProc, data: *mut c_void);
        90 create_close_handler(channel: *mut Channel, f: ExitProc, data: *mut c_void);
        92 create_event_source(setup: EventProc, check: EventProc, data: *mut c_void);
        93 create_exit_handler(f: ExitProc, data: *mut c_void);
        102 delete_close_handler(channel: *mut Channel, f: ExitProc, data: *mut c_void);
        104 delete_command_from_token(interp: *mut RawInterp, command: *mut Command) -> c_int;
        106 delete_event_source(setup: EventProc, check: EventProc, data: *mut c_void);
        115 do_one_event(flags: c_int) -> c_int;
        116 do_when_idle(f: ExitProc, data: *mut c_void);
        127 errno_id() -> *const c_char;
        128 errno_msg(errno: c_int) -> *const c_char;
        146 flush(channel: *mut Channel) -> c_int;
        151 get_channel(interp: *mut RawInterp, name: *const c_char, mode: *mut c_int) -> *mut Channel;
        166 get_obj_result(interp: *mut RawInterp) -> *mut RawObj;
        184 interp_deleted(interp: *mut RawInterp) -> c_int;
        201 preserve(data: *mut c_void);
        205 queue_event(event: *mut Event, position: c_int);
        216 release(data: *mut c_void);
        217 reset_result(interp: *mut RawInterp);
        221 service_all() -> c_int;
        227 set_errno(errno: c_int);
        229 set_max_block_time(time: *const Time);
        233 set_service_mode(mode: c_int) -> c_int;
        234 set_obj_error_code(interp: *mut RawInterp, code: *mut RawObj);
        235 set_obj_result(interp: *mut RawInterp, result: *mut RawObj);
        248 trace_var2(interp: *mut RawInterp, part1: *const c_char, part2: *const c_char, flags: c_int, f: VarTraceProc, data: *mut c_void) -> c_int;
        254 unset_var2(interp: *mut RawInterp, part1: *const c_char, part2: *const c_char, flags: c_int) -> c_int;
        256 untrace_var2(interp: *mut RawInterp, part1: *const c_char, part2: *const c_char, flags: c_int, f: VarTraceProc, data: *mut c_void);
        259 up_var2(interp: *mut RawInterp, frame: *const c_char, part1: *const c_char, part2: *const c_char, local: *const c_char, flags: c_int) -> c_int;
        262 var_trace_info2(interp: *mut RawInterp, part1: *const c_char, part2: *const c_char, flags: c_int, f: VarTraceProc, previous: *mut c_void) -> *mut c_void;
        288 create_thread_exit_handler(f: ExitProc, data: *mut c_void);
        300 get_current_thread() -> *mut c_void;
        195 obj_get_var2(interp: *mut RawInterp, part1: *mut RawObj, part2: *mut RawObj, flags: c_int) -> *mut RawObj;
        196 obj_set_var2(interp: *mut RawInterp, part1: *mut RawObj, part2: *mut RawObj, value: *mut RawObj, flags: c_int) -> *mut RawObj;
        318 thread_alert(thread: *mut c_void);
        487 get_wide_int_from_obj(interp: *mut RawInterp, obj: *mut RawObj, wide: *mut i64) -> c_int;
        488 new_wide_int_obj(value: i64) -> *mut RawObj;
        494 dict_obj_put(interp: *mut RawInterp, dict: *mut RawObj, key: *mut RawObj, value: *mut RawObj) -> c_int;
        495 dict_obj_get(interp: *mut RawInterp, dict: *mut RawObj, key: *mut RawObj, value: *mut *mut RawObj) -> c_int;
        498 dict_obj_first(interp: *mut RawInterp, dict: *mut RawObj, search: *mut DictSearch, key: *mut *mut RawObj, value: *mut *mut RawObj, done: *mut c_int) -> c_int;
        499 dict_obj_next(search: *mut DictSearch, key: *mut *mut RawObj, value: *mut *mut RawObj, done: *mut c_int);
        500 dict_obj_done(search: *mut DictSearch);
        503 new_dict_obj() -> *mut RawObj;
        516 get_command_from_obj(interp: *mut RawInterp, obj: *mut RawObj) -> *mut Command;
        517 get_command_full_name(interp: *mut RawInterp, command: *mut Command, obj: *mut RawObj);
        523 limit_check(interp: *mut RawInterp) -> c_int;
        524 limit_exceeded(interp: *mut RawInterp) -> c_int;
        535 save_interp_state(interp: *mut RawInterp, status: c_int) -> *mut InterpState;
        536 restore_interp_state(interp: *mut RawInterp, state: *mut InterpState) -> c_int;
        539 get_return_options(interp: *mut RawInterp, result: c_int) -> *mut RawObj;
        574 append_obj_to_error_info(interp: *mut RawInterp, text: *mut RawObj);
        581 canceled(interp: *mut RawInterp, flags: c_int) -> c_int;
        583 nr_create_command(interp: *mut RawInterp, name: *const c_char, direct: ObjCmdProc, nre: ObjCmdProc, data: *mut c_void, delete: Option<CmdDeleteProc>) -> *mut Command;
        584 nr_eval_obj(interp: *mut RawInterp, obj: *mut RawObj, flags: c_int) -> c_int;
        587 nr_add_callback(interp: *mut RawInterp, f: NrPostProc, d0: *mut c_void, d1: *mut c_void, d2: *mut c_void, d3: *mut c_void);
        609 background_exception(interp: *mut RawInterp, code: c_int);
    }
}

/// TclOO's functions, the same in both versions but for `objc`.
mod oo {
    use super::*;

    stubs! { OO_TABLE, OO:
        2 get_object_as_class(object: *mut Object) -> *mut Class;
        3 get_object_command(object: *mut Object) -> *mut Command;
        4 get_object_from_obj(interp: *mut RawInterp, obj: *mut RawObj) -> *mut Object;
        5 get_object_namespace(object: *mut Object) -> *const Namespace;
        11 new_instance_method(interp: *mut RawInterp, object: *mut Object, name: *mut RawObj, public: c_int, kind: *const MethodType, data: *mut c_void) -> *mut MethodToken;
        12 new_method(interp: *mut RawInterp, class: *mut Class, name: *mut RawObj, public: c_int, kind: *const MethodType, data: *mut c_void) -> *mut MethodToken;
        14 object_deleted(object: *mut Object) -> c_int;
        17 object_context_object(context: *mut ObjectContext) -> *mut Object;
        21 object_get_metadata(object: *mut Object, kind: *const MetadataType) -> *mut c_void;
        22 object_set_metadata(object: *mut Object, kind: *const MetadataType, data: *mut c_void);
        26 class_set_constructor(interp: *mut RawInterp, class: *mut Class, method: *mut MethodToken);
        27 class_set_destructor(interp: *mut RawInterp, class: *mut Class, method: *mut MethodToken);
    }
}

/// Functions of 8.6 with `int` where 9 has `Tcl_Size`.
mod v8 {
    use super::*;

    stubs! { TABLE, V8:
        3 alloc(size: u32) -> *mut c_char;
        33 get_byte_array_from_obj(obj: *mut RawObj, length: *mut c_int) -> *mut u8;
        41 get_string_from_obj(obj: *mut RawObj, length: *mut c_int) -> *const c_char;
        45 list_obj_get_elements(interp: *mut RawInterp, list: *mut RawObj, count: *mut c_int, items: *mut *mut *mut RawObj) -> c_int;
        50 new_byte_array_obj(bytes: *const u8, length: c_int) -> *mut RawObj;
        53 new_list_obj(count: c_int, items: *const *mut RawObj) -> *mut RawObj;
        56 new_string_obj(bytes: *const c_char, length: c_int) -> *mut RawObj;
        264 wrong_num_args(interp: *mut RawInterp, count: c_int, items: *const *mut RawObj, message: *const c_char);
        291 eval_ex(interp: *mut RawInterp, script: *const c_char, length: c_int, flags: c_int) -> c_int;
        292 eval_objv(interp: *mut RawInterp, count: c_int, items: *const *mut RawObj, flags: c_int) -> c_int;
        338 write_chars(channel: *mut Channel, text: *const c_char, length: c_int) -> c_int;
    }
}

mod v8_oo {
    use super::*;

    stubs! { OO_TABLE, V8_OO:
        13 new_object_instance(interp: *mut RawInterp, class: *mut Class, name: *const c_char, namespace: *const c_char, count: c_int, items: *const *mut RawObj, skip: c_int) -> *mut Object;
        18 object_context_skipped_args(context: *mut ObjectContext) -> c_int;
    }
}

/// Functions with `Tcl_Size`, as Tcl 9 has them.
mod v9 {
    use super::*;

    stubs! { TABLE, V9:
        3 alloc(size: usize) -> *mut c_void;
        650 get_bytes_from_obj(interp: *mut RawInterp, obj: *mut RawObj, length: *mut isize) -> *mut u8;
        651 get_string_from_obj(obj: *mut RawObj, length: *mut isize) -> *const c_char;
        661 list_obj_get_elements(interp: *mut RawInterp, list: *mut RawObj, count: *mut isize, items: *mut *mut *mut RawObj) -> c_int;
        50 new_byte_array_obj(bytes: *const u8, length: isize) -> *mut RawObj;
        53 new_list_obj(count: isize, items: *const *mut RawObj) -> *mut RawObj;
        56 new_string_obj(bytes: *const c_char, length: isize) -> *mut RawObj;
        264 wrong_num_args(interp: *mut RawInterp, count: isize, items: *const *mut RawObj, message: *const c_char);
        291 eval_ex(interp: *mut RawInterp, script: *const c_char, length: isize, flags: c_int) -> c_int;
        292 eval_objv(interp: *mut RawInterp, count: isize, items: *const *mut RawObj, flags: c_int) -> c_int;
        338 write_chars(channel: *mut Channel, text: *const c_char, length: isize) -> isize;
    }
}

mod v9_oo {
    use super::*;

    stubs! { OO_TABLE, V9_OO:
        13 new_object_instance(interp: *mut RawInterp, class: *mut Class, name: *const c_char, namespace: *const c_char, count: isize, items: *const *mut RawObj, skip: isize) -> *mut Object;
        18 object_context_skipped_args(context: *mut ObjectContext) -> isize;
    }
}

pub use oo::*;
pub use same::*;
pub use {v8::V8, v8_oo::V8_OO, v9::V9, v9_oo::V9_OO};

/// Calls the variant of the running Tcl; sizes are `isize` here and narrowed for 8.6, where no
/// value can be longer than `c_int::MAX`.
macro_rules! by_version {
    ($name:ident ( $($arg:expr),* ) as ( $($arg8:expr),* )) => {
        // SAFETY: passed on to the caller of the wrapper.
        unsafe { if nine() { v9::$name($($arg),*) } else { v8::$name($($arg8),*) } }
    };
}

fn int(size: isize) -> c_int {
    c_int::try_from(size).unwrap_or(c_int::MAX)
}

pub unsafe fn alloc(size: usize) -> *mut c_void {
    // SAFETY: passed on to the caller.
    unsafe { if nine() { v9::alloc(size) } else { v8::alloc(size as u32).cast() } }
}

pub unsafe fn new_string_obj(bytes: *const c_char, length: isize) -> *mut RawObj {
    by_version!(new_string_obj(bytes, length) as (bytes, int(length)))
}

pub unsafe fn new_byte_array_obj(bytes: *const u8, length: isize) -> *mut RawObj {
    by_version!(new_byte_array_obj(bytes, length) as (bytes, int(length)))
}

pub unsafe fn new_list_obj(count: isize, items: *const *mut RawObj) -> *mut RawObj {
    by_version!(new_list_obj(count, items) as (int(count), items))
}

pub unsafe fn wrong_num_args(
    interp: *mut RawInterp,
    count: isize,
    items: *const *mut RawObj,
    message: *const c_char,
) {
    by_version!(
        wrong_num_args(interp, count, items, message) as (interp, int(count), items, message)
    );
}

pub unsafe fn eval_ex(interp: *mut RawInterp, script: *const c_char, length: isize) -> c_int {
    by_version!(
        eval_ex(interp, script, length, EVAL_GLOBAL) as (interp, script, int(length), EVAL_GLOBAL)
    )
}

pub unsafe fn eval_objv(
    interp: *mut RawInterp,
    count: isize,
    items: *const *mut RawObj,
    flags: c_int,
) -> c_int {
    by_version!(eval_objv(interp, count, items, flags) as (interp, int(count), items, flags))
}

pub unsafe fn write_chars(channel: *mut Channel, text: *const c_char, length: isize) -> isize {
    // SAFETY: passed on to the caller.
    unsafe {
        if nine() {
            v9::write_chars(channel, text, length)
        } else {
            v8::write_chars(channel, text, int(length)) as isize
        }
    }
}

/// The string representation and its length in bytes.
pub unsafe fn get_string_from_obj(obj: *mut RawObj) -> (*const c_char, usize) {
    // SAFETY: passed on to the caller; the out-parameter has the type of the version.
    unsafe {
        if nine() {
            let mut length = 0isize;
            let bytes = v9::get_string_from_obj(obj, &raw mut length);
            (bytes, length as usize)
        } else {
            let mut length = 0 as c_int;
            let bytes = v8::get_string_from_obj(obj, &raw mut length);
            (bytes, length as usize)
        }
    }
}

/// The bytes of a byte array; null in Tcl 9 for a string with a character above U+00FF.
pub unsafe fn get_byte_array_from_obj(obj: *mut RawObj) -> (*const u8, usize) {
    // SAFETY: as in get_string_from_obj.
    unsafe {
        if nine() {
            let mut length = 0isize;
            let bytes = v9::get_bytes_from_obj(ptr::null_mut(), obj, &raw mut length);
            (bytes, length as usize)
        } else {
            let mut length = 0 as c_int;
            let bytes = v8::get_byte_array_from_obj(obj, &raw mut length);
            (bytes, length as usize)
        }
    }
}

/// The elements of a list, valid while nobody changes its internal representation.
pub unsafe fn list_obj_get_elements(
    interp: *mut RawInterp,
    list: *mut RawObj,
) -> Option<(*mut *mut RawObj, usize)> {
    let mut items: *mut *mut RawObj = ptr::null_mut();
    // SAFETY: as in get_string_from_obj.
    let (code, count) = unsafe {
        if nine() {
            let mut count = 0isize;
            let code = v9::list_obj_get_elements(interp, list, &raw mut count, &raw mut items);
            (code, count as usize)
        } else {
            let mut count = 0 as c_int;
            let code = v8::list_obj_get_elements(interp, list, &raw mut count, &raw mut items);
            (code, count as usize)
        }
    };
    (code == OK).then_some((items, count))
}

/// A new object of `class` whose constructors are not called (`objc` -1).
pub unsafe fn new_object_instance(interp: *mut RawInterp, class: *mut Class) -> *mut Object {
    let (name, items) = (ptr::null(), ptr::null());
    // SAFETY: passed on to the caller.
    unsafe {
        if nine() {
            v9_oo::new_object_instance(interp, class, name, name, -1, items, 0)
        } else {
            v8_oo::new_object_instance(interp, class, name, name, -1, items, 0)
        }
    }
}

pub unsafe fn object_context_skipped_args(context: *mut ObjectContext) -> usize {
    // SAFETY: passed on to the caller.
    unsafe {
        if nine() {
            v9_oo::object_context_skipped_args(context) as usize
        } else {
            v8_oo::object_context_skipped_args(context) as usize
        }
    }
}
