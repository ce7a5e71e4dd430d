//! A fetch that is waited for: its messages come in one piece.

use super::end::End;
use super::pull::{Source, Taker, give_back};
use crate::bridge::Promise;
use crate::error::{Error, Kind};
use crate::jetstream::api::{Api, Op, WeakApi};
use crate::jetstream::delivery::Delivered;
use crate::transport::{ConnState, How, WeakLink};

/// Messages for a program. Those that it does not take are given back.
pub struct Batch {
    link: WeakLink,
    messages: Vec<Delivered>,
}

impl Batch {
    pub fn take(mut self) -> Vec<Delivered> {
        std::mem::take(&mut self.messages)
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for message in &self.messages {
            give_back(&self.link, message.reply());
        }
    }
}

/// What comes out in the end.
pub struct Outcome {
    pub batch: Batch,
    pub end: End,
    /// Why there are no messages, if that is known.
    pub reason: Option<Error>,
}

pub struct Waiting {
    api: WeakApi,
    source: Source,
    batch: Option<Batch>,
    promise: Option<Promise<Outcome>>,
}

/// So many messages have a place from the beginning.
const USUAL: u64 = 512;

impl Waiting {
    pub fn new(api: &Api, source: Source, batch: u64, promise: Promise<Outcome>) -> Waiting {
        let messages = Vec::with_capacity(usize::try_from(batch.min(USUAL)).unwrap_or(0));
        let batch = Some(Batch { link: api.link.downgrade(), messages });
        Waiting { api: api.downgrade(), source, batch, promise: Some(promise) }
    }

    /// Asks why nothing came. Without a connection there would be no answer.
    fn ask_why(&self, api: &Api, batch: Batch, end: End, promise: Promise<Outcome>) {
        let Source { stream, consumer } = &self.source;
        let op = Op::ConsumerInfo { stream, consumer };
        let how = How { timeout: api.timeout, quiet: true, ..How::default() };
        let asked = api.request_as(op, "", how, move |answer| {
            let reason = match answer {
                Err(error) if error.kind == Kind::ConnectionClosed => {
                    return promise.complete(Err(error));
                }
                Err(error) if !matches!(error.kind, Kind::Timeout | Kind::Permissions) => {
                    Some(error)
                }
                _ => None,
            };
            let end = if let End::Timeout(late) = end { late.end() } else { end };
            promise.complete(Ok(Outcome { batch, end, reason }));
        });
        // Fails only with the connection, of which the promise tells when it is dropped.
        drop(asked);
    }
}

impl Taker for Waiting {
    fn message(&mut self, message: Delivered) {
        if let Some(batch) = &mut self.batch {
            batch.messages.push(message);
        }
    }

    fn ended(&mut self, end: End) {
        let (Some(batch), Some(promise)) = (self.batch.take(), self.promise.take()) else { return };
        match end {
            End::Closed => promise.complete(Err(Error::connection_closed())),
            End::Lost => promise.complete(Err(Error::connection_lost())),
            End::Denied(error) => promise.complete(Err(error)),
            end => {
                let unknown = batch.is_empty() && matches!(end, End::Nobody | End::Timeout(_));
                let connected =
                    |api: &Api| matches!(*api.link.connected().borrow(), ConnState::Connected(_));
                match self.api.upgrade().filter(|api| unknown && connected(api)) {
                    Some(api) => self.ask_why(&api, batch, end, promise),
                    None => promise.complete(Ok(Outcome { batch, end, reason: None })),
                }
            }
        }
    }
}
