//! Creating a stream, and what is in the way if there is another one of that name.

use super::config::PEDANTIC;
use super::differences::{Difference, differences};
use crate::error::Result;
use crate::jetstream::api::{Api, Op};
use crate::schema::Table;
use serde_json::Value;

pub const NAME_IN_USE: (u64, u64) = (400, 10058);

/// Creates a stream; `what` it is for the program, which knows its fields by these tables.
pub async fn create(
    api: &Api,
    stream: &str,
    what: &str,
    config: &Value,
    tables: &[&'static Table],
) -> Result<Value> {
    match api.call(Op::StreamCreate(stream), config.to_string()).await {
        Err(error) if error.api == Some(NAME_IN_USE) => {
            let info = api.call(Op::StreamInfo(stream), "").await.unwrap_or_default();
            let found = match info.get("config") {
                Some(has) => of_streams(differences(config, has)),
                None => Vec::new(),
            };
            let text = in_use(&error.message, what, &found, tables);
            Err(error.with_message(text))
        }
        other => other,
    }
}

/// Without what is of the request alone.
fn of_streams(mut found: Vec<Difference>) -> Vec<Difference> {
    found.retain(|found| found.field != PEDANTIC.name());
    found
}

/// What the server says of a name that is in use, and what that does not say.
fn in_use(text: &str, what: &str, found: &[Difference], tables: &[&'static Table]) -> String {
    let differs: Vec<String> = found.iter().map(|found| difference(found, tables)).collect();
    match differs.is_empty() {
        true => format!("{text}: {what}"),
        false => format!("{text}: {what}: {}", differs.join(", ")),
    }
}

fn difference(found: &Difference, tables: &[&'static Table]) -> String {
    let shown = |value: &Value| tables.iter().find_map(|table| table.shown(&found.field, value));
    let show = |value: &Value| match shown(value).map_or_else(|| value.clone(), |(_, value)| value)
    {
        Value::Null => "none".to_owned(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    let name = shown(&Value::Null).and_then(|(option, _)| option).unwrap_or(&found.field);
    format!("{name} is {}, not {}", show(&found.has), show(&found.asked))
}
