//! The words of `$js pull`.

use super::{Group, PullConfig};
use crate::error::{Error, Kind};
use crate::jetstream::acknowledge::nak_later;
use crate::jetstream::context::JetStream;
use crate::jetstream::names;
use crate::options::{self, Options, Type};
use crate::tcl::{Call, Obj, Result};
use std::time::Duration;

const OPTIONS: &[options::Spec] = &[
    ("callback", Type::ValidStr),
    ("batch", Type::Bool),
    ("ack", Type::Enum(&["explicit", "on_return"])),
    ("nak_delay", Type::Timeout),
    ("max_messages", Type::PosInt),
    ("max_bytes", Type::PosInt),
    ("threshold", Type::PosInt),
    ("expires", Type::Timeout),
    ("idle_heartbeat", Type::Timeout),
    ("stop_after", Type::PosInt),
    ("group", Type::ValidStr),
    ("min_pending", Type::PosInt),
    ("min_ack_pending", Type::PosInt),
    ("priority", Type::PosInt),
    ("missing", Type::Enum(&["stop", "wait"])),
    ("state", Type::ValidStr),
    ("keep_alive", Type::Bool),
];

const DEFAULT_MESSAGES: u64 = 500;
const DEFAULT_EXPIRES: Duration = Duration::from_secs(30);
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(30);
/// Servers take no shorter ones.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(100);
/// Who came with groups, and with priorities.
const GROUPS: (u32, u32, u32) = (2, 11, 0);
const PRIORITIES: (u32, u32, u32) = (2, 12, 0);
const LOWEST_PRIORITY: i64 = 9;

pub struct Wanted {
    pub config: PullConfig,
    pub callback: Option<Vec<Obj>>,
    pub batch: bool,
    /// What is sent for a message whose callback has thrown; `None` if acknowledging is a matter of
    /// the program.
    pub nak: Option<String>,
    pub state: Option<Vec<Obj>>,
    pub keep_alive: bool,
}

/// A number that has to be 1 at least.
fn positive(given: &Options, name: &str) -> Result<Option<u64>> {
    match given.int(name).map(|n| u64::try_from(n).unwrap_or(0)) {
        Some(0) => {
            let text = format!("Invalid value for the pos_int option {name} : 0");
            Err(Error::invalid(text).with_hint(format!("-{name} is 1 at least")).into())
        }
        number => Ok(number),
    }
}

fn needs(given: &Options, option: &str, other: &str) -> Result<()> {
    match given.get(option).is_some() && given.get(other).is_none() {
        true => Err(Error::invalid(format!("-{option} requires -{other}")).into()),
        false => Ok(()),
    }
}

fn served(js: &JetStream, given: &Options, option: &str, version: (u32, u32, u32)) -> Result<()> {
    if given.get(option).is_some() && !js.serves(version) {
        let (major, minor, patch) = version;
        let text = format!("-{option} needs nats-server {major}.{minor}.{patch}");
        return Err(Error::new(Kind::NotSupported, text).into());
    }
    Ok(())
}

impl Wanted {
    pub fn parse(call: &Call<'_>, js: &JetStream) -> Result<Wanted> {
        let (stream, consumer) = (call.arg(0)?.string(), call.arg(1)?.string());
        names::check_stream(&stream)?;
        names::check_consumer(&consumer)?;
        let words = call.args().get(2..).unwrap_or_default();
        let given = options::parse(call.interp, OPTIONS, words)?;
        let max_messages = positive(&given, "max_messages")?.unwrap_or(DEFAULT_MESSAGES);
        let threshold = positive(&given, "threshold")?;
        if threshold.is_some_and(|threshold| threshold > max_messages) {
            return Err(Error::invalid("-threshold is larger than -max_messages").into());
        }
        let max_bytes = positive(&given, "max_bytes")?;
        let stop_after = positive(&given, "stop_after")?;
        let on_return = given.string("ack").is_some_and(|ack| ack == "on_return");
        for option in ["min_pending", "min_ack_pending", "priority"] {
            needs(&given, option, "group")?;
        }
        needs(&given, "batch", "callback")?;
        if on_return && given.get("callback").is_none() {
            return Err(Error::invalid("-ack on_return requires -callback").into());
        }
        if given.get("nak_delay").is_some() && !on_return {
            return Err(Error::invalid("-nak_delay requires -ack on_return").into());
        }
        let priority = given.int("priority");
        if let Some(number) = priority.filter(|number| *number > LOWEST_PRIORITY) {
            return Err(Error::invalid(format!(
                "Invalid value for the pos_int option priority : {number}"
            ))
            .with_hint("a priority is 0 to 9, 0 comes first")
            .into());
        }
        served(js, &given, "group", GROUPS)?;
        served(js, &given, "priority", PRIORITIES)?;
        let (expires, heartbeat) = times(&given)?;
        let list = |name: &str| given.get(name).map(|prefix| prefix.elements(call.interp));
        let config = PullConfig {
            stream,
            consumer,
            max_messages,
            max_bytes,
            threshold,
            expires,
            heartbeat,
            stop_after,
            group: given.string("group").map(|name| Group {
                name,
                min_pending: given.int("min_pending"),
                min_ack_pending: given.int("min_ack_pending"),
                priority,
            }),
            waits: given.string("missing").is_some_and(|missing| missing == "wait"),
        };
        Ok(Wanted {
            config,
            callback: list("callback").transpose()?,
            batch: given.flag("batch"),
            nak: on_return.then(|| nak(&given)).transpose()?,
            state: list("state").transpose()?,
            keep_alive: given.get("keep_alive").is_none() || given.flag("keep_alive"),
        })
    }
}

fn times(given: &Options) -> Result<(Duration, Duration)> {
    let expires = given.duration("expires").unwrap_or(DEFAULT_EXPIRES);
    let heartbeat =
        given.duration("idle_heartbeat").unwrap_or_else(|| (expires / 2).min(LONGEST_HEARTBEAT));
    let invalid = |name: &str, value: Duration, hint: &'static str| {
        let text = format!("Invalid value for the timeout option {name} : {}", value.as_millis());
        Error::new(Kind::BadTimeout, text).with_hint(hint)
    };
    // The server counts in signed 64 bits.
    if i64::try_from(expires.as_nanos()).is_err() {
        return Err(invalid("expires", expires, "-expires is 292 years at most").into());
    }
    if expires < SHORTEST_HEARTBEAT * 2 {
        return Err(invalid("expires", expires, "-expires is 200 at least").into());
    }
    if heartbeat < SHORTEST_HEARTBEAT || heartbeat > expires / 2 {
        let hint = "-idle_heartbeat is 100 at least, and at most half of -expires";
        return Err(invalid("idle_heartbeat", heartbeat, hint).into());
    }
    Ok((expires, heartbeat))
}

fn nak(given: &Options) -> Result<String> {
    let payload = given.int("nak_delay").map(|delay| nak_later("nak_delay", delay)).transpose()?;
    Ok(payload.unwrap_or_else(|| "-NAK".to_owned()))
}
