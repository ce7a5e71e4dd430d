//! Headers of entries: those of the program, beside those of servers and of bucket clients.

use crate::error::{Error, Result};
use crate::jetstream::stored::StoredMessage;
use crate::transport::{Headers, Message};

/// The headers of a message, however it was read.
pub trait HeaderSource {
    /// The first value of a header; names are compared exactly.
    fn first(&self, name: &str) -> Option<&str>;

    /// The last value: what a server adds comes behind what a publisher has written.
    fn last(&self, name: &str) -> Option<&str>;

    fn visit(&self, field: impl FnMut(&str, &str));
}

impl HeaderSource for Message {
    fn first(&self, name: &str) -> Option<&str> {
        self.header(name)
    }

    fn last(&self, name: &str) -> Option<&str> {
        let (_, values) = self.headers().find(|(known, _)| *known == name)?;
        values.last()
    }

    fn visit(&self, mut field: impl FnMut(&str, &str)) {
        for (name, values) in self.headers() {
            values.for_each(|value| field(name, value));
        }
    }
}

impl HeaderSource for StoredMessage {
    fn first(&self, name: &str) -> Option<&str> {
        self.header(name)
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.headers.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn visit(&self, mut field: impl FnMut(&str, &str)) {
        self.headers.iter().for_each(|(name, value)| field(name, value));
    }
}

#[cfg(test)]
impl HeaderSource for [(&str, &str)] {
    fn first(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.iter().rfind(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn visit(&self, mut field: impl FnMut(&str, &str)) {
        self.iter().for_each(|(name, value)| field(name, value));
    }
}

/// What servers and bucket clients say by headers. Some servers compare names without case.
pub fn is_reserved(name: &str) -> bool {
    let begins = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    begins("Nats-") || name.eq_ignore_ascii_case("KV-Operation")
}

/// Headers that a program wants to write with a value.
pub fn check(headers: &Headers) -> Result<()> {
    match headers.iter().map(|(name, _)| name.trim()).find(|name| is_reserved(name)) {
        None => Ok(()),
        Some(name) => Err(Error::invalid(format!(
            "Reserved header {name}: KV-Operation and Nats-... are set by the commands and the server"
        ))),
    }
}

/// The headers of an entry that are the program's: by name, the values of each in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryHeaders(Vec<(Box<str>, Vec<Box<str>>)>);

impl EntryHeaders {
    /// `None` if there are none, which costs nothing.
    pub fn of(source: &(impl HeaderSource + ?Sized)) -> Option<Box<EntryHeaders>> {
        let mut all: Vec<(Box<str>, Vec<Box<str>>)> = Vec::new();
        source.visit(|name, value| {
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() || is_reserved(name) {
                return;
            }
            match all.iter_mut().find(|(known, _)| **known == *name) {
                Some((_, values)) => values.push(value.into()),
                None => all.push((name.into(), vec![value.into()])),
            }
        });
        if all.is_empty() {
            return None;
        }
        // The engine forgets their order.
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Some(Box::new(EntryHeaders(all)))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Box<str>])> {
        self.0.iter().map(|(name, values)| (&**name, values.as_slice()))
    }

    /// Adds them to those of a message that goes out, but for what only another client can send.
    pub fn add_to(&self, headers: &mut Headers) {
        for (name, values) in self.iter() {
            values.iter().for_each(|value| headers.push_if_valid(name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn what_is_the_programs() {
        let fields = [
            ("Nats-Sequence", "1"),
            ("b", "2"),
            ("KV-Operation", "PUT"),
            ("kv-operation", "x"),
            ("B", " 1 "),
            ("NATS-Msg-Id", "x"),
            ("b", "3"),
            (" ", "lost"),
            ("Status", "404"),
        ];
        let headers = EntryHeaders::of(&fields[..]).expect("some");
        let read: Vec<_> = headers.iter().map(|(n, v)| format!("{n}={}", v.join(","))).collect();
        assert_eq!(read, ["B=1", "Status=404", "b=2,3"]);
        assert_eq!(EntryHeaders::of(&fields[..1]), None);
        let mut out = Headers::new();
        headers.add_to(&mut out);
        let out: Vec<_> = out.iter().collect();
        assert_eq!(out, [("B", "1"), ("Status", "404"), ("b", "2"), ("b", "3")]);
    }

    #[test]
    fn what_a_program_may_not_set() {
        for name in ["KV-Operation", "kv-operation", "Nats-TTL", "nats-x", " Nats-Rollup "] {
            let error = check(&Headers::from_iter([("A", "b"), (name, "x")])).expect_err(name);
            assert_eq!(error.kind, Kind::InvalidArg);
            assert!(error.message.starts_with(&format!("Reserved header {}:", name.trim())));
        }
        for name in ["Content-Type", "X-Nats-Y", "Nats", "KV-Other", "traceparent"] {
            assert_eq!(check(&Headers::from_iter([(name, "x")])), Ok(()));
        }
    }
}
