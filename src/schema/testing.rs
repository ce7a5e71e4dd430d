//! What tables are tested with: in both modes, both directions, and with older servers.

use super::read::{self, Given};
use super::{Table, Version};
use crate::tcl::testing::{interp, refused, words};
use crate::tcl::{Interp, Result};
use serde_json::Value;

const NEW: &dyn Fn(Version) -> bool = &|_| true;

fn json(interp: Interp<'_>, given: Result<Given>) -> Result<String> {
    Ok(Value::from(given?.record(interp, NEW)?).to_string())
}

/// The options of a table.
pub fn options(table: &'static Table) -> impl Iterator<Item = &'static str> {
    table.0.iter().filter_map(|field| field.option)
}

/// The JSON of options in which unknown ones are errors.
pub fn strict(table: &'static Table, options: &str, expected: &str) {
    interp(|interp| {
        let given = read::strict(interp, table, &words(interp, options));
        assert_eq!(json(interp, given).expect("JSON"), expected);
    });
}

/// The JSON of options among which others may be.
pub fn lenient(table: &'static Table, options: &str, expected: &str) {
    interp(|interp| {
        let given = read::lenient(table, &words(interp, options));
        assert_eq!(json(interp, given).expect("JSON"), expected);
    });
}

/// What is shown of an object is given as options, and makes the same object.
pub fn round_trip(table: &'static Table, object: &str) {
    let mut shown = serde_json::from_str(object).expect("JSON");
    table.show(&mut shown);
    assert_ne!(shown.to_string(), object, "no unit");
    interp(|interp| {
        let dict = crate::json::to_obj(&shown);
        for given in [
            read::lenient(table, &dict.elements(interp).expect("a list")),
            read::strict(interp, table, &dict.elements(interp).expect("a list")),
        ] {
            assert_eq!(json(interp, given).expect("JSON"), object);
        }
    });
}

/// Each of the options is refused in both modes with `Invalid value for the` and this text.
pub fn refuses(table: &'static Table, others: &str, options: &[(&str, &str)]) {
    interp(|interp| {
        for (option, text) in options {
            let words = words(interp, &format!("{others} {option}"));
            let expected = ("ErrInvalidArg", format!("Invalid value for the {text}"));
            for given in [read::lenient(table, &words), read::strict(interp, table, &words)] {
                assert_eq!(refused(json(interp, given)), expected);
            }
        }
    });
}

/// Without a field there is no request.
pub fn requires(table: &'static Table, options: &str, missing: &str) {
    interp(|interp| {
        let given = read::lenient(table, &words(interp, options));
        let expected = ("ErrInvalidArg", format!("Option {missing} is required"));
        assert_eq!(refused(json(interp, given)), expected);
    });
}

/// `options` hold a field that servers know from this version on.
pub fn lacks(table: &'static Table, options: &str, field: &str, version: Version) {
    interp(|interp| {
        let ask = |knows: &dyn Fn(Version) -> bool| {
            read::lenient(table, &words(interp, options))?.record(interp, knows)
        };
        assert!(ask(&|since| since <= version).is_ok(), "{field}");
        let (code, text) = refused(ask(&|since| since < version));
        assert_eq!(code, "ErrNotSupported");
        let (major, minor, patch) = version;
        let short = format!("{field} needs nats-server {major}.{minor}");
        assert_eq!(text, if patch == 0 { short } else { format!("{short}.{patch}") });
    });
}

/// These fields, each with a value, are not known to all servers; all others are.
pub fn since(table: &'static Table, others: &str, options: &[(&str, Version)]) {
    for (option, version) in options {
        let (name, _) = option.split_once(' ').expect("a value");
        lacks(table, &format!("{others} {option}"), name, *version);
    }
    let young = table.0.iter().filter(|field| field.since > (2, 2, 0)).count();
    assert_eq!(young, options.len());
}
