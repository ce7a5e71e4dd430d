//! In what the configuration of a stream differs from the one that was asked for.

use serde_json::{Map, Value};

/// A field that differs; `Null` is what is not set.
#[derive(Debug, PartialEq)]
pub struct Difference {
    pub field: String,
    pub has: Value,
    pub asked: Value,
}

/// Compares what a stream has with what a request would have made of it. What the request leaves to
/// the server counts as not set, and so do values that mean as much.
pub fn differences(asked: &Value, has: &Value) -> Vec<Difference> {
    let empty = Map::new();
    let (asked, has) = (asked.as_object().unwrap_or(&empty), has.as_object().unwrap_or(&empty));
    let later = has.keys().filter(|field| !asked.contains_key(*field));
    let compare = |field: &String| {
        let value = |of: &Map<String, Value>| of.get(field).map_or(Value::Null, plain);
        let (has, asked) = (value(has), value(asked));
        (has != asked).then(|| Difference { field: field.clone(), has, asked })
    };
    asked.keys().chain(later).filter_map(compare).collect()
}

/// The value without what a server adds, and `Null` for what stands for nothing.
fn plain(value: &Value) -> Value {
    let unset = match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => matches!(number.as_i64(), Some(0 | -1)),
        Value::String(text) => matches!(text.as_str(), "" | "none" | "default"),
        Value::Array(items) if !items.is_empty() => return items.iter().map(plain).collect(),
        Value::Array(_) => true,
        Value::Object(fields) => {
            let own = fields.iter().filter(|(name, _)| !name.starts_with("_nats."));
            let set = own.map(|(name, value)| (name.clone(), plain(value)));
            let set: Map<_, _> = set.filter(|(_, value)| !value.is_null()).collect();
            if !set.is_empty() {
                return Value::Object(set);
            }
            true
        }
    };
    if unset { Value::Null } else { value.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs() {
        let asked = json!({"name": "S", "subjects": ["a"], "max_age": 5, "storage": "file",
            "metadata": {"a": "b"}, "mirror": {"name": "O"}});
        let has = json!({"name": "S", "subjects": ["a", "b"], "max_age": 0, "max_bytes": -1,
            "storage": "memory", "sealed": false, "compression": "none", "consumer_limits": {},
            "metadata": {"a": "b", "_nats.ver": "2"},
            "mirror": {"name": "O", "external": {"api": "", "deliver": ""}}, "max_msgs": 7});
        let found = differences(&asked, &has);
        let found: Vec<_> =
            found.iter().map(|d| format!("{} {} {}", d.field, d.has, d.asked)).collect();
        assert_eq!(
            found,
            [
                r#"subjects ["a","b"] ["a"]"#,
                "max_age null 5",
                r#"storage "memory" "file""#,
                "max_msgs 7 null"
            ]
        );
        assert_eq!(differences(&asked, &asked), []);
    }
}
