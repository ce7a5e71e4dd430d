//! Errors of the library: a kind, a text, and the one table from kinds to Tcl error codes.
//!
//! Every layer returns [`Error`]; only `tcl` turns it into an interpreter result. Code and tests
//! compare [`Kind`], never the text.

use std::borrow::Cow;
use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident: $code:literal;)*) => {
        /// What went wrong. [`Kind::code`] is the second word of the Tcl error code `{NATS ErrX}`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// The word of the Tcl error code, e.g. `ErrTimeout`.
            pub fn code(self) -> &'static str {
                match self {
                    $(Kind::$kind => $code,)*
                }
            }
        }
    };
}

// The one table: a new kind is a line here.
kinds! {
    AccountAuthExpired: "ErrAccountAuthExpired";
    /// What was asked needs a newer server.
    ApiLevel: "ErrApiLevel";
    AtomicBatch: "ErrAtomicBatch";
    AuthExpired: "ErrAuthExpired";
    AuthRevoked: "ErrAuthRevoked";
    Authorization: "ErrAuthorization";
    /// A stored context cannot be read.
    BadContext: "ErrBadContext";
    BadHeaderMsg: "ErrBadHeaderMsg";
    BadQueueName: "ErrBadQueueName";
    BadSubject: "ErrBadSubject";
    BadSubscription: "ErrBadSubscription";
    BadTimeout: "ErrBadTimeout";
    /// Not all of a batch was stored.
    BatchIncomplete: "ErrBatchIncomplete";
    BrokenSocket: "ErrBrokenSocket";
    /// `ErrBucketNotFound`: binding, managing and writing.
    BucketNotFound: "ErrBucketNotFound";
    /// `BucketNotFound`, without `Err`: status, watch, keys and history, as the contract fixes it.
    BucketNotFoundBare: "BucketNotFound";
    /// What is stored was not stored by the codec of the handle.
    Codec: "ErrCodec";
    ConnectionClosed: "ErrConnectionClosed";
    ConnectionDraining: "ErrConnectionDraining";
    ConnectionRefused: "ErrConnectionRefused";
    ConnectionTimeout: "ErrConnectionTimeout";
    /// Somebody else gets its messages.
    ConsumerBound: "ErrConsumerBound";
    ConsumerFilters: "ErrConsumerFilters";
    /// A consumer delivers no more, for the reason in the text.
    ConsumerEnded: "ErrConsumerEnded";
    ConsumerNotActive: "ErrConsumerNotActive";
    ConsumerNotFound: "ErrConsumerNotFound";
    ConsumerReset: "ErrConsumerReset";
    ConsumerSequenceMismatch: "ErrConsumerSequenceMismatch";
    Counter: "ErrCounter";
    FastBatch: "ErrFastBatch";
    HeadersNotSupported: "ErrHeadersNotSupported";
    Internal: "ErrInternal";
    InvalidCoroutine: "ErrInvalidCoroutine";
    InvalidArg: "ErrInvalidArg";
    /// What has answered a publish is no stream.
    InvalidJsAck: "ErrInvalidJSAck";
    JetStreamNotEnabled: "ErrJetStreamNotEnabled";
    JetStreamNotEnabledForAccount: "ErrJetStreamNotEnabledForAccount";
    /// An API error without a kind of its own; `Error::api` holds its two numbers.
    JsResponse: "ErrJSResponse";
    KeyNotFound: "ErrKeyNotFound";
    /// The key of a lease is not ours any more.
    LeaseLost: "ErrLeaseLost";
    MaxPayload: "ErrMaxPayload";
    MsgNotFound: "ErrMsgNotFound";
    /// The time to live of a message.
    MsgTtl: "ErrMsgTTL";
    NoResponders: "ErrNoResponders";
    NotJsMessage: "ErrNotJSMessage";
    NoServers: "ErrNoServers";
    /// The server is too old.
    NotSupported: "ErrNotSupported";
    /// Too much waits to be sent.
    OutboundFull: "ErrOutboundFull";
    /// The server would have changed what was asked.
    Pedantic: "ErrPedantic";
    Permissions: "ErrPermissions";
    PriorityGroup: "ErrPriorityGroup";
    Protocol: "ErrProtocol";
    /// The bucket was bound for reading alone.
    ReadOnly: "ErrReadOnly";
    Schedule: "ErrSchedule";
    SecureConnWanted: "ErrSecureConnWanted";
    Server: "ErrServer";
    SlowConsumer: "ErrSlowConsumer";
    StaleConnection: "ErrStaleConnection";
    StreamIdentity: "ErrStreamIdentity";
    StreamNotFound: "ErrStreamNotFound";
    Timeout: "ErrTimeout";
    Tls: "ErrTLS";
    WrongLastSequence: "ErrWrongLastSequence";
}

impl Kind {
    /// Whether the error code has the server's two numbers, too. Kinds that nats-tcl knows have not,
    /// or programs that compare them would not find them any more.
    pub fn has_numbers(self) -> bool {
        matches!(
            self,
            Kind::JsResponse
                | Kind::ApiLevel
                | Kind::AtomicBatch
                | Kind::BatchIncomplete
                | Kind::ConsumerFilters
                | Kind::ConsumerReset
                | Kind::Counter
                | Kind::FastBatch
                | Kind::MsgTtl
                | Kind::Pedantic
                | Kind::PriorityGroup
                | Kind::Schedule
                | Kind::StreamIdentity
        )
    }
}

/// An error with its kind and its text, and the server's numbers if it comes from the JetStream API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    pub message: Cow<'static, str>,
    /// `error.code` and `error.err_code` of a JetStream API reply.
    pub api: Option<(u64, u64)>,
    /// What would be right, where contracts leave no room for it in the text.
    pub hint: Option<Cow<'static, str>>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Error { kind, message: message.into(), api: None, hint: None }
    }

    /// The program closed the connection, for whoever still waits for an answer through it.
    pub fn connection_closed() -> Self {
        Error::new(Kind::ConnectionClosed, "Connection closed")
    }

    /// There is no connection to send anything over.
    pub fn no_connection() -> Self {
        Error::new(Kind::ConnectionClosed, "No connection to NATS server")
    }

    /// The connection ended by itself, for whoever still waits for an answer through it.
    pub fn connection_lost() -> Self {
        Error::new(Kind::Timeout, "Connection lost")
    }

    /// The server would not take so large a message.
    pub fn too_large(limit: usize) -> Self {
        Error::new(Kind::MaxPayload, format!("Maximum size of NATS message is {limit}"))
    }

    pub fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Error { hint: Some(hint.into()), ..self }
    }

    /// As programs of nats-tcl look for it, which know no kinds of what came later.
    pub fn into_nats_tcl(self) -> Self {
        let newer = self.api.is_some() && self.kind.has_numbers();
        Error { kind: if newer { Kind::JsResponse } else { self.kind }, ..self }
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
