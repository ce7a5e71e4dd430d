//! What requests consist of: tables of fields, one line for each.
//!
//! A line has the name of a field in Rust, and what is to be known of it: the option that sets it,
//! the type of that option, the JSON name where it is not that of the option, the default, the
//! unit, whether it must be given, and the server that knows it first:
//!
//! ```text
//! table! {
//!     NAME:            valid_str("name").required();
//!     RETENTION:       one_of("retention", &["limits", "interest", "workqueue"]).or("limits");
//!     MAX_AGE:         ms("max_age");
//!     ALLOW_MSG_TTL:   boolean("allow_msg_ttl").since(2, 11, 0);
//!     MIRROR:          object("mirror", &source::TABLE);
//! }
//! ```
//!
//! The order of the lines is that of the JSON. Everything else follows from the table: `read` makes
//! a [`Record`] of the words of a command, with the errors of the documented interface; code names
//! fields by their constants ([`Record::set`]); `show` turns replies into what Tcl sees. Units are
//! part of it: what is `ms` is milliseconds for Tcl, nanoseconds in JSON, in both directions.
//!
//! # Adding an option
//!
//! | to | add one line to |
//! |---|---|
//! | a stream | `jetstream/stream/config.rs`, `TABLE` or the table of a nested object |
//! | a consumer | `jetstream/consumer/config.rs` |
//! | a bucket | `keyvalue/config.rs`, made from the line of the stream: `stream::MAX_MSG_SIZE.called("max_value_size")` |
//! | another request | the table beside the method that sends it |
//!
//! and its row to the reference in `doc/`. If it is a duration, replies show it in milliseconds from
//! then on; nothing that a reply has and the table has not is touched.

mod read;
mod show;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use read::{Given, dict, lenient, strict, strict_change, too_old};

use crate::options::Type;
use serde_json::{Map, Value};

/// Major, minor and patch number of a server.
pub type Version = (u32, u32, u32);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain(Type),
    /// A non-empty list of times in ms.
    Times,
    /// A dict, or JSON.
    Object(&'static Table),
    /// A non-empty list of them.
    Objects(&'static Table),
}

#[derive(Clone, Copy, Debug)]
enum Constant {
    Word(&'static str),
    Int(i64),
    Flag(bool),
}

/// Where a field appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Request,
    /// An option that is no field of the request.
    Method,
    /// A field of replies that is not shown.
    Nowhere,
}

/// A line of a table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// `None` for what no option sets.
    option: Option<&'static str>,
    json: &'static str,
    kind: Kind,
    /// Milliseconds for Tcl, nanoseconds in JSON.
    is_ms: bool,
    default: Option<Constant>,
    required: bool,
    since: Version,
    place: Place,
}

/// The fields of a request or of an object in it, in the order of its JSON.
#[derive(Debug)]
pub struct Table(pub &'static [Field]);

/// Declares a constant for each field, and `TABLE`.
macro_rules! table {
    ($($name:ident: $field:expr;)*) => {
        $(pub const $name: $crate::schema::Field = $field;)*
        pub static TABLE: $crate::schema::Table = $crate::schema::Table(&[$($name),*]);
    };
}
pub(crate) use table;

const fn field(option: &'static str, kind: Kind) -> Field {
    Field {
        option: Some(option),
        json: option,
        kind,
        is_ms: false,
        default: None,
        required: false,
        since: (0, 0, 0),
        place: Place::Request,
    }
}

/// Any string.
pub const fn any_str(option: &'static str) -> Field {
    field(option, Kind::Plain(Type::Str))
}

/// A string that is not empty.
pub const fn valid_str(option: &'static str) -> Field {
    field(option, Kind::Plain(Type::ValidStr))
}

pub const fn boolean(option: &'static str) -> Field {
    field(option, Kind::Plain(Type::Bool))
}

pub const fn int(option: &'static str) -> Field {
    field(option, Kind::Plain(Type::Int))
}

/// An integer ≥ 0.
pub const fn pos_int(option: &'static str) -> Field {
    field(option, Kind::Plain(Type::PosInt))
}

/// Milliseconds, with a fraction if wanted.
pub const fn ms(option: &'static str) -> Field {
    Field { is_ms: true, ..field(option, Kind::Plain(Type::Ms)) }
}

/// A list of milliseconds.
pub const fn ms_list(option: &'static str) -> Field {
    Field { is_ms: true, ..field(option, Kind::Times) }
}

pub const fn one_of(option: &'static str, words: &'static [&'static str]) -> Field {
    field(option, Kind::Plain(Type::Enum(words)))
}

/// A list of strings that is not empty.
pub const fn list(option: &'static str) -> Field {
    field(option, Kind::Plain(Type::List))
}

/// A dict of strings that is not empty.
pub const fn metadata(option: &'static str) -> Field {
    field(option, Kind::Plain(Type::Metadata))
}

/// An object of another table: a dict, as replies show it, or JSON. An empty one is not sent.
pub const fn object(option: &'static str, table: &'static Table) -> Field {
    field(option, Kind::Object(table))
}

/// A list of objects that is not empty.
pub const fn objects(option: &'static str, table: &'static Table) -> Field {
    field(option, Kind::Objects(table))
}

/// A field of replies that is not shown.
pub const fn hidden(json: &'static str) -> Field {
    Field { option: None, place: Place::Nowhere, ..any_str(json) }
}

impl Field {
    /// Another option for the same field.
    pub const fn called(self, option: &'static str) -> Field {
        Field { option: Some(option), ..self }
    }

    /// Another type of the option; the unit stays.
    pub const fn typed(self, kind: Type) -> Field {
        Field { kind: Kind::Plain(kind), ..self }
    }

    /// What is sent when the option is not given.
    pub const fn or(self, word: &'static str) -> Field {
        Field { default: Some(Constant::Word(word)), ..self }
    }

    pub const fn or_int(self, number: i64) -> Field {
        Field { default: Some(Constant::Int(number)), ..self }
    }

    pub const fn or_flag(self, flag: bool) -> Field {
        Field { default: Some(Constant::Flag(flag)), ..self }
    }

    /// No option: it is always the default, or what code sets.
    pub const fn fixed(self) -> Field {
        Field { option: None, ..self }
    }

    /// Without it there is no request.
    pub const fn required(self) -> Field {
        Field { required: true, ..self }
    }

    /// An older server does not know it: asking one for it is an error.
    pub const fn since(self, major: u32, minor: u32, patch: u32) -> Field {
        Field { since: (major, minor, patch), ..self }
    }

    /// An option that is no field of the request: the method reads it.
    pub const fn of_method(self) -> Field {
        Field { place: Place::Method, ..self }
    }

    /// As messages call it.
    pub fn name(&self) -> &'static str {
        self.option.unwrap_or(self.json)
    }

    fn default(&self) -> Option<Value> {
        Some(match self.default? {
            Constant::Word(word) => word.into(),
            Constant::Int(number) => number.into(),
            Constant::Flag(flag) => flag.into(),
        })
    }
}

impl Table {
    fn position(&self, json: &str) -> Option<usize> {
        self.0.iter().position(|field| field.json == json)
    }

    /// A value of a JSON field as the program knows it: the name of its option, if it has one, and
    /// its unit.
    pub fn shown(&self, json: &str, value: &Value) -> Option<(Option<&'static str>, Value)> {
        let field = self.0.get(self.position(json)?)?;
        let ms = value.as_i64().filter(|_| field.is_ms).map(|ns| ns / 1_000_000);
        Some((field.option, ms.map_or_else(|| value.clone(), Value::from)))
    }
}

/// The values of a request, or of an object in it, as they are in JSON.
#[derive(Clone, Debug)]
pub struct Record {
    table: &'static Table,
    /// By the position of their field.
    values: Vec<Option<Value>>,
}

impl Record {
    /// With the defaults of the table.
    pub fn new(table: &'static Table) -> Record {
        Record { table, values: table.0.iter().map(Field::default).collect() }
    }

    fn empty(table: &'static Table) -> Record {
        Record { table, values: vec![None; table.0.len()] }
    }

    /// Sets a field of this record's table, or of a table that was made from its lines; times are
    /// in ns.
    pub fn set(&mut self, field: Field, value: impl Into<Value>) {
        let slot = self.table.position(field.json).and_then(|at| self.values.get_mut(at));
        debug_assert!(slot.is_some(), "{} is no field of this table", field.json);
        if let Some(slot) = slot {
            *slot = Some(value.into());
        }
    }

    pub fn get(&self, field: Field) -> Option<&Value> {
        self.values.get(self.table.position(field.json)?)?.as_ref()
    }

    pub fn text(&self, field: Field) -> Option<&str> {
        self.get(field)?.as_str()
    }

    pub fn remove(&mut self, field: Field) {
        if let Some(at) = self.table.position(field.json)
            && let Some(slot) = self.values.get_mut(at)
        {
            *slot = None;
        }
    }

    /// Takes over what another record has for the request.
    pub fn merge(&mut self, other: Record) {
        for (field, value) in other.table.0.iter().zip(other.values) {
            if let Some(value) = value
                && field.place == Place::Request
            {
                self.set(*field, value);
            }
        }
    }

    /// The request; without any field there is none.
    pub fn request(self) -> Option<Value> {
        let fields = self.into_map();
        (!fields.is_empty()).then_some(Value::Object(fields))
    }

    /// The fields that are set, in the order of the table.
    pub fn into_map(self) -> Map<String, Value> {
        let fields = self.table.0.iter().zip(self.values);
        let sent = fields.filter(|(field, _)| field.place == Place::Request);
        sent.filter_map(|(field, value)| Some((field.json.to_owned(), value?))).collect()
    }
}

impl From<Record> for Value {
    fn from(record: Record) -> Value {
        Value::Object(record.into_map())
    }
}
