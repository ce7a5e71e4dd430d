//! What the engine says only in its trace.
//!
//! The engine shows the INFO only of connections that were made, asks for credentials without it,
//! says nothing of a later INFO, and never why a connection was lost. But it writes all of that to
//! its trace, on the thread of the runtime, before it does anything else with it. We listen to
//! those few lines; whatever else is traced stays switched off, so it costs nothing. Whose engine has
//! said something is told by the task in which it is said.
//!
//! An INFO has the `Debug` form of [`async_nats::ServerInfo`], a cause that of an `io::Error`.
//! These lines are no interface, so the version of the engine is fixed in `Cargo.toml`, and
//! `tests/trace.rs` gets each of the nine from it. Should one change in spite of that, it is passed
//! over, and connections go on with less precise errors.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use tokio::task;
use tracing_core::dispatcher::{DefaultGuard, set_default};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Level, LevelFilter, Metadata, Subscriber};

use super::leash::{self, Leash};

/// What was traced, at one of nine places of the engine. Told in the middle of its work: whoever
/// listens must neither wait nor call the engine.
pub(super) enum Traced {
    /// An attempt at one address of a server begins.
    Dial,
    /// Bytes were read; the engine's statistics have counted them.
    Read,
    /// An INFO, of a handshake or later.
    Info(Box<async_nats::ServerInfo>),
    /// The text of an `-ERR`.
    ServerError(String),
    /// A PING was written, in a handshake too.
    Ping,
    /// A PONG was read.
    Pong,
    /// The socket could not be read; the connection ends next.
    ReadFailed,
    /// The keep-alive is unanswered; the connection ends next.
    Stale,
    /// The connection ends; the reason is the `Debug` form of an `Option<io::Error>`.
    Lost(String),
}

/// Whether the engine may go on. Otherwise it is stopped in the middle of its work: its task unwinds,
/// as in a panic, but nothing is printed.
pub(super) type Verdict = ControlFlow<()>;

/// Who hears what an engine says.
#[derive(Clone)]
struct Listener {
    tell: Rc<dyn Fn(Traced) -> Verdict>,
    leash: Arc<Leash>,
}

/// The task of an engine.
type Speaker = Option<task::Id>;

thread_local! {
    /// Those of the engines on this thread.
    static LISTENERS: RefCell<HashMap<Speaker, Listener>> = RefCell::default();
    /// While it is there, this thread's trace comes to us.
    static TUNED: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// Listens to the engine in whose task this is called, until the result is dropped. Once its leash is
/// over the engine ends at the next line, and nothing is told.
pub(super) fn listen(
    leash: Arc<Leash>,
    listener: impl Fn(Traced) -> Verdict + 'static,
) -> Listening {
    listen_to(task::try_id(), leash, listener)
}

/// Listens to all engines of this thread.
#[cfg(test)]
pub(super) fn listen_to_all(listener: impl Fn(Traced) -> Verdict + 'static) -> Listening {
    listen_to(None, Arc::default(), listener)
}

fn listen_to(
    speaker: Speaker,
    leash: Arc<Leash>,
    listener: impl Fn(Traced) -> Verdict + 'static,
) -> Listening {
    static SUBSCRIBER: OnceLock<Dispatch> = OnceLock::new();
    TUNED.with_borrow_mut(|tuned| {
        tuned.get_or_insert_with(|| {
            set_default(SUBSCRIBER.get_or_init(|| Dispatch::new(TraceSubscriber)))
        });
    });
    LISTENERS.with_borrow_mut(|all| {
        all.insert(speaker, Listener { tell: Rc::new(listener), leash });
    });
    Listening(speaker)
}

pub(super) struct Listening(Speaker);

impl Drop for Listening {
    fn drop(&mut self) {
        // The thread may be ending.
        let gone = LISTENERS.try_with(|all| all.borrow_mut().remove(&self.0));
        drop(gone);
    }
}

/// Who listens to the engine that is speaking.
fn listening() -> Option<Listener> {
    let speaker = task::try_id();
    let known = LISTENERS.try_with(|all| match all.borrow().get(&speaker) {
        None if cfg!(test) => all.borrow().get(&None).cloned(),
        known => known.cloned(),
    });
    // The thread may be ending.
    known.ok().flatten()
}

struct TraceSubscriber;

impl Subscriber for TraceSubscriber {
    /// Asked once for each place that traces. Its text cannot be known here, only its fields.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let has = |name| metadata.fields().field(name).is_some();
        // What has nothing else is what is read and written without a parameter, and once for each
        // time that the engine has read all there is.
        let bare = || has("message") && metadata.fields().len() == 1;
        metadata.is_event()
            && match (metadata.target(), *metadata.level()) {
                ("async_nats::connection", Level::TRACE) => {
                    has("info") || has("error") || has(BYTES) || bare()
                }
                ("async_nats", Level::DEBUG) => has("error") || has("pending_pings"),
                ("async_nats::connector", Level::DEBUG) => has("socket_addr"),
                _ => false,
            }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event(&self, event: &Event<'_>) {
        let Some(Listener { tell, leash }) = listening() else { return };
        if leash.is_over() {
            drop((tell, leash));
            return leash::stop();
        }
        let traced = match event.metadata().fields().field(BYTES) {
            // For each read: nothing is written down.
            Some(_) => Some(Traced::Read),
            None => {
                let mut line = Line::default();
                event.record(&mut line);
                line.traced()
            }
        };
        let Some(traced) = traced else { return };
        // A panic of ours must not unwind through the engine.
        let verdict = catch_unwind(AssertUnwindSafe(|| tell(traced)));
        drop((tell, leash));
        if let Ok(ControlFlow::Break(())) = verdict {
            resume_unwind(Box::new("the engine was stopped"));
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

/// The field that only the line about a read has.
const BYTES: &str = "bytes";

/// The members of a traced line that matter.
#[derive(Default)]
struct Line {
    message: Short,
    info: Option<String>,
    error: Option<String>,
}

impl Line {
    /// The other eight places, by their texts.
    fn traced(self) -> Option<Traced> {
        Some(match self.message.text() {
            "establishing connection" => Traced::Dial,
            "read operation: INFO" => Traced::Info(Box::new(read(&self.info?)?)),
            "read operation: ERR" => Traced::ServerError(self.error?),
            "write operation: PING" => Traced::Ping,
            "read operation: PONG" => Traced::Pong,
            "read operation: error" => Traced::ReadFailed,
            "disconnecting due to too many pending pings" => Traced::Stale,
            "disconnected" => Traced::Lost(self.error?),
            _ => return None,
        })
    }
}

/// The beginning of a message, as long as any that matters. Most do not, and come often: nothing is
/// allocated for them.
struct Short {
    bytes: [u8; 48],
    length: usize,
}

impl Default for Short {
    fn default() -> Short {
        Short { bytes: [0; 48], length: 0 }
    }
}

impl Short {
    fn text(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let fits = room.len().min(text.len());
        room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.length += fits;
        Ok(())
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let place: &mut dyn Write = match field.name() {
            "message" => &mut self.message,
            "info" => self.info.insert(String::new()),
            "error" => self.error.insert(String::new()),
            _ => return,
        };
        // Writing to a string does not fail.
        let _ = write!(place, "{value:?}");
    }
}

/// From `ServerInfo { server_id: "X", auth_required: true, cluster: None, … }`.
fn read(text: &str) -> Option<async_nats::ServerInfo> {
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
    serde_json::from_value(Value::Object(members)).ok()
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

/// A string after its opening quote, with Rust's escapes undone, and what follows it.
pub(super) fn string(text: &str) -> Option<(String, &str)> {
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
        assert_eq!(read(&format!("{info:?}")).expect("readable"), info);
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
