//! The slot numbers of `stubs`, held against real headers.
//!
//! Tcl 8.6: the bindings of the crate `tcl-sys`, which come from the system's `tcl.h`, by the
//! offset of each field, and the text of `tclOODecls.h`. Tcl 9: the text of its `tclDecls.h` and
//! `tclOODecls.h`, from `$TCL9_INCLUDE` or from where `scripts/tcl9` puts them.

use super::stubs::{OO, SAME, V8, V8_OO, V9, V9_OO};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// `tcl_NewStringObj` and `new_string_obj` are the same name.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().trim_start_matches("tcl").replace('_', "")
}

macro_rules! offsets {
    ($($field:ident)*) => {
        [$((plain(stringify!($field)), std::mem::offset_of!(tcl_sys::TclStubs, $field))),*]
    };
}

#[test]
fn slots_of_8_6_are_those_of_the_header() {
    let real: HashMap<String, usize> = offsets![
        tcl_PkgProvideEx tcl_PkgRequireEx tcl_Alloc tcl_DbDecrRefCount tcl_DbIncrRefCount
        tcl_GetByteArrayFromObj tcl_GetStringFromObj
        tcl_ListObjAppendElement tcl_ListObjGetElements tcl_NewByteArrayObj tcl_NewListObj
        tcl_NewStringObj tcl_CallWhenDeleted tcl_CancelIdleCall tcl_DoWhenIdle tcl_CreateEventSource tcl_CreateExitHandler
        tcl_DeleteCommandFromToken tcl_DeleteEventSource tcl_DoOneEvent tcl_Flush tcl_GetChannel
        tcl_GetObjResult tcl_InterpDeleted tcl_ObjGetVar2 tcl_ObjSetVar2 tcl_Preserve
        tcl_QueueEvent tcl_Release tcl_ResetResult tcl_SetMaxBlockTime tcl_SetObjErrorCode
        tcl_SetObjResult tcl_UnsetVar2 tcl_UpVar2 tcl_WrongNumArgs tcl_CreateThreadExitHandler
        tcl_EvalEx tcl_EvalObjv tcl_GetCurrentThread tcl_ThreadAlert tcl_WriteChars
        tcl_GetWideIntFromObj tcl_NewWideIntObj tcl_DictObjPut tcl_DictObjGet tcl_DictObjFirst
        tcl_DictObjNext tcl_DictObjDone tcl_NewDictObj tcl_GetCommandFromObj
        tcl_GetCommandFullName tcl_LimitCheck tcl_LimitExceeded tcl_SaveInterpState
        tcl_RestoreInterpState tcl_GetReturnOptions tcl_Canceled
        tcl_NRCreateCommand tcl_NREvalObj tcl_NRAddCallback tcl_BackgroundException
    ]
    .into_iter()
    .collect();
    for (slot, name) in SAME.iter().chain(V8) {
        let offset = real.get(&plain(name)).unwrap_or_else(|| panic!("{name} is not checked"));
        assert_eq!(*offset, 16 + 8 * slot, "{name}");
    }
}

/// Slot → name, from the declarations `(*tcl_Name) (…); /* N */`.
fn declared(header: &Path) -> HashMap<usize, String> {
    let text = std::fs::read_to_string(header).expect("a header");
    let mut slots = HashMap::new();
    for line in text.lines() {
        let Some((_, rest)) = line.split_once("(*tcl_") else { continue };
        let Some((name, rest)) = rest.split_once(')') else { continue };
        let Some((_, comment)) = rest.rsplit_once("/* ") else { continue };
        if let Ok(slot) = comment.trim_end_matches(" */").trim().parse() {
            slots.insert(slot, plain(name));
        }
    }
    assert!(slots.len() > 20, "{} was not understood", header.display());
    slots
}

fn check(header: &Path, tables: &[&[(usize, &str)]]) {
    let real = declared(header);
    for (slot, name) in tables.iter().copied().flatten() {
        assert_eq!(real.get(slot), Some(&plain(name)), "slot {slot} of {}", header.display());
    }
}

#[test]
fn slots_of_tcloo_8_6_are_those_of_the_header() {
    let header = ["/usr/include/tcl8.6", "/usr/include"]
        .map(|folder| Path::new(folder).join("tclOODecls.h"))
        .into_iter()
        .find(|header| header.exists());
    check(&header.expect("no header of Tcl 8.6 (package tcl8.6-dev)"), &[OO, V8_OO]);
}

#[test]
fn slots_of_9_are_those_of_the_headers() {
    let folder = std::env::var_os("TCL9_INCLUDE").map(PathBuf::from).unwrap_or_else(|| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tcl9/root/usr/include/tcl9.0")
    });
    let found = folder.join("tclDecls.h").exists();
    assert!(found, "no headers of Tcl 9 in {}: run scripts/tcl9 --headers", folder.display());
    check(&folder.join("tclDecls.h"), &[SAME, V9]);
    check(&folder.join("tclOODecls.h"), &[OO, V9_OO]);
}
