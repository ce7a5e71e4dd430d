//! The log of a connection: lines on a Tcl channel, or calls of a Tcllib `logger` service.

use crate::error::{Error, Result};
use crate::tcl::call::create;
use crate::tcl::{Interp, InterpHandle, Method, Obj};
use std::borrow::Cow;
use std::cell::Cell;

/// From the most severe to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl Level {
    pub fn parse(word: &str) -> Result<Level> {
        match word {
            "error" => Ok(Level::Error),
            "warn" => Ok(Level::Warn),
            "info" => Ok(Level::Info),
            "debug" => Ok(Level::Debug),
            _ => Err(Error::invalid(format!("Invalid -log_level {word}"))
                .with_hint("levels are error, warn, info, debug")),
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

pub enum Target {
    Channel { name: String, level: Cell<Level> },
    Service(String),
}

pub struct Logger {
    interp_handle: InterpHandle,
    name: String,
    target: Target,
}

impl Logger {
    pub fn new(interp_handle: InterpHandle, name: String, target: Target) -> Logger {
        Logger { interp_handle, name, target }
    }

    /// Whether a message of this level can appear; a service decides by itself at each message.
    pub fn wants(&self, level: Level) -> bool {
        match &self.target {
            Target::Channel { level: limit, .. } => level <= limit.get(),
            Target::Service(_) => true,
        }
    }

    /// A service has a level of its own, which stays.
    pub fn set_level(&self, new: Level) {
        if let Target::Channel { level, .. } = &self.target {
            level.set(new);
        }
    }

    pub fn log(&self, level: Level, text: &str) {
        if !self.wants(level) {
            return;
        }
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let text = &*one_line(text);
        match &self.target {
            Target::Channel { name, .. } => {
                let line =
                    format!("[{} {} {}] {text}\n", timestamp(), one_line(&self.name), level.word());
                interp.write_line(name, &line);
            }
            Target::Service(service) => {
                let command = Obj::new(&format!("{service}::{}", level.word()));
                // The service is the user's: its errors are reported, but never to the caller.
                interp.aside(|| interp.call_back(&mut [command, Obj::new(text)]));
            }
        }
    }
}

/// A text as it stands in a line: what would begin another one, or tell a terminal what to do, is
/// shown as an escape sequence of Tcl.
fn one_line(text: &str) -> Cow<'_, str> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if !text.contains(breaks) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if breaks(c) => line.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => line.push(c),
        }
    }
    line.into()
}

/// The command that a `logger` service has; its absence is the user's error.
pub fn check_service(interp: Interp<'_>, service: &str) -> crate::tcl::Result<()> {
    interp.call(&mut [Obj::new(&format!("{service}::servicename"))]).map(|_| ())
}

/// Local time, `YYYY-MM-DDTHH:MM:SS.mmm`.
pub fn timestamp() -> String {
    chrono::Local::now().format("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

static TIMESTAMP: Method = Method {
    name: "::nats::timestamp",
    usage: "",
    min: 0,
    max: 0,
    body: |_| Ok(Obj::new(&timestamp()).into()),
};

pub fn register(interp: Interp<'_>) -> crate::tcl::Result<()> {
    create(interp, &TIMESTAMP)
}
