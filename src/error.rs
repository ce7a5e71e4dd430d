//! Errors of the library: a kind, a text, and the one table from kinds to Tcl error codes.
//!
//! Every layer returns [`Error`]; only `tcl` turns it into an interpreter result. Code and tests
//! compare [`Kind`], never the text.

use std::borrow::Cow;
use std::fmt;

/// What went wrong. [`Kind::code`] is the second word of the Tcl error code `{NATS ErrX}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(dead_code, reason = "some are of commands that come with the next release")]
pub enum Kind {
    AccountAuthExpired,
    AuthExpired,
    AuthRevoked,
    Authorization,
    BadHeaderMsg,
    BadQueueName,
    BadSubject,
    BadSubscription,
    BadTimeout,
    BrokenSocket,
    /// `ErrBucketNotFound`: binding, managing and writing.
    BucketNotFound,
    /// `BucketNotFound`, without `Err`: status, watch, keys and history, as the contract fixes it.
    BucketNotFoundBare,
    ConnectionClosed,
    ConnectionDraining,
    ConnectionRefused,
    ConnectionTimeout,
    ConsumerNotActive,
    ConsumerNotFound,
    ConsumerSequenceMismatch,
    HeadersNotSupported,
    Internal,
    InvalidCoroutine,
    InvalidArg,
    JetStreamNotEnabled,
    JetStreamNotEnabledForAccount,
    /// An API error without a kind of its own; `Error::api` holds its two numbers.
    JsResponse,
    KeyNotFound,
    MaxPayload,
    MsgNotFound,
    NoResponders,
    NoServers,
    NotJsMessage,
    /// The server is too old.
    NotSupported,
    Permissions,
    Protocol,
    SecureConnWanted,
    Server,
    SlowConsumer,
    StaleConnection,
    StreamNotFound,
    Timeout,
    Tls,
    WrongLastSequence,
}

impl Kind {
    /// The word of the Tcl error code, e.g. `ErrTimeout`.
    pub fn code(self) -> &'static str {
        match self {
            Kind::AccountAuthExpired => "ErrAccountAuthExpired",
            Kind::AuthExpired => "ErrAuthExpired",
            Kind::AuthRevoked => "ErrAuthRevoked",
            Kind::Authorization => "ErrAuthorization",
            Kind::BadHeaderMsg => "ErrBadHeaderMsg",
            Kind::BadQueueName => "ErrBadQueueName",
            Kind::BadSubject => "ErrBadSubject",
            Kind::BadSubscription => "ErrBadSubscription",
            Kind::BadTimeout => "ErrBadTimeout",
            Kind::BrokenSocket => "ErrBrokenSocket",
            Kind::BucketNotFound => "ErrBucketNotFound",
            Kind::BucketNotFoundBare => "BucketNotFound",
            Kind::ConnectionClosed => "ErrConnectionClosed",
            Kind::ConnectionDraining => "ErrConnectionDraining",
            Kind::ConnectionRefused => "ErrConnectionRefused",
            Kind::ConnectionTimeout => "ErrConnectionTimeout",
            Kind::ConsumerNotActive => "ErrConsumerNotActive",
            Kind::ConsumerNotFound => "ErrConsumerNotFound",
            Kind::ConsumerSequenceMismatch => "ErrConsumerSequenceMismatch",
            Kind::HeadersNotSupported => "ErrHeadersNotSupported",
            Kind::Internal => "ErrInternal",
            Kind::InvalidCoroutine => "ErrInvalidCoroutine",
            Kind::InvalidArg => "ErrInvalidArg",
            Kind::JetStreamNotEnabled => "ErrJetStreamNotEnabled",
            Kind::JetStreamNotEnabledForAccount => "ErrJetStreamNotEnabledForAccount",
            Kind::JsResponse => "ErrJSResponse",
            Kind::KeyNotFound => "ErrKeyNotFound",
            Kind::MaxPayload => "ErrMaxPayload",
            Kind::MsgNotFound => "ErrMsgNotFound",
            Kind::NoResponders => "ErrNoResponders",
            Kind::NoServers => "ErrNoServers",
            Kind::NotJsMessage => "ErrNotJSMessage",
            Kind::NotSupported => "ErrNotSupported",
            Kind::Permissions => "ErrPermissions",
            Kind::Protocol => "ErrProtocol",
            Kind::SecureConnWanted => "ErrSecureConnWanted",
            Kind::Server => "ErrServer",
            Kind::SlowConsumer => "ErrSlowConsumer",
            Kind::StaleConnection => "ErrStaleConnection",
            Kind::StreamNotFound => "ErrStreamNotFound",
            Kind::Timeout => "ErrTimeout",
            Kind::Tls => "ErrTLS",
            Kind::WrongLastSequence => "ErrWrongLastSequence",
        }
    }
}

/// An error with its kind and its text; for [`Kind::JsResponse`] also the server's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    pub message: Cow<'static, str>,
    /// `error.code` and `error.err_code` of a JetStream API reply.
    pub api: Option<(u64, u64)>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Error { kind, message: message.into(), api: None }
    }

    /// The end of a connection, for whoever still waits for an answer through it.
    pub fn connection_closed() -> Self {
        Error::new(Kind::ConnectionClosed, "Connection closed")
    }

    /// `{NATS ErrInvalidArg}` with this text.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(Kind::InvalidArg, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
