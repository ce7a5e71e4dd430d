//! `Obj`: an owned reference to a Tcl value.
//!
//! Tcl frees what is inside a value in two cases. A *string* goes when the value is changed in place,
//! which only the sole reference allows; what may do that takes `&mut Obj` here, or a builder
//! ([`List`], [`Dict`]), so that a string can be borrowed for as long as the `Obj` is. What the value
//! was read as (a byte array, a list) goes whenever it is read as something else, also by other
//! references: nothing of that is lent, except to a function that can reach no value
//! ([`Obj::with_payload`]).

use super::interp::Interp;
use super::{stubs, text};
use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::thread::LocalKey;

/// A Tcl value with one reference, ours or that of a word of the command that runs. Not `Send`:
/// values live and die on their thread.
#[repr(transparent)]
pub struct Obj(NonNull<stubs::RawObj>);

impl Obj {
    /// Takes a reference to `raw`; `None` for a null pointer.
    ///
    /// # Safety
    /// `raw` is null or a live value of this thread.
    pub(super) unsafe fn from_raw(raw: *mut stubs::RawObj) -> Option<Obj> {
        let raw = NonNull::new(raw)?;
        // SAFETY: live by the caller's word.
        unsafe { stubs::db_incr_ref_count(raw.as_ptr(), c"obj".as_ptr(), 0) };
        Some(Obj(raw))
    }

    /// Takes a value that Tcl has just made; Tcl panics rather than return null there.
    ///
    /// # Safety
    /// As for [`Obj::from_raw`], and `raw` comes from one of Tcl's `New…Obj`.
    unsafe fn made(raw: *mut stubs::RawObj) -> Obj {
        // SAFETY: a new value, not null.
        unsafe {
            stubs::db_incr_ref_count(raw, c"obj".as_ptr(), 0);
            Obj(NonNull::new_unchecked(raw))
        }
    }

    pub(super) fn raw(&self) -> *mut stubs::RawObj {
        self.0.as_ptr()
    }

    pub fn new(text: &str) -> Obj {
        Obj::from_tcl(&text::from_utf8(text, stubs::nine()))
    }

    pub fn empty() -> Obj {
        Obj::from_tcl(b"")
    }

    /// From Tcl's internal form, as the functions of [`text`] make it.
    fn from_tcl(bytes: &[u8]) -> Obj {
        // SAFETY: pointer and length are of one slice; Tcl copies it.
        unsafe { Obj::made(stubs::new_string_obj(bytes.as_ptr().cast(), bytes.len() as isize)) }
    }

    /// One character per byte. Plain ASCII becomes a string, which costs less than a byte array
    /// wherever it is used as text, and is the same value.
    pub fn from_bytes(bytes: &[u8]) -> Obj {
        if bytes.is_ascii() && !bytes.contains(&0) {
            return Obj::from_tcl(bytes);
        }
        // SAFETY: as in from_tcl.
        unsafe { Obj::made(stubs::new_byte_array_obj(bytes.as_ptr(), bytes.len() as isize)) }
    }

    /// [`Obj::from_bytes`] of what is never text.
    pub fn byte_array(bytes: &[u8]) -> Obj {
        // SAFETY: as in from_tcl.
        unsafe { Obj::made(stubs::new_byte_array_obj(bytes.as_ptr(), bytes.len() as isize)) }
    }

    /// UTF-8 decoded as `encoding convertfrom utf-8` does.
    pub fn from_encoded(bytes: &[u8]) -> Obj {
        Obj::from_tcl(&text::decode_tolerant(bytes, stubs::nine()))
    }

    pub fn int(value: i64) -> Obj {
        // SAFETY: makes a new value.
        unsafe { Obj::made(stubs::new_wide_int_obj(value)) }
    }

    /// Unsigned 64 bits, as the server counts: what Tcl's wide integers do not hold is a big one.
    pub fn uint(value: u64) -> Obj {
        match i64::try_from(value) {
            Ok(value) => Obj::int(value),
            Err(_) => Obj::from_tcl(value.to_string().as_bytes()),
        }
    }

    /// The words `true` and `false`, as the contracts want booleans.
    pub fn word(value: bool) -> Obj {
        Obj::from_tcl(if value { b"true" } else { b"false" })
    }

    pub fn list(items: &[Obj]) -> Obj {
        // SAFETY: `Obj` is a transparent pointer: one value per element, read
        // by Tcl during the call, which takes its own references.
        unsafe { Obj::made(stubs::new_list_obj(items.len() as isize, items.as_ptr().cast())) }
    }

    /// A list from references. A list of names and values is also the cheapest dict to make: Tcl
    /// builds its table when somebody looks inside, and keeps it.
    pub fn list_of<const N: usize>(items: [&Obj; N]) -> Obj {
        let raw = items.map(Obj::raw);
        // SAFETY: as in list; all items live during the call.
        unsafe { Obj::made(stubs::new_list_obj(N as isize, raw.as_ptr())) }
    }

    /// The value beside the key at `at` of a list of names and values that [`Obj::list_of`] has made of
    /// these very keys. `None` if this is something else, or is a dict by now. A look-up in the dict that
    /// it stands for says the same, but makes a table first.
    pub fn beside<const N: usize>(&self, keys: [&Obj; N], at: usize) -> Option<Obj> {
        // SAFETY: a live list, whose elements stay where they are: nothing runs meanwhile. The place is
        // among them once their number is known.
        unsafe {
            if (*self.raw()).type_ptr != list_type() {
                return None;
            }
            let (items, count) = stubs::list_obj_get_elements(ptr::null_mut(), self.raw())?;
            let mut own = keys.iter().enumerate();
            let same = |(i, key): (usize, &&Obj)| *items.add(2 * i) == key.raw();
            if count != 2 * N || at >= N || !own.all(same) {
                return None;
            }
            Obj::from_raw(*items.add(2 * at + 1))
        }
    }

    /// The string representation in Tcl's internal form.
    pub fn tcl_bytes(&self) -> &[u8] {
        // SAFETY: Tcl keeps the bytes while the value is unchanged, and it is changed only through
        // its sole reference; while this `Obj` is borrowed, that is nobody's to use.
        unsafe {
            let (bytes, length) = stubs::get_string_from_obj(self.raw());
            std::slice::from_raw_parts(bytes.cast(), length)
        }
    }

    /// The string as UTF-8.
    pub fn text(&self) -> Cow<'_, str> {
        text::to_utf8(self.tcl_bytes())
    }

    pub fn string(&self) -> String {
        self.text().into_owned()
    }

    /// Whether both are references to one value.
    pub fn is(&self, other: &Obj) -> bool {
        self.raw() == other.raw()
    }

    /// Whether both are the same text.
    pub fn same(&self, other: &Obj) -> bool {
        self.is(other) || self.tcl_bytes() == other.tcl_bytes()
    }

    pub fn is_empty(&self) -> bool {
        match self.pure_bytes() {
            Some((_, length)) => length == 0,
            None => self.tcl_bytes().is_empty(),
        }
    }

    /// A byte array that has no string: its bytes, without making that string, as they lie there
    /// until the value is read as something else.
    fn pure_bytes(&self) -> Option<(*const u8, usize)> {
        // SAFETY: the two fields lie at these places in both versions; the value is live.
        let (bytes, length) = unsafe {
            let raw = self.raw();
            if !(*raw).bytes.is_null() || (*raw).type_ptr != byte_array_type() {
                return None;
            }
            stubs::get_byte_array_from_obj(raw)
        };
        (!bytes.is_null()).then_some((bytes, length))
    }

    /// Reads the payload that this value stands for: its UTF-8 (`encoding convertto utf-8`) or,
    /// without conversion, the low eight bits of each character. `Send` keeps values and
    /// interpreters out of `read`.
    pub fn with_payload<R>(&self, utf8: bool, read: impl FnOnce(&[u8]) -> R + Send) -> R {
        match self.pure_bytes().filter(|_| !utf8) {
            // SAFETY: `read` can reach no value, so the bytes stay where they are.
            Some((bytes, length)) => read(unsafe { std::slice::from_raw_parts(bytes, length) }),
            None if utf8 => read(&text::to_utf8_bytes(self.tcl_bytes())),
            None => read(&text::low_bytes(self.tcl_bytes())),
        }
    }

    /// Whether there are characters beyond U+00FF, which no byte stands for.
    pub fn is_beyond_bytes(&self) -> bool {
        // Their first bytes in Tcl's form; 0xC0 and 0xC1 begin NUL alone, 0xC2 and 0xC3 what is in between.
        self.pure_bytes().is_none() && self.tcl_bytes().iter().any(|byte| *byte >= 0xC4)
    }

    /// An integer that fits 64 bits, in any of Tcl's notations.
    pub fn as_int(&self) -> Option<i64> {
        let mut value = 0;
        // SAFETY: without an interpreter an error only returns a code.
        let code =
            unsafe { stubs::get_wide_int_from_obj(ptr::null_mut(), self.raw(), &raw mut value) };
        (code == stubs::OK).then_some(value)
    }

    /// The elements; the interpreter has Tcl's error if this is no list.
    pub fn elements(&self, interp: Interp<'_>) -> super::Result<Vec<Obj>> {
        // SAFETY: both live; references to all elements are taken before anything else can run.
        unsafe {
            let (items, count) = stubs::list_obj_get_elements(interp.raw(), self.raw())
                .ok_or(super::Failure::Raised)?;
            Ok((0..count).filter_map(|i| Obj::from_raw(*items.add(i))).collect())
        }
    }

    /// The pairs of a dict in order; the interpreter has Tcl's error if this is none.
    pub fn pairs(&self, interp: Interp<'_>) -> super::Result<Vec<(Obj, Obj)>> {
        let mut pairs = Vec::new();
        let mut search = std::mem::MaybeUninit::<stubs::DictSearch>::uninit();
        let (mut key, mut value, mut done) = (ptr::null_mut(), ptr::null_mut(), 0);
        // SAFETY: the search structure is larger than Tcl's in both versions and is only used by
        // Tcl; nothing runs between first and done that could change the dict.
        unsafe {
            let search = search.as_mut_ptr();
            let code = stubs::dict_obj_first(
                interp.raw(),
                self.raw(),
                search,
                &raw mut key,
                &raw mut value,
                &raw mut done,
            );
            if code != stubs::OK {
                return Err(super::Failure::Raised);
            }
            while done == 0 {
                pairs.extend(Obj::from_raw(key).zip(Obj::from_raw(value)));
                stubs::dict_obj_next(search, &raw mut key, &raw mut value, &raw mut done);
            }
            stubs::dict_obj_done(search);
        }
        Ok(pairs)
    }

    /// The value of a key, `None` if it is absent; Tcl's error if this is no dict.
    pub fn dict_get(&self, interp: Interp<'_>, key: &str) -> super::Result<Option<Obj>> {
        self.dict_get_by(interp, &Obj::new(key))
    }

    /// The value of a key that is kept as a value.
    pub fn dict_get_by(&self, interp: Interp<'_>, key: &Obj) -> super::Result<Option<Obj>> {
        let mut value = ptr::null_mut();
        // SAFETY: all live; the out-parameter is borrowed from the dict and referenced at once.
        unsafe {
            let code = stubs::dict_obj_get(interp.raw(), self.raw(), key.raw(), &raw mut value);
            if code != stubs::OK {
                return Err(super::Failure::Raised);
            }
            Ok(Obj::from_raw(value))
        }
    }
}

/// A list while it is made: nobody else has it, so it can grow.
pub struct List(Obj);

impl List {
    pub fn new() -> List {
        List(Obj::list(&[]))
    }

    pub fn push(&mut self, item: &Obj) {
        // SAFETY: an unshared list; without an interpreter an error only returns a code.
        unsafe { stubs::list_obj_append_element(ptr::null_mut(), self.0.raw(), item.raw()) };
    }
}

impl From<List> for Obj {
    fn from(list: List) -> Obj {
        list.0
    }
}

/// A dict while it is made: nobody else has it, so it can grow.
pub struct Dict(Obj);

impl Dict {
    pub fn new() -> Dict {
        // SAFETY: makes a new value.
        Dict(unsafe { Obj::made(stubs::new_dict_obj()) })
    }

    pub fn put(&mut self, key: &str, value: &Obj) {
        self.put_by(&Obj::new(key), value);
    }

    /// [`Dict::put`] under a key that is a value already.
    pub fn put_by(&mut self, key: &Obj, value: &Obj) {
        // SAFETY: an unshared dict; without an interpreter an error only returns a code.
        unsafe { stubs::dict_obj_put(ptr::null_mut(), self.0.raw(), key.raw(), value.raw()) };
    }
}

impl From<Dict> for Obj {
    fn from(dict: Dict) -> Obj {
        dict.0
    }
}

/// The type pointer of byte arrays.
fn byte_array_type() -> *const c_void {
    thread_local!(static TYPE: Cell<*const c_void> = const { Cell::new(ptr::null()) });
    // SAFETY: makes a new value.
    type_of(&TYPE, || unsafe { Obj::made(stubs::new_byte_array_obj(b"\xFF".as_ptr(), 1)) })
}

/// The type pointer of lists.
fn list_type() -> *const c_void {
    thread_local!(static TYPE: Cell<*const c_void> = const { Cell::new(ptr::null()) });
    type_of(&TYPE, || Obj::list(&[Obj::empty()]))
}

/// A type pointer: read off a value of it, because Tcl 9 does not register all types.
fn type_of(
    known: &'static LocalKey<Cell<*const c_void>>,
    sample: impl FnOnce() -> Obj,
) -> *const c_void {
    if known.get().is_null() {
        // SAFETY: a live value; the field's place is fixed.
        known.set(unsafe { (*sample().raw()).type_ptr });
    }
    known.get()
}

impl Clone for Obj {
    fn clone(&self) -> Obj {
        // SAFETY: a live value.
        unsafe { Obj::made(self.raw()) }
    }
}

impl Drop for Obj {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference that this `Obj` is.
        unsafe { stubs::db_decr_ref_count(self.raw(), c"obj".as_ptr(), 0) };
    }
}

impl From<&str> for Obj {
    fn from(text: &str) -> Obj {
        Obj::new(text)
    }
}
