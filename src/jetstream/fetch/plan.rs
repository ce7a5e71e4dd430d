//! The options of `fetch`, and the pull request that they make.

use crate::error::Error;
use crate::jetstream::context::JetStream;
use crate::options::Type;
use crate::schema::{self, ms, pos_int, table, valid_str};
use crate::tcl::{Interp, Obj, Result};
use serde_json::Value;
use std::time::Duration;

/// In ns.
const MS: i64 = 1_000_000;

table! {
    EXPIRES:         ms("expires").typed(Type::Timeout);
    BATCH:           pos_int("batch").called("batch_size").or_int(1);
    NO_WAIT:         schema::boolean("no_wait").fixed();
    MAX_BYTES:       pos_int("max_bytes");
    IDLE_HEARTBEAT:  ms("idle_heartbeat").typed(Type::Timeout);
    GROUP:           valid_str("group").since(2, 11, 0);
    MIN_PENDING:     pos_int("min_pending").since(2, 11, 0);
    MIN_ACK_PENDING: pos_int("min_ack_pending").since(2, 11, 0);
    PRIORITY:        pos_int("priority").since(2, 12, 0);
    ID:              valid_str("id").fixed();
    TIMEOUT:         ms("timeout").typed(Type::Timeout).of_method();
    CALLBACK:        valid_str("callback").of_method();
}

/// What is to be asked, and for how long it is waited for.
pub struct Plan {
    /// The pull request.
    pub request: schema::Record,
    pub batch: u64,
    /// After which time it is given up here.
    pub timeout: Option<Duration>,
    /// After so long without a word from the server it is given up, too.
    pub silence: Option<Duration>,
    pub callback: Option<Obj>,
}

impl Plan {
    pub fn read(interp: Interp<'_>, js: &JetStream, words: &[Obj]) -> Result<Plan> {
        let given = schema::strict(interp, &TABLE, words)?;
        let timed = given.get(TIMEOUT).is_some();
        for (field, name) in [(EXPIRES, "expires"), (IDLE_HEARTBEAT, "idle_heartbeat")] {
            if !timed && given.get(field).is_some() {
                return Err(Error::invalid(format!("-{name} requires -timeout")).into());
            }
        }
        let callback = given.get(CALLBACK).cloned();
        let mut request = given.record(interp, &|version| js.serves(version))?;
        if request.get(BATCH).and_then(Value::as_u64) == Some(0) {
            request.set(BATCH, 1);
        }
        let batch = request.get(BATCH).and_then(Value::as_u64).unwrap_or(1);
        request.set(NO_WAIT, !timed);
        if !timed {
            let timeout = js.timeout();
            return Ok(Plan { request, batch, timeout, silence: None, callback });
        }
        let mut timeout = number(&request, TIMEOUT);
        let expires = match request.get(EXPIRES) {
            Some(_) => number(&request, EXPIRES),
            None if timeout >= 20 * MS => timeout - MARGIN,
            None => timeout,
        };
        // The server's word should come first where it is to be the end.
        if timeout > 0 && expires > 0 && expires <= timeout {
            timeout = timeout.max(expires + MARGIN + GRACE);
        }
        request.set(EXPIRES, expires);
        let mut heartbeat = number(&request, IDLE_HEARTBEAT);
        if expires > 0 {
            heartbeat = heartbeat.min(expires / 2);
        }
        let silence = duration(heartbeat.saturating_mul(2));
        match silence {
            Some(_) => request.set(IDLE_HEARTBEAT, heartbeat),
            None => request.remove(IDLE_HEARTBEAT),
        }
        Ok(Plan { request, batch, timeout: duration(timeout), silence, callback })
    }
}

impl Plan {
    pub fn group(&self) -> Option<String> {
        self.request.text(GROUP).map(str::to_owned)
    }

    pub fn max_bytes(&self) -> Option<u64> {
        self.request.get(MAX_BYTES).and_then(Value::as_u64)
    }

    /// What the request says of a pin.
    pub fn set_pin(&mut self, id: Option<String>) {
        if let Some(id) = id {
            self.request.set(ID, id);
        }
    }
}

/// By how much the server's time is shorter than ours.
const MARGIN: i64 = 10 * MS;

/// How much later than that its word may come: a busy server looks at its clock late.
const GRACE: i64 = 250 * MS;

/// A time in ns; 0 if there is none.
fn number(request: &schema::Record, field: schema::Field) -> i64 {
    request.get(field).and_then(Value::as_i64).unwrap_or(0)
}

/// None is no limit.
fn duration(ns: i64) -> Option<Duration> {
    u64::try_from(ns).ok().filter(|ns| *ns > 0).map(Duration::from_nanos)
}
