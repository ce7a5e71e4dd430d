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
/// the server counts as not set, and so do values that mean as much, or that the server chooses.
pub fn differences(asked: &Value, has: &Value) -> Vec<Difference> {
    let empty = Map::new();
    let (asked, has) = (asked.as_object().unwrap_or(&empty), has.as_object().unwrap_or(&empty));
    let left = |field: &&String| !asked.contains_key(*field) && !is_chosen(field, has);
    let later = has.keys().filter(left);
    let compare = |field: &String| {
        let value = |of: &Map<String, Value>| of.get(field).map_or(Value::Null, plain);
        let (has, asked) = (value(has), value(asked));
        (has != asked).then(|| Difference { field: field.clone(), has, asked })
    };
    asked.keys().chain(later).filter_map(compare).collect()
}

/// In ns.
const USUAL_WINDOW: i64 = 120_000_000_000;

/// Whether the server would have chosen what a stream has in a field that was not asked for.
fn is_chosen(field: &str, has: &Map<String, Value>) -> bool {
    let Some(value) = has.get(field) else { return true };
    match field {
        "subjects" => value.as_array().is_some_and(|all| all.iter().eq(has.get("name"))),
        "discard" => value == "old",
        "num_replicas" => value == 1,
        "duplicate_window" => {
            let age = has.get("max_age").and_then(Value::as_i64).filter(|age| *age > 0);
            value.as_i64() == Some(age.unwrap_or(USUAL_WINDOW).min(USUAL_WINDOW))
        }
        _ => false,
    }
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

    #[test]
    fn what_the_server_chooses_is_no_difference() {
        let asked = json!({"name": "S", "max_age": 5});
        let has = json!({"name": "S", "subjects": ["S"], "max_age": 5, "discard": "old",
            "num_replicas": 1, "duplicate_window": 5});
        assert_eq!(differences(&asked, &has), []);
        let has = json!({"name": "S", "subjects": ["T"], "max_age": 5, "discard": "new",
            "num_replicas": 3, "duplicate_window": USUAL_WINDOW});
        assert_eq!(differences(&asked, &has).len(), 4);
        let has = json!({"name": "S", "duplicate_window": USUAL_WINDOW});
        assert_eq!(differences(&json!({"name": "S"}), &has), []);
    }
}
