//! TclOO: native methods on classes, and Rust data in objects.

use super::boundary::{caught, reported};
use super::call::{METHOD_TYPE, Method};
use super::{Failure, Fault, Interp, Obj, Result, stubs};
use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::rc::Rc;

/// A TclOO object in the call that Tcl passed it to. It is not kept: that is what [`ObjectHandle`] is for.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    raw: NonNull<stubs::Object>,
    _life: PhantomData<&'a ()>,
}

/// An object to keep. Once the object has lost its data, which is the last thing before its memory
/// goes, the handle names nothing any more. Not `Send`.
#[derive(Clone)]
pub struct ObjectHandle(Rc<Cell<Option<NonNull<stubs::Object>>>>);

/// Rust data in an object.
pub trait Native: Any {
    /// The object goes now, in whatever way: by `destroy`, with its namespace, its class or its
    /// interpreter, and whether or not a destructor was called.
    fn gone(&self);
}

/// What an object holds: its type is known to those who put it there.
struct Data {
    handle: ObjectHandle,
    /// Absent while it is made.
    value: OnceCell<Rc<dyn Native>>,
}

impl Data {
    /// The object loses it. The value hears of that once, and code of the program may run then.
    fn release(&self) {
        if self.handle.0.take().is_some()
            && let Some(value) = self.value.get()
        {
            value.gone();
        }
    }
}

unsafe extern "C" fn drop_data(data: *mut c_void) {
    // SAFETY: given by `attach`; TclOO calls this once.
    let data = unsafe { Rc::from_raw(data.cast::<Data>()) };
    reported(|| {
        data.release();
        drop(data);
    });
}

unsafe extern "C" fn refuse_copy(
    interp: *mut stubs::RawInterp,
    _source: *mut c_void,
    _target: *mut *mut c_void,
) -> c_int {
    if interp.is_null() {
        return stubs::ERROR;
    }
    // SAFETY: `oo::copy` runs in a live interpreter; some callers pass none.
    let interp = unsafe { Interp::from_raw(interp) };
    let refused = caught(|| {
        let package = super::load::package().map_or("", |package| package.name);
        Fault::Argument.error(format!("Objects of the package {package} cannot be copied"))
    });
    interp.raise(&refused.unwrap_or_else(|error| error));
    stubs::ERROR
}

static METADATA: stubs::MetadataType = stubs::MetadataType {
    version: 1,
    name: c"native data".as_ptr(),
    delete: drop_data,
    clone: Some(refuse_copy),
};

impl<'a> Object<'a> {
    /// # Safety
    /// `raw` is null or an object that lives for `'a`.
    pub(super) unsafe fn from_raw(raw: *mut stubs::Object) -> Option<Object<'a>> {
        NonNull::new(raw).map(|raw| Object { raw, _life: PhantomData })
    }

    /// Gives the object its data; earlier data is dropped. The data is made from the handle that
    /// is then valid.
    ///
    /// # Errors
    /// If the object is destroyed, or was: nobody would take the data back then.
    pub fn attach<T: Native>(self, make: impl FnOnce(ObjectHandle) -> Rc<T>) -> Result<Rc<T>> {
        // Before Tcl exchanges the two: the program could destroy the object in the middle of that.
        if let Some(earlier) = self.stored() {
            earlier.release();
        }
        self.check_alive()?;
        let handle = ObjectHandle(Rc::new(Cell::new(Some(self.raw))));
        let data = Rc::new(Data { handle: handle.clone(), value: OnceCell::new() });
        let given = Rc::into_raw(data.clone()).cast_mut();
        // SAFETY: the object lives; the metadata type is static; drop_data takes the reference back.
        unsafe { stubs::object_set_metadata(self.raw.as_ptr(), &METADATA, given.cast()) };
        // The object may go meanwhile: `handle` knows it then, and the data is nobody's.
        let value = make(handle);
        let _ = data.value.set(value.clone());
        Ok(value)
    }

    fn stored(self) -> Option<Rc<Data>> {
        // SAFETY: the object lives; what is stored under our metadata type comes from Rc::into_raw.
        unsafe {
            let raw = stubs::object_get_metadata(self.raw.as_ptr(), &METADATA).cast::<Data>();
            if raw.is_null() {
                return None;
            }
            Rc::increment_strong_count(raw);
            Some(Rc::from_raw(raw))
        }
    }

    /// Whether somebody destroys the object just now, or has done so.
    fn is_deleted(self) -> bool {
        // SAFETY: the memory of the object is there during the call that it was passed to.
        unsafe { stubs::object_deleted(self.raw.as_ptr()) != 0 }
    }

    fn check_alive(self) -> Result<()> {
        match self.is_deleted() {
            true => Err(Fault::Argument.failure("The object was destroyed")),
            false => Ok(()),
        }
    }

    pub fn data<T: Any>(self) -> Option<Rc<T>> {
        // SAFETY: the object lives; what is stored under our metadata type is a Data.
        let value: Rc<dyn Any> = unsafe {
            let raw = stubs::object_get_metadata(self.raw.as_ptr(), &METADATA);
            raw.cast::<Data>().as_ref()?.value.get()?.clone()
        };
        value.downcast::<T>().ok()
    }

    /// The object's command, fully qualified, by its present name; empty while it is destroyed.
    pub fn command(self, interp: Interp<'_>) -> Obj {
        let name = Obj::empty();
        // SAFETY: alive; the name is a fresh value that only we hold; Tcl leaves it empty for the
        // null pointer of an object without a command.
        unsafe {
            let command = stubs::get_object_command(self.raw.as_ptr());
            stubs::get_command_full_name(interp.raw(), command, name.raw());
        }
        name
    }

    /// The absolute name of the object's namespace.
    ///
    /// # Errors
    /// If the object was destroyed: it has none then.
    pub fn namespace(self) -> Result<String> {
        self.check_alive()?;
        // SAFETY: nobody has destroyed the object, so its namespace is there; its name is a C string.
        unsafe {
            let namespace = stubs::get_object_namespace(self.raw.as_ptr());
            Ok(CStr::from_ptr((*namespace).full_name).to_string_lossy().into_owned())
        }
    }

    /// Destroys the object as `$obj destroy` does.
    pub fn destroy(self, interp: Interp<'_>) {
        if self.is_deleted() {
            return;
        }
        // SAFETY: the object lives; deleting its command runs the destructors.
        unsafe {
            let command = stubs::get_object_command(self.raw.as_ptr());
            stubs::delete_command_from_token(interp.raw(), command);
        }
    }
}

impl ObjectHandle {
    /// The object, if it is still there. The borrow ends before anything can destroy the object.
    fn object(&self) -> Option<Object<'_>> {
        self.0.get().map(|raw| Object { raw, _life: PhantomData })
    }

    /// Whether the object is there and nobody destroys it just now.
    pub fn is_alive(&self) -> bool {
        self.object().is_some_and(|object| !object.is_deleted())
    }

    /// The object's command by its present name; empty once the object has gone.
    pub fn command(&self, interp: Interp<'_>) -> Obj {
        self.object().map_or_else(Obj::empty, |object| object.command(interp))
    }

    /// The absolute name of the object's namespace; empty once the object has gone.
    pub fn namespace(&self) -> String {
        self.object().and_then(|object| object.namespace().ok()).unwrap_or_default()
    }

    pub fn destroy(&self, interp: Interp<'_>) {
        if let Some(object) = self.object() {
            object.destroy(interp);
        }
    }

    fn is(&self, other: &ObjectHandle) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

/// Objects that go with their parent.
#[derive(Default)]
pub struct Children(RefCell<Vec<ObjectHandle>>);

impl Children {
    pub fn adopt(&self, child: &ObjectHandle) {
        self.0.borrow_mut().push(child.clone());
    }

    pub fn release(&self, child: &ObjectHandle) {
        self.0.borrow_mut().retain(|other| !other.is(child));
    }

    /// Destroys them, the youngest first; one at a time, since one may take others with it.
    pub fn destroy(&self, interp: Interp<'_>) {
        loop {
            let child = self.0.borrow_mut().pop();
            let Some(child) = child else { return };
            child.destroy(interp);
        }
    }
}

/// The object of this name; the interpreter has Tcl's error if there is none.
pub fn find<'a>(interp: Interp<'a>, name: &'a Obj) -> Result<Object<'a>> {
    // SAFETY: both live; an object lives while the call runs that was given its name.
    let object = unsafe { Object::from_raw(stubs::get_object_from_obj(interp.raw(), name.raw())) };
    object.ok_or(Failure::Raised)
}

fn class(interp: Interp<'_>, name: &str) -> Result<*mut stubs::Class> {
    // SAFETY: alive; a null object or class is checked.
    unsafe {
        let name_obj = Obj::new(name);
        let object = stubs::get_object_from_obj(interp.raw(), name_obj.raw());
        if object.is_null() {
            return Err(Failure::Raised);
        }
        let class = stubs::get_object_as_class(object);
        if class.is_null() {
            return Err(Fault::Internal.failure(format!("{name} is no class")));
        }
        Ok(class)
    }
}

/// An object of a class, with a name of Tcl's choice, without a call of its constructors; its data
/// is made from the handle that is then valid.
pub fn instantiate<T: Native>(
    interp: Interp<'_>,
    class_name: &str,
    make: impl FnOnce(ObjectHandle) -> Rc<T>,
) -> Result<Rc<T>> {
    let class = class(interp, class_name)?;
    // SAFETY: both live; nothing can destroy the new object before `attach` has given it data.
    let object = unsafe { Object::from_raw(stubs::new_object_instance(interp.raw(), class)) };
    object.ok_or(Failure::Raised)?.attach(make)
}

/// Adds native methods to one object: those of a class that are not methods of its instances.
pub fn define_on(interp: Interp<'_>, object: &str, methods: &'static [Method]) -> Result<()> {
    let name = Obj::new(object);
    let object = find(interp, &name)?;
    for method in methods {
        let name = Obj::new(method.name);
        let data = std::ptr::from_ref(method).cast_mut().cast();
        // SAFETY: all live; methods are static, so their pointers stay valid as method data.
        unsafe {
            let raw = object.raw.as_ptr();
            stubs::new_instance_method(interp.raw(), raw, name.raw(), 1, &METHOD_TYPE, data);
        }
    }
    Ok(())
}

/// Adds native methods to a class that Tcl code has made.
pub fn define(
    interp: Interp<'_>,
    class_name: &str,
    constructor: Option<&'static Method>,
    destructor: Option<&'static Method>,
    methods: &'static [Method],
) -> Result<()> {
    let class = class(interp, class_name)?;
    let data = |method: &'static Method| std::ptr::from_ref(method).cast_mut().cast();
    // SAFETY: all live; methods are static, so their pointers stay valid as method data.
    unsafe {
        for method in methods {
            let name = Obj::new(method.name);
            stubs::new_method(interp.raw(), class, name.raw(), 1, &METHOD_TYPE, data(method));
        }
        if let Some(method) = constructor {
            let nameless = std::ptr::null_mut();
            let token =
                stubs::new_method(interp.raw(), class, nameless, 1, &METHOD_TYPE, data(method));
            stubs::class_set_constructor(interp.raw(), class, token);
        }
        if let Some(method) = destructor {
            let nameless = std::ptr::null_mut();
            let token =
                stubs::new_method(interp.raw(), class, nameless, 1, &METHOD_TYPE, data(method));
            stubs::class_set_destructor(interp.raw(), class, token);
        }
    }
    Ok(())
}
