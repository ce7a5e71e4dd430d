//! Words of a command → record: the two modes of the documented interface, its checks and errors.
//!
//! Checks happen in two steps. Some types are checked as soon as the words are read, and then unknown
//! options are reported; the others when the request is made, after what the method itself has to say
//! on what goes together.

use super::{Field, Kind, Place, Record, Table, Version};
use crate::error::{Error, Kind as ErrorKind};
use crate::options::{self, Type};
use crate::tcl::{Interp, Obj, Result};
use serde_json::{Map, Value};

/// Whether the server is of this version or newer.
pub type Server<'a> = &'a dyn Fn(Version) -> bool;

/// What was given for the fields of a table, not yet in JSON.
pub struct Given {
    table: &'static Table,
    values: Vec<Option<Obj>>,
    /// Not even the defaults are wanted.
    nothing: bool,
    /// An empty value takes away what there is.
    clears: bool,
}

/// Reads an option list in which unknown options are errors.
pub fn strict(interp: Interp<'_>, table: &'static Table, words: &[Obj]) -> Result<Given> {
    read_strictly(interp, table, words, false)
}

/// The same for a change: an empty value of a list, a dict or a text says that there shall be none.
pub fn strict_change(interp: Interp<'_>, table: &'static Table, words: &[Obj]) -> Result<Given> {
    read_strictly(interp, table, words, true)
}

fn read_strictly(
    interp: Interp<'_>,
    table: &'static Table,
    words: &[Obj],
    clears: bool,
) -> Result<Given> {
    let (mut given, unknown) = assign(table, words)?;
    given.clears = clears;
    for (slot, field) in given.values.iter_mut().zip(table.0) {
        if let (Some(name), Kind::Plain(kind)) = (field.option, field.kind)
            && matches!(kind, Type::Bool | Type::Timeout | Type::PosInt | Type::ValidStr)
            && !(clears && slot.as_ref().is_some_and(|value| takes_away(field, value)))
            && let Some(value) = slot.take()
        {
            *slot = Some(options::check(interp, name, kind, value)?);
        }
    }
    match unknown {
        Some(error) => {
            let names = table.0.iter().filter_map(|field| field.option);
            Err(error.with_hint(options::known(names)).into())
        }
        None => Ok(given),
    }
}

/// Reads an option list that may hold options of others: what a reply shows can be given as it is. The
/// value `null` is none, and without any option the request is empty.
pub fn lenient(table: &'static Table, words: &[Obj]) -> Result<Given> {
    let (mut given, _) = assign(table, words)?;
    for slot in &mut given.values {
        if slot.as_ref().is_some_and(|value| value.tcl_bytes() == b"null") {
            *slot = None;
        }
    }
    given.nothing = words.is_empty();
    Ok(given)
}

/// Reads a dict that another command has made. Other keys are ignored, an empty value is none.
pub fn dict(interp: Interp<'_>, table: &'static Table, dict: &Obj) -> Result<Given> {
    let (mut given, _) = assign(table, &words(dict.pairs(interp)?))?;
    given.values.iter_mut().for_each(|slot| *slot = slot.take().filter(|value| !value.is_empty()));
    Ok(given)
}

/// Whether this value of the field says that there shall be none.
fn takes_away(field: &Field, value: &Obj) -> bool {
    let can_be_none = match field.kind {
        Kind::Plain(kind) => matches!(kind, Type::ValidStr | Type::List | Type::Metadata),
        Kind::Times => false,
        Kind::Object(_) | Kind::Objects(_) => true,
    };
    can_be_none && field.place == Place::Request && value.text().trim().is_empty()
}

fn words(pairs: Vec<(Obj, Obj)>) -> Vec<Obj> {
    pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()
}

fn assign(table: &'static Table, words: &[Obj]) -> Result<(Given, Option<Error>)> {
    let position = |word: &str| table.0.iter().position(|field| field.option == Some(word));
    let (values, unknown) = options::assign(table.0.len(), position, words)?;
    Ok((Given { table, values, nothing: false, clears: false }, unknown))
}

impl Given {
    pub fn get(&self, field: Field) -> Option<&Obj> {
        let at = self.table.0.iter().position(|known| known.option == field.option)?;
        self.values.get(at)?.as_ref()
    }

    /// Sets what is no option, whatever was given for it.
    pub fn set(&mut self, field: Field, value: &Obj) {
        let at = self.table.0.iter().position(|known| known.option == field.option);
        if let Some(slot) = at.and_then(|at| self.values.get_mut(at)) {
            *slot = Some(value.clone());
            self.nothing = false;
        }
    }

    /// Makes the record.
    ///
    /// # Errors
    /// For what is required and missing, values of the wrong type, and fields that the server is too
    /// old for.
    pub fn record(self, interp: Interp<'_>, server: Server<'_>) -> Result<Record> {
        if self.nothing {
            return Ok(Record::empty(self.table));
        }
        self.check_required()?;
        let record = Record::new(self.table);
        self.fill(interp, server, record)
    }

    /// Makes a record of what was given and nothing else: for a change of what there is. What is to be
    /// taken away is null.
    ///
    /// # Errors
    /// As [`Given::record`], but that something is required.
    pub fn changes(self, interp: Interp<'_>, server: Server<'_>) -> Result<Record> {
        let mut record = Record::empty(self.table);
        if self.clears {
            let fields = self.table.0.iter().zip(&self.values);
            for ((field, value), slot) in fields.zip(&mut record.values) {
                if value.as_ref().is_some_and(|value| takes_away(field, value)) {
                    *slot = Some(Value::Null);
                }
            }
        }
        self.fill(interp, server, record)
    }

    fn check_required(&self) -> Result<()> {
        for (field, value) in self.table.0.iter().zip(&self.values) {
            if let (true, None, Some(name)) = (field.required, value, field.option) {
                return Err(Error::invalid(format!("Option {name} is required")).into());
            }
        }
        Ok(())
    }

    fn fill(self, interp: Interp<'_>, server: Server<'_>, mut record: Record) -> Result<Record> {
        let fields = self.table.0.iter().zip(self.values);
        for ((field, value), slot) in fields.zip(&mut record.values) {
            let (Some(name), Some(value)) = (field.option, value) else { continue };
            if self.clears && takes_away(field, &value) {
                continue;
            }
            if let Some(value) = to_json(interp, name, field, value, server)? {
                if !server(field.since) {
                    return Err(too_old(name, field.since).into());
                }
                *slot = Some(value);
            }
        }
        Ok(record)
    }
}

/// The error for what only a newer server knows.
pub fn too_old(name: &str, (major, minor, patch): Version) -> Error {
    let patch = if patch > 0 { format!(".{patch}") } else { String::new() };
    let text = format!("{name} needs nats-server {major}.{minor}{patch}");
    Error::new(ErrorKind::NotSupported, text)
}

fn refused(word: &str, name: &str, value: &Obj) -> Error {
    Error::invalid(format!("Invalid value for the {word} option {name} : {}", value.text()))
}

/// The JSON of a value; `None` for an object without any field.
fn to_json(
    interp: Interp<'_>,
    name: &str,
    field: &Field,
    value: Obj,
    server: Server<'_>,
) -> Result<Option<Value>> {
    match field.kind {
        Kind::Plain(kind) => {
            let value = options::check(interp, name, kind, value)?;
            Ok(Some(plain(interp, name, kind, field.is_ms, &value)?))
        }
        Kind::Times => {
            let times = items(interp, &value).ok_or_else(|| refused("list", name, &value))?;
            let ns = times.iter().map(|time| options::milliseconds(time).map(Value::from));
            let ns: Option<Vec<_>> = ns.collect();
            Ok(Some(ns.ok_or_else(|| refused("list", name, &value))?.into()))
        }
        Kind::Object(table) => {
            let fields = object(interp, table, &value, server, || refused("json", name, &value))?;
            Ok(fields.map(Value::Object))
        }
        Kind::Objects(table) => {
            let refuse = || refused("json_list", name, &value);
            let mut all = Vec::new();
            for item in items(interp, &value).ok_or_else(refuse)? {
                let fields = object(interp, table, &item, server, refuse)?;
                all.push(Value::Object(fields.unwrap_or_default()));
            }
            Ok(Some(all.into()))
        }
    }
}

/// The elements of a list that is not empty.
fn items(interp: Interp<'_>, value: &Obj) -> Option<Vec<Obj>> {
    interp.aside(|| value.elements(interp)).ok().filter(|items| !items.is_empty())
}

/// The fields of an object that is given as JSON or as a dict; `None` if it has none.
fn object(
    interp: Interp<'_>,
    table: &'static Table,
    value: &Obj,
    server: Server<'_>,
    refuse: impl Fn() -> Error,
) -> Result<Option<Map<String, Value>>> {
    let text = value.text();
    if text.trim_start().starts_with('{')
        && let Ok(fields) = serde_json::from_str(&text)
    {
        return Ok(Some(fields));
    }
    let pairs = interp.aside(|| value.pairs(interp)).map_err(|_| refuse())?;
    if pairs.is_empty() {
        return Ok(None);
    }
    Ok(Some(lenient(table, &words(pairs))?.record(interp, server)?.into_map()))
}

/// The JSON of a value that was checked.
fn plain(interp: Interp<'_>, name: &str, kind: Type, is_ms: bool, value: &Obj) -> Result<Value> {
    Ok(match kind {
        Type::Bool => (value.tcl_bytes() == b"true").into(),
        Type::Ms => options::milliseconds(value).into(),
        Type::Int | Type::PosInt | Type::Timeout if is_ms => {
            // The server counts in signed 64 bits.
            let ns = options::integer(value).and_then(|ms| ms.checked_mul(1_000_000));
            ns.ok_or_else(|| options::refused(name, kind, value))?.into()
        }
        Type::Int | Type::PosInt | Type::Timeout => number(value),
        Type::List => value.elements(interp)?.iter().map(Obj::string).collect(),
        Type::Dict | Type::Metadata => {
            let pairs = value.pairs(interp)?;
            pairs.iter().map(|(key, value)| (key.string(), Value::from(value.string()))).collect()
        }
        _ => value.string().into(),
    })
}

/// As Tcl reads it; unsigned 64 bits fit, too.
fn number(value: &Obj) -> Value {
    match options::exactly_unsigned(value) {
        Some(number) => number.into(),
        None => options::integer(value).unwrap_or_default().into(),
    }
}
