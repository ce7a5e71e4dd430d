//! The operations of the JetStream API and their subjects.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::subject;

/// A filter beyond this stands in the body alone: a subject has to fit into a line of the protocol.
pub const LONGEST_FILTER: usize = 3000;

/// An operation, with what its subject names. Streams and consumers are named by one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    AccountInfo,
    StreamCreate(&'a str),
    StreamUpdate(&'a str),
    StreamInfo(&'a str),
    StreamDelete(&'a str),
    StreamPurge(&'a str),
    StreamStepdown(&'a str),
    StreamPeerRemove(&'a str),
    StreamNames,
    StreamList,
    /// A message of a stream, as JSON.
    MessageGet(&'a str),
    MessageDelete(&'a str),
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
    /// As [`Op::ConsumerCreate`], for servers that do not know names of their own.
    ConsumerDurable {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerInfo {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerDelete {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerPause {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerUnpin {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerReset {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerStepdown {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerNames(&'a str),
    ConsumerList(&'a str),
    /// A pull request. What is asked for comes with foreign subjects.
    MessageNext {
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
            Op::AccountInfo | Op::StreamNames | Op::StreamList => [None, None],
            Op::StreamCreate(stream)
            | Op::StreamUpdate(stream)
            | Op::StreamInfo(stream)
            | Op::StreamDelete(stream)
            | Op::StreamPurge(stream)
            | Op::StreamStepdown(stream)
            | Op::StreamPeerRemove(stream)
            | Op::MessageGet(stream)
            | Op::MessageDelete(stream)
            | Op::DirectGet(stream)
            | Op::DirectGetLast { stream, .. }
            | Op::ConsumerNames(stream)
            | Op::ConsumerList(stream) => [Some(stream), None],
            Op::ConsumerCreate { stream, name, .. } => [Some(stream), name],
            Op::ConsumerDurable { stream, consumer }
            | Op::ConsumerInfo { stream, consumer }
            | Op::ConsumerDelete { stream, consumer }
            | Op::ConsumerPause { stream, consumer }
            | Op::ConsumerUnpin { stream, consumer }
            | Op::ConsumerReset { stream, consumer }
            | Op::ConsumerStepdown { stream, consumer }
            | Op::MessageNext { stream, consumer } => [Some(stream), Some(consumer)],
        }
    }
}

/// The subject behind the API prefix.
impl fmt::Display for Op<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::AccountInfo => f.write_str("INFO"),
            Op::StreamCreate(stream) => write!(f, "STREAM.CREATE.{stream}"),
            Op::StreamUpdate(stream) => write!(f, "STREAM.UPDATE.{stream}"),
            Op::StreamInfo(stream) => write!(f, "STREAM.INFO.{stream}"),
            Op::StreamDelete(stream) => write!(f, "STREAM.DELETE.{stream}"),
            Op::StreamPurge(stream) => write!(f, "STREAM.PURGE.{stream}"),
            Op::StreamStepdown(stream) => write!(f, "STREAM.LEADER.STEPDOWN.{stream}"),
            Op::StreamPeerRemove(stream) => write!(f, "STREAM.PEER.REMOVE.{stream}"),
            Op::StreamNames => f.write_str("STREAM.NAMES"),
            Op::StreamList => f.write_str("STREAM.LIST"),
            Op::MessageGet(stream) => write!(f, "STREAM.MSG.GET.{stream}"),
            Op::MessageDelete(stream) => write!(f, "STREAM.MSG.DELETE.{stream}"),
            Op::DirectGet(stream) => write!(f, "DIRECT.GET.{stream}"),
            Op::DirectGetLast { stream, subject } => write!(f, "DIRECT.GET.{stream}.{subject}"),
            Op::ConsumerCreate { stream, name, filter } => {
                write!(f, "CONSUMER.CREATE.{stream}")?;
                for token in [name, filter].into_iter().flatten() {
                    write!(f, ".{token}")?;
                }
                Ok(())
            }
            Op::ConsumerDurable { stream, consumer } => {
                write!(f, "CONSUMER.DURABLE.CREATE.{stream}.{consumer}")
            }
            Op::ConsumerInfo { stream, consumer } => {
                write!(f, "CONSUMER.INFO.{stream}.{consumer}")
            }
            Op::MessageNext { stream, consumer } => {
                write!(f, "CONSUMER.MSG.NEXT.{stream}.{consumer}")
            }
            Op::ConsumerDelete { stream, consumer } => {
                write!(f, "CONSUMER.DELETE.{stream}.{consumer}")
            }
            Op::ConsumerPause { stream, consumer } => {
                write!(f, "CONSUMER.PAUSE.{stream}.{consumer}")
            }
            Op::ConsumerUnpin { stream, consumer } => {
                write!(f, "CONSUMER.UNPIN.{stream}.{consumer}")
            }
            Op::ConsumerReset { stream, consumer } => {
                write!(f, "CONSUMER.RESET.{stream}.{consumer}")
            }
            Op::ConsumerStepdown { stream, consumer } => {
                write!(f, "CONSUMER.LEADER.STEPDOWN.{stream}.{consumer}")
            }
            Op::ConsumerNames(stream) => write!(f, "CONSUMER.NAMES.{stream}"),
            Op::ConsumerList(stream) => write!(f, "CONSUMER.LIST.{stream}"),
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
            (Op::StreamUpdate("S"), "STREAM.UPDATE.S"),
            (Op::StreamInfo("S"), "STREAM.INFO.S"),
            (Op::StreamStepdown("S"), "STREAM.LEADER.STEPDOWN.S"),
            (Op::StreamPeerRemove("S"), "STREAM.PEER.REMOVE.S"),
            (Op::StreamList, "STREAM.LIST"),
            (Op::MessageDelete("S"), "STREAM.MSG.DELETE.S"),
            (Op::ConsumerNames("S"), "CONSUMER.NAMES.S"),
            (Op::ConsumerList("S"), "CONSUMER.LIST.S"),
            (Op::ConsumerDurable { stream: "S", consumer: "C" }, "CONSUMER.DURABLE.CREATE.S.C"),
            (Op::ConsumerPause { stream: "S", consumer: "C" }, "CONSUMER.PAUSE.S.C"),
            (Op::ConsumerUnpin { stream: "S", consumer: "C" }, "CONSUMER.UNPIN.S.C"),
            (Op::ConsumerReset { stream: "S", consumer: "C" }, "CONSUMER.RESET.S.C"),
            (Op::ConsumerStepdown { stream: "S", consumer: "C" }, "CONSUMER.LEADER.STEPDOWN.S.C"),
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
            (Op::MessageNext { stream: "S", consumer: "C" }, "CONSUMER.MSG.NEXT.S.C"),
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
