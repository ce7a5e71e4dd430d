//! Deleting consumers that nobody needs any more.
//!
//! The server removes an abandoned consumer by itself, after a while in which it counts against the
//! limits of its stream and its account. So this is a courtesy: nobody waits for it, and nobody
//! hears of it where it fails.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Api, Op};
use crate::error::Kind;
use crate::lock::lock;
use crate::transport::{ConnState, How, Link};

/// What is known of consumers that were deleted.
#[derive(Clone, Default)]
pub struct Discards(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// The streams whose consumers may not be deleted by this user. A server reports each attempt,
    /// to the user and in its log, so there is only one.
    forbidden: HashSet<String>,
    /// When a consumer was left last.
    last: Option<Instant>,
}

/// For so long a consumer that was left may still count: until the server has deleted it, or has
/// found out by itself that nobody listens.
const COUNTS: Duration = Duration::from_millis(2500);

/// For how long the answer is of interest, which is of none unless it is an error.
const ANSWERED: Duration = Duration::from_secs(5);

impl Api {
    /// Asks the server to delete a consumer. Not without a connection: until there is one, the
    /// server has done it, or never will.
    pub fn discard_consumer(&self, link: &Link, stream: &str, consumer: &str) {
        let connected = matches!(*link.connected().borrow(), ConnState::Connected(_));
        let mut known = lock(&self.discards.0);
        known.last = Some(Instant::now());
        if !connected || known.forbidden.contains(stream) {
            return;
        }
        drop(known);
        let (discards, name) = (self.discards.clone(), stream.to_owned());
        let how = How { timeout: Some(ANSWERED), quiet: true, ..How::default() };
        let api = Api { link: link.clone(), ..self.clone() };
        let delete = Op::ConsumerDelete { stream, consumer };
        // Fails only when the link is closed, and takes its consumers with it.
        let _ = api.request_as(delete, "", how, move |answer| {
            if answer.is_err_and(|error| error.kind == Kind::Permissions) {
                lock(&discards.0).forbidden.insert(name);
            }
        });
    }

    /// Tells whether a consumer was left just now. Another one may then be refused because of it.
    pub fn just_discarded(&self) -> Box<dyn Fn() -> bool + Send> {
        let discards = self.discards.clone();
        Box::new(move || lock(&discards.0).last.is_some_and(|at| at.elapsed() < COUNTS))
    }

    /// Does that later, with a consumer whose name is not known yet. The link is not kept open for
    /// it.
    pub fn discard_later(&self, stream: &str) -> impl FnOnce(&str) + Send + 'static {
        let (api, stream) = (self.downgrade(), stream.to_owned());
        move |consumer| {
            if let Some(api) = api.upgrade() {
                api.discard_consumer(&api.link, &stream, consumer);
            }
        }
    }
}
