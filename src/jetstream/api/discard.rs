//! Deleting consumers that nobody needs any more.
//!
//! The server removes an abandoned consumer by itself, after a while in which it counts against the
//! limits of its stream and its account. So this is a courtesy: nobody waits for it, and nobody
//! hears of it where it fails.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Api, Op};
use crate::error::Kind;
use crate::lock::lock;
use crate::transport::{ConnState, How, Link};

/// The streams whose consumers may not be deleted by this user. A server reports each attempt in its
/// log, so there is only one.
#[derive(Clone, Default)]
pub struct Undeletable(Arc<Mutex<HashSet<String>>>);

/// For how long the answer is of interest, which is of none unless it is an error.
const ANSWERED: Duration = Duration::from_secs(5);

impl Api {
    /// Asks the server to delete a consumer. Not without a connection: until there is one, the
    /// server has done it, or never will.
    pub fn discard_consumer(&self, link: &Link, stream: &str, consumer: &str) {
        let connected = matches!(*link.connected().borrow(), ConnState::Connected(_));
        if !connected || lock(&self.undeletable.0).contains(stream) {
            return;
        }
        let (undeletable, name) = (self.undeletable.clone(), stream.to_owned());
        let api = Api { link: link.clone(), ..self.clone() };
        // Fails only when the link is closed, and takes its consumers with it.
        let how = How { timeout: Some(ANSWERED), quiet: true, ..How::default() };
        let _ = api.request_as(Op::ConsumerDelete { stream, consumer }, "", how, move |answer| {
            if answer.is_err_and(|error| error.kind == Kind::Permissions) {
                lock(&undeletable.0).insert(name);
            }
        });
    }

    /// Does that later, with a consumer whose name is not known yet. The link is not kept open for
    /// it.
    pub fn discard_later(&self, stream: &str) -> impl FnOnce(&str) + Send + 'static {
        let link = self.link.downgrade();
        let (prefix, timeout) = (self.prefix.clone(), self.timeout);
        let (trace, undeletable) = (self.trace.clone(), self.undeletable.clone());
        let stream = stream.to_owned();
        move |consumer| {
            if let Some(link) = link.upgrade() {
                let api = Api { link: link.clone(), prefix, timeout, trace, undeletable };
                api.discard_consumer(&link, &stream, consumer);
            }
        }
    }
}
