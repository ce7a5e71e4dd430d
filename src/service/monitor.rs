//! What a service answers to those who look for it: PING, INFO and STATS.

use super::common::Place;
use super::endpoint::Endpoint;
use super::object::Service;
use crate::connection::Handler;
use crate::error::{Error, Kind as ErrorKind};
use crate::rfc3339;
use crate::tcl::{Interp, Obj, Result};
use crate::transport::{Outgoing, PackedMessage};
use serde_json::{Map, Value};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What can be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ping,
    Info,
    Stats,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Ping, Kind::Info, Kind::Stats];
    /// The words of the option `-kind`.
    pub const WORDS: &'static [&'static str] = &["ping", "info", "stats"];

    pub fn of(word: &str) -> Option<Kind> {
        Self::WORDS.iter().zip(Self::ALL).find(|(known, _)| **known == word).map(|(_, kind)| kind)
    }

    /// The type of the answer.
    pub fn schema(self) -> &'static str {
        match self {
            Kind::Ping => "io.nats.micro.v1.ping_response",
            Kind::Info => "io.nats.micro.v1.info_response",
            Kind::Stats => "io.nats.micro.v1.stats_response",
        }
    }

    /// Where it is asked: everybody, those of a name, or one.
    pub fn subject(self, of: &[&str]) -> String {
        let verb = match self {
            Kind::Ping => "$SRV.PING",
            Kind::Info => "$SRV.INFO",
            Kind::Stats => "$SRV.STATS",
        };
        let mut subject = verb.to_owned();
        for word in of {
            subject.push('.');
            subject.push_str(word);
        }
        subject
    }
}

/// A time as the schema has it, in the one form that nats-py reads.
fn time(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339::microseconds_text(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

impl Service {
    /// Subscribes to what can be asked.
    pub fn listen(&self, interp: Interp<'_>) -> Result<()> {
        self.monitors.borrow_mut().clear();
        let (name, id) = (&*self.common.name, &*self.common.id);
        for kind in Kind::ALL {
            for of in [&[][..], &[name][..], &[name, id][..]] {
                let weak = self.weak.clone();
                let handler: Handler = Box::new(move |interp, _, message| {
                    if let Some(this) = weak.upgrade() {
                        this.tell(interp, kind, message);
                    }
                });
                let (subject, nobody) = (kind.subject(of), Vec::new());
                let id =
                    self.connection.subscribe_handled(interp, subject, None, nobody, handler)?;
                self.monitors.borrow_mut().push(id);
            }
        }
        Ok(())
    }

    fn tell(&self, interp: Interp<'_>, kind: Kind, message: &PackedMessage) {
        let reply = message.reply().filter(|reply| !reply.is_empty());
        let Some(reply) = reply.filter(|_| !self.common.ended.get()) else { return };
        let reply = String::from_utf8_lossy(reply).into_owned();
        let answer = Value::Object(self.answer(interp, kind)).to_string();
        let Ok(link) = self.connection.link() else { return };
        let size = answer.len();
        match link.publish(Outgoing::new(reply, answer)) {
            Err(error) if error.kind == ErrorKind::MaxPayload => {
                // Whoever asks hears nothing, so that the program should.
                let subject = kind.subject(&[]);
                let text = format!("The answer to {subject} has {size} bytes: {}", error.message);
                let place = Place { endpoint: "", subject: &subject };
                self.common.report(interp, &place, error.with_message(text));
            }
            // Without a connection nobody waits for it.
            _ => {}
        }
    }

    pub fn answer(&self, interp: Interp<'_>, kind: Kind) -> Map<String, Value> {
        let common = &self.common;
        let mut answer = Map::new();
        let mut put = |name: &str, value: Value| answer.insert(name.into(), value);
        put("type", kind.schema().into());
        put("name", common.name.clone().into());
        put("id", common.id.clone().into());
        put("version", common.version.clone().into());
        put("metadata", common.metadata.clone().into());
        let endpoints: Vec<Rc<Endpoint>> = self.endpoints.borrow().clone();
        match kind {
            Kind::Ping => {}
            Kind::Info => {
                put("description", common.description.clone().into());
                put("endpoints", endpoints.iter().map(|endpoint| endpoint.info()).collect());
            }
            Kind::Stats => {
                put("started", time(self.started.get()).into());
                put("endpoints", endpoints.iter().map(|e| self.stats_of(interp, e)).collect());
            }
        }
        answer
    }

    fn stats_of(&self, interp: Interp<'_>, endpoint: &Endpoint) -> Value {
        let mut stats = endpoint.stats();
        if let Some(data) = self.data_of(interp, endpoint, &stats) {
            stats.insert("data".into(), data);
        }
        Value::Object(stats)
    }

    /// What the program says of an endpoint, which is JSON.
    fn data_of(
        &self,
        interp: Interp<'_>,
        endpoint: &Endpoint,
        stats: &Map<String, Value>,
    ) -> Option<Value> {
        // An earlier call may have destroyed it.
        let handler = self.stats_handler.as_ref().filter(|_| !self.common.ended.get())?;
        let place = Place { endpoint: &endpoint.name, subject: &endpoint.subject };
        let shown = crate::json::to_dict(stats);
        let mut text = None;
        // Errors of the program do not become those of whoever asks.
        interp.aside(|| {
            let tell = |interp: Interp<'_>, error: Obj, options: Obj| {
                self.common.tell(interp, &place, &error, &options)
            };
            if handler.call_or(interp, [shown], tell) {
                text = Some(interp.result().string());
            }
        });
        let text = text.filter(|text| !text.trim().is_empty())?;
        match serde_json::from_str(&text) {
            Ok(data) => Some(data),
            Err(error) => {
                let text = format!("The result of -stats_handler is no JSON: {error}");
                interp.aside(|| self.common.report(interp, &place, Error::invalid(text)));
                None
            }
        }
    }

    pub fn reset(&self) {
        for endpoint in self.endpoints.borrow().iter() {
            endpoint.counters.reset();
        }
        self.started.set(SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_three_levels() {
        assert_eq!(Kind::Ping.subject(&[]), "$SRV.PING");
        assert_eq!(Kind::Info.subject(&["a"]), "$SRV.INFO.a");
        assert_eq!(Kind::Stats.subject(&["a", "b"]), "$SRV.STATS.a.b");
    }

    #[test]
    fn times_are_those_of_utc() {
        assert_eq!(time(UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
    }
}
