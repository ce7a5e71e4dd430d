//! Replies as Tcl sees them: times in milliseconds, without what is hidden. Everything else stays, also
//! what the table does not know, and in its place.

use super::{Field, Kind, Place, Table};
use serde_json::{Map, Value};

impl Table {
    /// Makes of a reply, or of an object in it, what is shown of it.
    pub fn show(&self, reply: &mut Value) {
        if let Value::Object(fields) = reply {
            self.show_fields(fields);
        }
    }

    fn show_fields(&self, fields: &mut Map<String, Value>) {
        for field in self.0 {
            if field.place == Place::Nowhere {
                // `remove` would move the last key to the front.
                fields.shift_remove(field.json);
            } else if field.changes()
                && let Some(value) = fields.get_mut(field.json)
            {
                field.show(value);
            }
        }
    }
}

impl Field {
    fn changes(&self) -> bool {
        self.is_ms || matches!(self.kind, Kind::Object(_) | Kind::Objects(_))
    }

    fn show(&self, value: &mut Value) {
        match (self.kind, value) {
            (Kind::Object(table), value) => table.show(value),
            (Kind::Objects(table), Value::Array(items)) => {
                items.iter_mut().for_each(|item| table.show(item));
            }
            (Kind::Times, Value::Array(items)) => items.iter_mut().for_each(to_milliseconds),
            (Kind::Plain(_), value) => to_milliseconds(value),
            _ => {}
        }
    }
}

/// 0 and −1 have meanings of their own and stay.
fn to_milliseconds(value: &mut Value) {
    if let Some(ns) = value.as_i64()
        && ns > 0
    {
        *value = Value::from(ns / 1_000_000);
    }
}
