//! What only the owner of a connection can say: the password of a key, and whether certificates
//! that we have looked at will do.

use std::sync::Arc;

use tokio::sync::oneshot;

/// Puts a question to the user. A dropped sender is no answer.
pub type TlsCallback = Arc<dyn Fn(TlsQuestion) + Send + Sync>;

pub enum TlsQuestion {
    /// The password of our key; `None` if there is none to be had.
    Password(oneshot::Sender<Option<String>>),
    /// Whether to go on with the server that has shown these certificates.
    Review(Review, oneshot::Sender<bool>),
}

/// What a server has shown, and what we think of it.
pub struct Review {
    /// Certificates as DER; that of the server comes first.
    pub chain: Vec<Vec<u8>>,
    pub problem: Option<String>,
}
