//! The options of a publish, and the headers that they set.

use crate::error::{Error, Result};
use crate::jetstream::context::JetStream;
use crate::options::{self, Options, Spec, Type};
use crate::schema::Version;
use crate::tcl::Obj;
use crate::transport::Patience;
use std::time::Duration;

/// What becomes of the value of an option in its header.
#[derive(Clone, Copy)]
enum Form {
    Text,
    /// As the server counts sequences.
    Sequence,
    /// A number with its sign, of any size.
    Increment,
    /// Milliseconds, or that it never ends.
    Lifetime,
}

struct HeaderOption {
    option: &'static str,
    header: &'static str,
    form: Form,
    since: Version,
}

const fn header(
    option: &'static str,
    header: &'static str,
    form: Form,
    since: Version,
) -> HeaderOption {
    HeaderOption { option, header, form, since }
}

/// What each server has that has JetStream. One without headers is refused by the headers themselves.
const ALWAYS: Version = (0, 0, 0);

const HEADERS: &[HeaderOption] = &[
    header("stream", "Nats-Expected-Stream", Form::Text, ALWAYS),
    header("msg_id", "Nats-Msg-Id", Form::Text, ALWAYS),
    header("expect_last_seq", "Nats-Expected-Last-Sequence", Form::Sequence, ALWAYS),
    header(
        "expect_last_subject_seq",
        "Nats-Expected-Last-Subject-Sequence",
        Form::Sequence,
        (2, 3, 1),
    ),
    header("expect_subject", "Nats-Expected-Last-Subject-Sequence-Subject", Form::Text, (2, 11, 0)),
    header("expect_last_msg_id", "Nats-Expected-Last-Msg-Id", Form::Text, ALWAYS),
    header("rollup", "Nats-Rollup", Form::Text, (2, 6, 2)),
    header("ttl", "Nats-TTL", Form::Lifetime, (2, 11, 0)),
    header("incr", "Nats-Incr", Form::Increment, (2, 12, 0)),
    header("schedule", "Nats-Schedule", Form::Text, (2, 12, 0)),
    header("schedule_target", "Nats-Schedule-Target", Form::Text, (2, 12, 0)),
    header("schedule_source", "Nats-Schedule-Source", Form::Text, (2, 14, 0)),
    header("schedule_ttl", "Nats-Schedule-TTL", Form::Lifetime, (2, 12, 0)),
    header("schedule_time_zone", "Nats-Schedule-Time-Zone", Form::Text, (2, 14, 0)),
];

/// What all that publishes takes.
pub const HEADER_OPTIONS: [Spec; 14] = [
    ("stream", Type::ValidStr),
    ("msg_id", Type::ValidStr),
    ("expect_last_seq", Type::PosInt),
    ("expect_last_subject_seq", Type::PosInt),
    ("expect_subject", Type::ValidStr),
    ("expect_last_msg_id", Type::ValidStr),
    ("rollup", Type::Enum(&["sub", "all"])),
    ("ttl", Type::Checked("ttl", |text| lifetime(text).is_some())),
    ("incr", Type::Int),
    ("schedule", Type::ValidStr),
    ("schedule_target", Type::ValidStr),
    ("schedule_source", Type::ValidStr),
    ("schedule_ttl", Type::Checked("ttl", |text| lifetime(text).is_some())),
    ("schedule_time_zone", Type::ValidStr),
];

/// The options of `publish` and `publish_msg`.
pub const PUBLISH_OPTIONS: [Spec; 18] = {
    let mut all = [("", Type::Str); 18];
    all[0] = ("timeout", Type::Timeout);
    all[1] = ("callback", Type::ValidStr);
    all[2] = ("retries", Type::PosInt);
    all[3] = ("retry_wait", Type::Timeout);
    let mut at = 0;
    while at < HEADER_OPTIONS.len() {
        all[at + 4] = HEADER_OPTIONS[at];
        at += 1;
    }
    all
};

/// The headers that these options set.
///
/// # Errors
/// For what does not go together, and for what the server is too old for.
pub fn headers(js: &JetStream, given: &Options) -> Result<Vec<(&'static str, String)>> {
    const NEED: &[(&str, &str)] = &[
        ("expect_subject", "expect_last_subject_seq"),
        ("schedule_target", "schedule"),
        ("schedule_source", "schedule"),
        ("schedule_ttl", "schedule"),
        ("schedule_time_zone", "schedule"),
    ];
    for (option, needed) in NEED {
        if given.get(option).is_some() && given.get(needed).is_none() {
            return Err(Error::invalid(format!("-{option} requires -{needed}")));
        }
    }
    let mut headers = Vec::new();
    for HeaderOption { option, header, form, since } in HEADERS {
        let Some(value) = given.get(option) else { continue };
        let text = match form {
            Form::Text => value.string(),
            Form::Sequence => options::unsigned(value).unwrap_or(0).to_string(),
            Form::Increment => increment(value),
            Form::Lifetime => lifetime(&value.text()).unwrap_or_default(),
        };
        js.needs(option, *since)?;
        if *option == "schedule" && !text.starts_with("@at ") {
            js.needs("schedule other than @at", (2, 14, 0))?;
        }
        headers.push((*header, text));
    }
    Ok(headers)
}

/// Milliseconds as the server reads times: in seconds where they are whole ones.
fn lifetime(text: &str) -> Option<String> {
    if text == "never" {
        return Some("never".to_owned());
    }
    let ns = options::milliseconds(&Obj::new(text)).filter(|ns| *ns >= 0)?;
    const MS: i64 = 1_000_000;
    Some(match ns % (1000 * MS) {
        0 => (ns / (1000 * MS)).to_string(),
        _ if ns % MS == 0 => format!("{}ms", ns / MS),
        _ => format!("{ns}ns"),
    })
}

/// An integer of any size with its sign.
pub fn increment(value: &Obj) -> String {
    let number = options::integer(value).unwrap_or(0);
    let text = match number {
        // What was cut to that has its digits.
        i64::MAX | i64::MIN => value.text().trim().trim_start_matches('+').to_owned(),
        _ => number.to_string(),
    };
    if text.starts_with('-') { text } else { format!("+{text}") }
}

/// How often a publish that meets nobody is made again.
pub fn retries(given: &Options) -> Option<Patience> {
    const USUAL: Duration = Duration::from_millis(250);
    let left = given.int("retries").and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0)?;
    Some(Patience::Times { left, pause: given.duration("retry_wait").unwrap_or(USUAL) })
}
