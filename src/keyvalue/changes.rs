//! What becomes of the configuration of a bucket that is changed.

use super::config::{LIMIT_MARKER_TTL, TTL, check, mirror_of, window, without_markers};
use crate::error::Result;
use crate::jetstream::stream::config as stream;
use crate::schema::Record;
use serde_json::{Map, Value};

/// The configuration of a stream with these options of a bucket in the place of what they name. All else
/// stays as the server has shown it, also what is not known here.
pub fn changed(config: &Value, mut changes: Record) -> Result<Value> {
    let mut config = config.as_object().cloned().unwrap_or_default();
    if without_markers(&mut changes) {
        // Entries may have a lifetime all the same: servers do not take that back.
        config.remove(stream::SUBJECT_DELETE_MARKER_TTL.name());
    }
    check(&changes)?;
    let number = |config: &Map<String, Value>, field: &str| {
        config.get(field).and_then(Value::as_i64).unwrap_or_default()
    };
    if let Some(ttl) = changes.get(TTL).and_then(Value::as_i64) {
        // The server wants it to be no longer than entries live. One of the program's own stays.
        let (old, has) = (number(&config, "max_age"), number(&config, "duplicate_window"));
        let limited = if has == window(old) { window(ttl) } else { has.min(window(ttl)) };
        set(&mut config, stream::DUPLICATE_WINDOW.name(), limited);
    }
    if changes.get(LIMIT_MARKER_TTL).is_some() {
        set(&mut config, stream::ALLOW_MSG_TTL.name(), true);
    }
    if let Some(mirror) = mirror_of(&changes)? {
        set(&mut config, stream::MIRROR.name(), mirror);
    }
    for (field, value) in changes.into_map() {
        match value {
            Value::Null => {
                config.remove(&field);
            }
            value => set(&mut config, &field, value),
        }
    }
    Ok(config.into())
}

fn set(config: &mut Map<String, Value>, field: &str, value: impl Into<Value>) {
    config.insert(field.to_owned(), value.into());
}

#[cfg(test)]
mod tests {
    use super::super::config::{HISTORY, MAX_BUCKET_SIZE, METADATA, MIRROR_NAME, TABLE};
    use super::*;
    use crate::schema::Field;
    use serde_json::json;

    const SECOND: i64 = 1_000_000_000;

    fn change(config: &Value, changes: &[(Field, Value)]) -> Value {
        let mut record = Record::new(&TABLE);
        // With defaults, everything would be changed.
        TABLE.0.iter().for_each(|field| record.remove(*field));
        changes.iter().for_each(|(field, value)| record.set(*field, value.clone()));
        changed(config, record).expect("a configuration")
    }

    #[test]
    fn only_what_was_given() {
        let config = json!({"name": "KV_B", "max_msgs_per_subject": 5, "max_age": 0, "new": [1],
            "duplicate_window": 120 * SECOND, "metadata": {"a": "b", "_nats.ver": "2"}});
        assert_eq!(change(&config, &[]).to_string(), config.to_string());
        let found = change(
            &config,
            &[(HISTORY, 9.into()), (MAX_BUCKET_SIZE, 7.into()), (METADATA, json!({"c": "d"}))],
        );
        assert_eq!(
            found.to_string(),
            concat!(
                r#"{"name":"KV_B","max_msgs_per_subject":9,"max_age":0,"new":[1],"#,
                r#""duplicate_window":120000000000,"metadata":{"c":"d"},"max_bytes":7}"#
            )
        );
        let found = change(&config, &[(LIMIT_MARKER_TTL, SECOND.into())]);
        assert_eq!(found["allow_msg_ttl"], json!(true));
        assert_eq!(found["subject_delete_marker_ttl"], json!(SECOND));
        let found = change(&found, &[(LIMIT_MARKER_TTL, 0.into()), (METADATA, Value::Null)]);
        assert_eq!(found["allow_msg_ttl"], json!(true));
        assert_eq!(found.get("subject_delete_marker_ttl"), None);
        assert_eq!(found.get("metadata"), None);
        let found = change(&config, &[(MIRROR_NAME, "O".into())]);
        assert_eq!(found["mirror"], json!({"name": "KV_O"}));
        assert_eq!(found.get("mirror_name"), None);
    }

    #[test]
    fn the_window_follows_the_lifetime() {
        for (age, window, ttl, wanted) in [
            (0, 120, 60, 60),
            (60, 60, 3600, 120),
            (60, 60, 0, 120),
            (0, 30, 60, 30),
            (0, 90, 60, 60),
            (60, 30, 0, 30),
        ] {
            let config = json!({"max_age": age * SECOND, "duplicate_window": window * SECOND});
            let found = change(&config, &[(TTL, (ttl * SECOND).into())]);
            assert_eq!(found["duplicate_window"], json!(wanted * SECOND), "{age} {window} {ttl}");
            assert_eq!(found["max_age"], json!(ttl * SECOND));
        }
    }
}
