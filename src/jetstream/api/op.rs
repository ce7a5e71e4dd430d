//! The operations of the JetStream API and their subjects.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::subject;

/// An operation, with what its subject names. Streams and consumers are named by one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    AccountInfo,
    StreamCreate(&'a str),
    StreamInfo(&'a str),
    StreamDelete(&'a str),
    StreamPurge(&'a str),
    StreamNames,
    /// A message of a stream, as JSON.
    MessageGet(&'a str),
    /// A message of a stream, as it is.
    DirectGet(&'a str),
    /// The last message of a subject, as it is.
    DirectGetLast {
        stream: &'a str,
        subject: &'a str,
    },
    ConsumerCreate {
        stream: &'a str,
        name: Option<&'a str>,
        filter: Option<&'a str>,
    },
    ConsumerInfo {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerDelete {
        stream: &'a str,
        consumer: &'a str,
    },
}

impl Op<'_> {
    /// The subject that is asked.
    pub fn subject(&self, prefix: &str) -> String {
        format!("{prefix}.{self}")
    }

    /// The subject that is asked, for names that come from the program.
    ///
    /// # Errors
    /// `ErrBadSubject`, also for a name that is more than one token: the server would see another
    /// operation, or none.
    pub fn checked_subject(&self, prefix: &str) -> Result<String> {
        let subject = self.subject(prefix);
        if self.names().into_iter().flatten().any(|name| name.contains('.')) {
            return Err(Error::new(Kind::BadSubject, format!("Invalid subject {subject}")));
        }
        match self {
            Op::ConsumerCreate { filter: Some(_), .. } => subject::check_subscribe(&subject)?,
            _ => subject::check_publish(&subject)?,
        }
        Ok(subject)
    }

    fn names(&self) -> [Option<&str>; 2] {
        match *self {
            Op::AccountInfo | Op::StreamNames => [None, None],
            Op::StreamCreate(stream)
            | Op::StreamInfo(stream)
            | Op::StreamDelete(stream)
            | Op::StreamPurge(stream)
            | Op::MessageGet(stream)
            | Op::DirectGet(stream)
            | Op::DirectGetLast { stream, .. } => [Some(stream), None],
            Op::ConsumerCreate { stream, name, .. } => [Some(stream), name],
            Op::ConsumerInfo { stream, consumer } | Op::ConsumerDelete { stream, consumer } => {
                [Some(stream), Some(consumer)]
            }
        }
    }
}

/// The subject behind the API prefix.
impl fmt::Display for Op<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::AccountInfo => f.write_str("INFO"),
            Op::StreamCreate(stream) => write!(f, "STREAM.CREATE.{stream}"),
            Op::StreamInfo(stream) => write!(f, "STREAM.INFO.{stream}"),
            Op::StreamDelete(stream) => write!(f, "STREAM.DELETE.{stream}"),
            Op::StreamPurge(stream) => write!(f, "STREAM.PURGE.{stream}"),
            Op::StreamNames => f.write_str("STREAM.NAMES"),
            Op::MessageGet(stream) => write!(f, "STREAM.MSG.GET.{stream}"),
            Op::DirectGet(stream) => write!(f, "DIRECT.GET.{stream}"),
            Op::DirectGetLast { stream, subject } => write!(f, "DIRECT.GET.{stream}.{subject}"),
            Op::ConsumerCreate { stream, name, filter } => {
                write!(f, "CONSUMER.CREATE.{stream}")?;
                for token in [name, filter].into_iter().flatten() {
                    write!(f, ".{token}")?;
                }
                Ok(())
            }
            Op::ConsumerInfo { stream, consumer } => {
                write!(f, "CONSUMER.INFO.{stream}.{consumer}")
            }
            Op::ConsumerDelete { stream, consumer } => {
                write!(f, "CONSUMER.DELETE.{stream}.{consumer}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        let create = |name, filter| Op::ConsumerCreate { stream: "S", name, filter };
        for (op, subject) in [
            (Op::AccountInfo, "INFO"),
            (Op::StreamCreate("S"), "STREAM.CREATE.S"),
            (Op::StreamInfo("S"), "STREAM.INFO.S"),
            (Op::StreamDelete("S"), "STREAM.DELETE.S"),
            (Op::StreamPurge("S"), "STREAM.PURGE.S"),
            (Op::StreamNames, "STREAM.NAMES"),
            (Op::MessageGet("S"), "STREAM.MSG.GET.S"),
            (Op::DirectGet("S"), "DIRECT.GET.S"),
            (Op::DirectGetLast { stream: "S", subject: "a.b" }, "DIRECT.GET.S.a.b"),
            (create(None, None), "CONSUMER.CREATE.S"),
            (create(Some("C"), None), "CONSUMER.CREATE.S.C"),
            (create(Some("C"), Some("a.*.>")), "CONSUMER.CREATE.S.C.a.*.>"),
            (Op::ConsumerInfo { stream: "S", consumer: "C" }, "CONSUMER.INFO.S.C"),
            (Op::ConsumerDelete { stream: "S", consumer: "C" }, "CONSUMER.DELETE.S.C"),
        ] {
            assert_eq!(op.checked_subject("$JS.hub.API"), Ok(format!("$JS.hub.API.{subject}")));
        }
    }

    #[test]
    fn names_are_one_token_and_subjects_are_checked() {
        for (op, subject) in [
            (Op::StreamInfo(""), "STREAM.INFO."),
            (Op::StreamInfo("a.b"), "STREAM.INFO.a.b"),
            (Op::StreamPurge("a b"), "STREAM.PURGE.a b"),
            (Op::MessageGet("*"), "STREAM.MSG.GET.*"),
            (Op::DirectGet("a.b"), "DIRECT.GET.a.b"),
            (Op::DirectGetLast { stream: "S", subject: "a..b" }, "DIRECT.GET.S.a..b"),
            (Op::ConsumerInfo { stream: "S", consumer: "a.b" }, "CONSUMER.INFO.S.a.b"),
            (
                Op::ConsumerCreate { stream: "S", name: Some("C"), filter: Some("a b") },
                "CONSUMER.CREATE.S.C.a b",
            ),
        ] {
            let error = op.checked_subject("P").expect_err(subject);
            assert_eq!(error.kind, Kind::BadSubject);
            assert_eq!(error.message, format!("Invalid subject P.{subject}"));
        }
    }
}
