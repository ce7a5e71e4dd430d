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
    /// The description of an object, by another client.
    BadObjectMeta: "ErrBadObjectMeta";
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
    /// The data of an object are not what its description says.
    DigestMismatch: "ErrDigestMismatch";
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
    /// A link cannot lead there.
    LinkNotAllowed: "ErrLinkNotAllowed";
    MaxPayload: "ErrMaxPayload";
    MsgNotFound: "ErrMsgNotFound";
    /// The time to live of a message.
    MsgTtl: "ErrMsgTTL";
    NoResponders: "ErrNoResponders";
    NotJsMessage: "ErrNotJSMessage";
    NoServers: "ErrNoServers";
    /// The server is too old.
    NotSupported: "ErrNotSupported";
    /// The name of an object is in use.
    /// An object was replaced while it was read.
    ObjectChanged: "ErrObjectChanged";
    ObjectExists: "ErrObjectExists";
    /// Not all chunks of an object were stored, or some of them twice.
    ObjectIncomplete: "ErrObjectIncomplete";
    ObjectNotFound: "ErrObjectNotFound";
    /// Too much waits to be sent.
    OutboundFull: "ErrOutboundFull";
    /// The server would have changed what was asked.
    Pedantic: "ErrPedantic";
    Permissions: "ErrPermissions";
    PriorityGroup: "ErrPriorityGroup";
    Protocol: "ErrProtocol";
    /// The bucket was bound for reading alone.
    ReadOnly: "ErrReadOnly";
    /// A request of a service that is not in hand any more.
    RequestAnswered: "ErrRequestAnswered";
    Schedule: "ErrSchedule";
    SecureConnWanted: "ErrSecureConnWanted";
    Server: "ErrServer";
    /// A service that was stopped takes no endpoints.
    ServiceStopped: "ErrServiceStopped";
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
    /// Where in the text a key stands as it is stored.
    pub stored_key: Option<StoredKey>,
}

/// From byte to byte of the text, which is no longer than a subject and some words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredKey {
    from: u32,
    to: u32,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Error { kind, message: message.into(), api: None, hint: None, stored_key: None }
    }

    /// An error about a key, which the text between `before` and `behind` names as it is stored.
    pub fn about_key(kind: Kind, before: &str, key: &str, behind: &str) -> Self {
        let place = |bytes: usize| u32::try_from(bytes).ok();
        let stored_key = place(before.len()).zip(place(before.len() + key.len()));
        let stored_key = stored_key.map(|(from, to)| StoredKey { from, to });
        Error { stored_key, ..Error::new(kind, [before, key, behind].concat()) }
    }

    /// The same with the key as the program knows it, if there is one in the text.
    pub fn with_key(mut self, shown: &str) -> Self {
        if let Some(StoredKey { from, to }) = self.stored_key.take() {
            self.message.to_mut().replace_range(from as usize..to as usize, shown);
        }
        self
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

    /// The same error in other words.
    pub fn with_message(self, message: impl Into<Cow<'static, str>>) -> Self {
        Error { message: message.into(), stored_key: None, ..self }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_as_the_program_knows_it() {
        let error = Error::about_key(Kind::KeyNotFound, "Key ", "Key", " not found in Key");
        assert_eq!(error.message, "Key Key not found in Key");
        let shown = error.clone().with_key("a longer one");
        assert_eq!(shown.message, "Key a longer one not found in Key");
        assert_eq!(shown.clone().with_key("Key"), shown);
        assert_eq!(error.with_key("").message, "Key  not found in Key");
        let other = Error::new(Kind::Timeout, "Key x");
        assert_eq!(other.clone().with_key("y"), other);
    }
}
