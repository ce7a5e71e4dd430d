//! The slots of `stubs`, held against real headers: numbers, names, types.
//!
//! Tcl 8.6: the bindings of the crate `tcl-sys`, which come from the system's `tcl.h`, by the
//! offset of each field, and the text of `tclDecls.h` and `tclOODecls.h`. Tcl 9: the text of its `tclDecls.h` and
//! `tclOODecls.h`, from `$TCL9_INCLUDE` or from where `scripts/tcl9` puts them.

use super::stubs::{OO, SAME, Slot, V8, V8_OO, V9, V9_OO};
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
        tcl_CreateCloseHandler tcl_DeleteCloseHandler
        tcl_GetObjResult tcl_InterpDeleted tcl_ObjGetVar2 tcl_ObjSetVar2 tcl_Preserve
        tcl_ErrnoId tcl_ErrnoMsg tcl_SetErrno tcl_QueueEvent tcl_Release tcl_ResetResult tcl_SetMaxBlockTime tcl_SetObjErrorCode
        tcl_SetObjResult tcl_TraceVar2 tcl_UntraceVar2 tcl_VarTraceInfo2 tcl_UnsetVar2 tcl_UpVar2 tcl_WrongNumArgs tcl_CreateThreadExitHandler
        tcl_EvalEx tcl_EvalObjv tcl_GetCurrentThread tcl_ThreadAlert tcl_WriteChars
        tcl_GetWideIntFromObj tcl_NewWideIntObj tcl_DictObjPut tcl_DictObjGet tcl_DictObjFirst
        tcl_DictObjNext tcl_DictObjDone tcl_NewDictObj tcl_GetCommandFromObj
        tcl_GetCommandFullName tcl_LimitCheck tcl_LimitExceeded tcl_SaveInterpState
        tcl_RestoreInterpState tcl_GetReturnOptions tcl_AppendObjToErrorInfo tcl_Canceled tcl_ServiceAll
        tcl_SetServiceMode
        tcl_NRCreateCommand tcl_NREvalObj tcl_NRAddCallback tcl_BackgroundException
    ]
    .into_iter()
    .collect();
    for slot in SAME.iter().chain(V8) {
        let offset = real.get(&plain(slot.name));
        let offset = offset.unwrap_or_else(|| panic!("{} is not checked", slot.name));
        assert_eq!(*offset, 16 + 8 * slot.index(), "{}", slot.name);
    }
    let header = folder_of_8_6().join("tclDecls.h");
    check(&header, &[SAME, V8]);
}

/// A function as a header declares it.
struct Declared {
    name: String,
    types: Vec<String>,
}

/// The declarations `result (*tcl_Name) (parameters); /* slot */` of a header.
fn declared(header: &Path) -> HashMap<usize, Declared> {
    let text = std::fs::read_to_string(header).expect("a header");
    // The macro is that of `tcl.h`.
    let hash = if text.contains("Tcl_Size") { "size_t" } else { "unsigned int" };
    let text = text.replace("TCL_HASH_TYPE", hash);
    let mut slots = HashMap::new();
    for line in text.lines() {
        let Some((result, rest)) = line.split_once("(*tcl_") else { continue };
        let Some((name, rest)) = rest.split_once(") (") else { continue };
        let Some((parameters, comment)) = rest.rsplit_once("); /* ") else { continue };
        let Ok(slot) = comment.trim_end_matches(" */").trim().parse() else { continue };
        let parameters = Some(parameters).filter(|parameters| *parameters != "void");
        let parameters = parameters.into_iter().flat_map(|all| all.split(','));
        let types = parameters.chain([result]).map(c_type).collect();
        slots.insert(slot, Declared { name: plain(name), types });
    }
    assert!(slots.len() > 20, "{} was not understood", header.display());
    slots
}

/// A type of C: a star for each level of pointers, and the number at the end of it, if it is one.
fn c_type(text: &str) -> String {
    const NAMES_OF_POINTERS: [&str; 9] = [
        "ClientData",
        "Tcl_Channel",
        "Tcl_Class",
        "Tcl_Command",
        "Tcl_InterpState",
        "Tcl_Method",
        "Tcl_Object",
        "Tcl_ObjectContext",
        "Tcl_ThreadId",
    ];
    let stars = text.matches(['*', '[']).count();
    let text = text.replace(['*', '[', ']'], " ");
    let qualifies =
        |word: &&str| !["const", "CONST84", "CONST84_RETURN", "TCL_NORETURN"].contains(word);
    let words: Vec<&str> = text.split_whitespace().filter(qualifies).collect();
    let (more, base) = match words[..] {
        ["unsigned", "char", ..] => (0, "u8"),
        ["unsigned", ..] => (0, "u32"),
        ["int", ..] | ["Tcl_QueuePosition", ..] => (0, "i32"),
        ["char", ..] => (0, "i8"),
        ["Tcl_WideInt", ..] => (0, "i64"),
        ["Tcl_Size", ..] => (0, "isize"),
        ["size_t", ..] => (0, "usize"),
        ["void"] if stars == 0 => (0, "()"),
        [name, ..] if NAMES_OF_POINTERS.contains(&name) => (1, "_"),
        _ => (0, "_"),
    };
    "*".repeat(stars + more) + base
}

/// The types of `fn(…) -> …`, the result last.
fn rust_types(signature: &str) -> Vec<String> {
    let signature = signature.strip_prefix("fn(").expect("a function");
    let (mut depth, mut types, mut current) = (0, Vec::new(), String::new());
    let mut rest = signature.chars();
    for c in rest.by_ref() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        match c {
            ',' if depth == 0 => types.push(std::mem::take(&mut current)),
            _ if depth < 0 => break,
            c => current.push(c),
        }
    }
    types.extend(Some(current).filter(|last| !last.is_empty()));
    types.push(rest.as_str().trim_start_matches(" -> ").to_owned());
    types.iter().map(|text| rust_type(text.trim())).collect()
}

fn rust_type(text: &str) -> String {
    if let Some(rest) = text.strip_prefix("*mut ").or(text.strip_prefix("*const ")) {
        return format!("*{}", rust_type(rest));
    }
    match text {
        "" | "()" => "()".into(),
        "i8" | "u8" | "i32" | "u32" | "i64" | "isize" | "usize" => text.into(),
        function if function.contains("extern") => "*_".into(),
        _ => "_".into(),
    }
}

fn check(header: &Path, tables: &[&[Slot]]) {
    let real = declared(header);
    for slot in tables.iter().copied().flatten() {
        let (index, name) = (slot.index(), slot.name);
        let declared = real.get(&index).unwrap_or_else(|| panic!("{name}: no slot {index}"));
        assert_eq!(declared.name, plain(name), "slot {index} of {}", header.display());
        assert_eq!(
            rust_types((slot.signature)()),
            declared.types,
            "{name} of {}",
            header.display()
        );
    }
}

fn folder_of_8_6() -> PathBuf {
    let folders = ["/usr/include/tcl8.6", "/usr/include"].map(PathBuf::from);
    let found = folders.into_iter().find(|folder| folder.join("tclOODecls.h").exists());
    found.expect("no header of Tcl 8.6 (package tcl8.6-dev)")
}

#[test]
fn slots_of_tcloo_8_6_are_those_of_the_header() {
    check(&folder_of_8_6().join("tclOODecls.h"), &[OO, V8_OO]);
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
