//! How pull requests end.

use crate::connection::log::{Level, Logger};
use crate::error::{Error, Kind};
use crate::lock::lock;
use crate::transport::{PackedMessage, RequestError};
use std::sync::{Arc, Mutex};

pub enum End {
    /// All that was asked for has come.
    Complete,
    /// Exactly as many bytes have come as were allowed, of which the server says nothing.
    Full,
    /// The server has ended it, and says why.
    Status(Box<PackedMessage>),
    /// Nobody serves such a consumer.
    Nobody,
    /// The time was over here.
    Timeout(Late),
    /// The server does not allow it.
    Denied(Error),
    /// The connection was closed by the program.
    Closed,
    /// The connection was lost for good.
    Lost,
}

/// The server's word on a request whose time was over here, if it was only late: it had come already and
/// nobody had looked, or was on its way.
#[derive(Clone, Default)]
pub struct Late(Arc<Mutex<Option<Box<PackedMessage>>>>);

impl Late {
    pub fn put(&self, status: PackedMessage) {
        *lock(&self.0) = Some(Box::new(status));
    }

    /// How the request has ended, as far as that is known now.
    pub fn end(self) -> End {
        let status = lock(&self.0).take();
        status.map_or(End::Timeout(self), End::Status)
    }
}

impl From<RequestError> for End {
    fn from(error: RequestError) -> End {
        match error {
            RequestError::Timeout | RequestError::Stalled => End::Timeout(Late::default()),
            RequestError::NoResponders(_) => End::Nobody,
            RequestError::Denied(error) | RequestError::Refused(error) => End::Denied(error),
            RequestError::Closed => End::Closed,
            RequestError::Lost => End::Lost,
        }
    }
}

impl End {
    /// Tells the log of it, unless all that was asked for has come. `in_vain`: somebody has waited for it,
    /// and gets nothing.
    pub fn log(&self, logger: &Logger, request: &str, in_vain: bool) {
        match self {
            End::Complete | End::Full | End::Closed => {}
            End::Status(message) => {
                let code = message.status().unwrap_or(0);
                let why = message.description().unwrap_or("").trim();
                let text = format!("{request} got status message {code} {why}");
                // One that the consumer does not take, or for which the next message is too large:
                // nothing else tells a program that waits.
                let too_large = in_vain && why == "Message Size Exceeds MaxBytes";
                let refused = code == 409 && (too_large || why.starts_with("Exceeded"));
                logger.log(if refused { Level::Warn } else { Level::Debug }, text.trim_end());
            }
            End::Nobody | End::Timeout(_) | End::Denied(_) | End::Lost => {
                logger.log(Level::Debug, &format!("{request} timed out"));
            }
        }
    }

    /// The error of a status that is no usual end.
    pub fn refusal(&self) -> Option<Error> {
        let End::Status(message) = self else { return None };
        let code = message.status().filter(|code| !matches!(code, 404 | 408 | 409))?;
        let text = message.description().map(str::trim).filter(|text| !text.is_empty());
        let text = text.map_or_else(|| format!("Pull request ended by status {code}"), Into::into);
        Some(Error { api: Some((code.into(), 0)), ..Error::new(Kind::JsResponse, text) })
    }
}
