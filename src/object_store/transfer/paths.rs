//! Which files are the system's, and can be read and written beside the Tcl thread.

use crate::tcl::{Interp, Obj, Result};
use std::path::PathBuf;

/// The path as the system has it; `None` for one in a file system of Tcl's (`zipfs` and the like), or
/// whose name only Tcl knows to encode.
pub fn native(interp: Interp<'_>, path: &Obj) -> Result<Option<PathBuf>> {
    let mut question = [Obj::new("::file"), Obj::new("system"), path.clone()];
    // A file that is not there, in a folder that is not there, is no reason to ask elsewhere.
    let system = interp.aside(|| interp.call(&mut question).and_then(|is| is.elements(interp)));
    let is_native = system.is_ok_and(|is| is.first().is_some_and(|word| &*word.text() == "native"));
    let whole = absolute(interp, path)?;
    if !is_native || !(whole.tcl_bytes().is_ascii() || is_utf8(interp)?) {
        return Ok(None);
    }
    Ok(Some(PathBuf::from(&*whole.text())))
}

/// The path as it is wherever the process is now.
pub fn absolute(interp: Interp<'_>, path: &Obj) -> Result<Obj> {
    interp.call(&mut [Obj::new("::file"), Obj::new("normalize"), path.clone()])
}

fn is_utf8(interp: Interp<'_>) -> Result<bool> {
    let encoding = interp.call(&mut [Obj::new("::encoding"), Obj::new("system")])?;
    Ok(&*encoding.text() == "utf-8")
}
