//! JSON values as Tcl values, in the forms that the contract fixes: objects are dicts in the
//! server's order, booleans the words `true` and `false`, null the word `null`, numbers keep
//! their digits.

use crate::tcl::{Dict, List, Obj};
use serde_json::{Map, Value};

pub fn to_obj(value: &Value) -> Obj {
    match value {
        Value::Null => Obj::new("null"),
        Value::Bool(flag) => Obj::word(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(int) => Obj::int(int),
            None => Obj::new(&number.to_string()),
        },
        Value::String(text) => Obj::new(text),
        Value::Array(items) => {
            let mut list = List::new();
            for item in items {
                list.push(&to_obj(item));
            }
            list.into()
        }
        Value::Object(fields) => to_dict(fields),
    }
}

pub fn to_dict(fields: &Map<String, Value>) -> Obj {
    let mut dict = Dict::new();
    for (name, value) in fields {
        dict.put(name, &to_obj(value));
    }
    dict.into()
}
