//! What a pull request says, and how large it may be.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::PullConfig;
use super::{Action, Machine, Phase, Wish};

/// What the consumer allows a single request; see its `max_batch`, `max_expires`, `max_bytes`.
#[derive(Default)]
pub struct Limits {
    batch: Option<u64>,
    expires: Option<Duration>,
    bytes: Option<u64>,
}

impl Limits {
    pub fn of(config: &Value) -> Limits {
        let number = |name: &str| config.get(name).and_then(Value::as_u64).filter(|n| *n > 0);
        Limits {
            batch: number("max_batch"),
            expires: number("max_expires").map(Duration::from_nanos),
            bytes: number("max_bytes"),
        }
    }
}

impl Machine {
    /// What may be outstanding.
    pub(super) fn most(&self) -> u64 {
        self.limits.batch.map_or(self.config.max_messages, |n| n.min(self.config.max_messages))
    }

    pub(super) fn most_bytes(&self) -> Option<u64> {
        self.config.max_bytes.map(|most| self.limits.bytes.map_or(most, |n| n.min(most)))
    }

    fn threshold(&self) -> u64 {
        let most = self.most();
        self.config.threshold.map_or(most.div_ceil(2), |n| n.min(most)).max(1)
    }

    pub(super) fn expires(&self) -> Duration {
        self.limits.expires.map_or(self.config.expires, |limit| limit.min(self.config.expires))
    }

    pub(super) fn heartbeat(&self) -> Duration {
        self.config.heartbeat.min(self.expires() / 2)
    }

    /// How many more there may be before it stops by itself.
    pub(super) fn wanted(&self) -> u64 {
        let coming = self.books.accepted() + self.books.asked();
        self.config.stop_after.map_or(u64::MAX, |most| most.saturating_sub(coming))
    }

    /// Asks for more if there is room for it, and it is worth a request.
    pub(super) fn refill(&mut self, now: Instant, out: &mut Vec<Action>) {
        let blocked = self.pause_until.is_some_and(|until| now < until);
        if !matches!(self.phase, Phase::Running) || self.wish != Wish::Run || blocked {
            return;
        }
        self.pause_until = None;
        let outstanding = self.books.outstanding();
        let batch = self.most().saturating_sub(outstanding).min(self.wanted());
        if batch == 0 || outstanding >= self.threshold() {
            return;
        }
        let mut bytes = 0;
        if let Some(most) = self.most_bytes() {
            let used = self.books.outstanding_bytes();
            bytes = most.saturating_sub(used);
            if used > 0 && (used >= most.div_ceil(2) || bytes < self.least_bytes) {
                return;
            }
            if bytes == 0 {
                return;
            }
        }
        let expires = self.expires();
        let id = self.books.ask(batch, bytes, now, now + expires + self.heartbeat() * 2);
        let body = self.request(batch, bytes, expires);
        self.last_traffic = self.last_traffic.max(now);
        self.pulls += 1;
        out.push(Action::Pull { id, body });
    }

    fn request(&self, batch: u64, bytes: u64, expires: Duration) -> String {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut request = json!({
            "batch": batch,
            "expires": ns(expires),
            "idle_heartbeat": ns(self.heartbeat()),
        });
        let mut put = |name: &str, value: Option<Value>| {
            if let (Some(value), Some(fields)) = (value, request.as_object_mut()) {
                fields.insert(name.to_owned(), value);
            }
        };
        put("max_bytes", (bytes > 0).then(|| bytes.into()));
        if let Some(group) = &self.config.group {
            put("group", Some(group.name.as_str().into()));
            put("min_pending", group.min_pending.map(Value::from));
            put("min_ack_pending", group.min_ack_pending.map(Value::from));
            put("priority", group.priority.map(Value::from));
            put("id", self.pin.as_deref().map(Value::from));
        }
        request.to_string()
    }

    /// What the program must have dealt with, in messages and in bytes, for there to be something to
    /// do; the largest number where it can do nothing about it.
    pub fn waits_for(&self) -> (u64, u64) {
        const NEVER: u64 = u64::MAX;
        if !matches!(self.phase, Phase::Running) || self.wish != Wish::Run || self.wanted() == 0 {
            return (NEVER, NEVER);
        }
        let messages = self.books.consumed_at(self.threshold() - 1);
        let bytes = self.most_bytes().map_or(Some(0), |most| {
            let room = most - self.least_bytes.min(most);
            self.books.consumed_bytes_at(room.min(most.div_ceil(2).saturating_sub(1)))
        });
        match (messages, bytes) {
            (Some(messages), Some(bytes)) => (messages, bytes),
            _ => (NEVER, NEVER),
        }
    }
}

/// What a consumer with this config is to be asked for, if it can be pulled from.
pub fn check(config: &Value, wanted: &PullConfig) -> Result<(), String> {
    let text = |name: &str| config.get(name).and_then(Value::as_str).filter(|s| !s.is_empty());
    if text("deliver_subject").is_some() {
        let (consumer, stream) = (&wanted.consumer, &wanted.stream);
        return Err(format!("Consumer {consumer} of the stream {stream} is push based"));
    }
    Ok(())
}
