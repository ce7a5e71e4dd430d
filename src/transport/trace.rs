//! What a server says in its INFO, also when the attempt fails afterwards.
//!
//! The engine shows the INFO only of connections that were made, and asks for credentials without
//! it. But it writes each INFO that it reads to its trace, on the thread of the runtime, before it
//! does anything else with it. We listen to that one line; whatever else is traced stays switched
//! off, so it costs nothing.
//!
//! The line has the `Debug` form of [`async_nats::ServerInfo`]. Should that change, nothing is
//! heard, tests fail, and attempts go on as with a server that wants to know who we are.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use tracing_core::dispatcher::{DefaultGuard, set_default};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Level, LevelFilter, Metadata, Subscriber};

use super::info::ServerInfo;

/// The member of the traced line that holds the INFO.
const MEMBER: &str = "info";

/// An INFO as it was heard.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub auth_required: bool,
    pub tls_required: bool,
    pub info: Arc<ServerInfo>,
}

thread_local!(static LAST: RefCell<Option<Heard>> = const { RefCell::new(None) });

/// Listens on this thread until the guard is dropped.
pub(super) fn listen() -> DefaultGuard {
    static EAR: OnceLock<Dispatch> = OnceLock::new();
    set_default(EAR.get_or_init(|| Dispatch::new(Ear)))
}

/// Forgets what was heard on this thread.
pub(super) fn forget() {
    LAST.take();
}

/// The last INFO that was heard on this thread.
pub(super) fn last() -> Option<Heard> {
    LAST.with_borrow(Clone::clone)
}

struct Ear;

impl Subscriber for Ear {
    /// Asked once for each place that traces.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() == Level::TRACE
            && metadata.target() == "async_nats::connection"
            && metadata.fields().field(MEMBER).is_some()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        if let Some(heard) = read(&line.0) {
            LAST.replace(Some(heard));
        }
    }

    // There are no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Takes the text of the one member.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == MEMBER {
            // Writing to a string does not fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// From `ServerInfo { server_id: "X", auth_required: true, cluster: None, … }`.
fn read(text: &str) -> Option<Heard> {
    let mut rest = text.strip_prefix("ServerInfo { ")?;
    let mut members = Map::new();
    loop {
        let (name, after) = rest.split_once(": ")?;
        let (value, after) = value(after)?;
        // The one member that has another name in the protocol.
        let name = if name == "lame_duck_mode" { "ldm" } else { name };
        members.insert(name.to_owned(), value);
        match after.strip_prefix(", ") {
            Some(next) => rest = next,
            None => break,
        }
    }
    let info: async_nats::ServerInfo = serde_json::from_value(Value::Object(members)).ok()?;
    Some(Heard {
        auth_required: info.auth_required,
        tls_required: info.tls_required,
        info: Arc::new(ServerInfo::new(&info)),
    })
}

/// The value at the start of a text, and what follows it.
fn value(text: &str) -> Option<(Value, &str)> {
    if let Some(rest) = text.strip_prefix("Some(") {
        let (inner, rest) = value(rest)?;
        return Some((inner, rest.strip_prefix(')')?));
    }
    if let Some(rest) = text.strip_prefix("None") {
        return Some((Value::Null, rest));
    }
    if let Some(rest) = text.strip_prefix('"') {
        return string(rest).map(|(string, rest)| (Value::String(string), rest));
    }
    if let Some(mut rest) = text.strip_prefix('[') {
        let mut list = Vec::new();
        while !rest.starts_with(']') {
            let (item, after) = value(rest)?;
            list.push(item);
            rest = after.strip_prefix(", ").unwrap_or(after);
        }
        return Some((Value::Array(list), &rest[1..]));
    }
    let end = text.find([',', ' ', ')', ']']).unwrap_or(text.len());
    Some((serde_json::from_str(&text[..end]).ok()?, &text[end..]))
}

/// A string after its opening quote, with Rust's escapes undone.
fn string(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                '0' => out.push('\0'),
                'u' => {
                    let digits = text[at + 2..].strip_prefix('{')?.split_once('}')?.0;
                    out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    for _ in 0..digits.len() + 2 {
                        chars.next();
                    }
                }
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_form_of_an_info_is_read() {
        let odd = "\" auth_required: false, x\u{7}\u{200b}é\\\n";
        let info = async_nats::ServerInfo {
            server_id: odd.into(),
            auth_required: true,
            nonce: "n".into(),
            port: 4222,
            max_payload: 1 << 20,
            connect_urls: vec!["a:1".into(), odd.into()],
            cluster: Some(odd.into()),
            lame_duck_mode: true,
            ..Default::default()
        };
        let heard = read(&format!("{info:?}")).expect("readable");
        assert!(heard.auth_required && !heard.tls_required);
        assert_eq!(*heard.info, ServerInfo::new(&info));
        let plain = read(&format!("{:?}", async_nats::ServerInfo::default())).expect("readable");
        assert!(!plain.auth_required && !plain.tls_required);
    }

    #[test]
    fn other_text_is_not_read() {
        for text in
            ["", "ServerInfo { }", "ServerInfo { a: \"", "Other { a: 1 }", "ServerInfo { a: ["]
        {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
