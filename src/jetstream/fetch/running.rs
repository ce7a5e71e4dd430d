//! The fetches of a connection that are under way, for what becomes of it: its close, and losses, of
//! which a message may be the reason that nobody can read (`unreadable_pending`).

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use super::end::End;
use super::pull::{Pull, Source};
use tokio::sync::watch;

use crate::error::Result;
use crate::jetstream::unreadable_pending::{Found, Losses, find, suspicion};
use crate::lock::lock;
use crate::transport::{ConnState, Link};

#[derive(Default)]
pub struct Running {
    known: Arc<Known>,
    /// Somebody watches the link.
    watched: Cell<bool>,
}

#[derive(Default)]
struct Known {
    /// Those that are under way, and some that were.
    pulls: Mutex<Vec<Weak<Pull>>>,
    losses: Mutex<HashMap<Source, Losses>>,
}

impl Running {
    pub fn note(&self, link: &Link, pull: &Arc<Pull>) {
        if !self.watched.replace(true) {
            let (mut connections, known) = (Connections::of(link.connected()), self.known.clone());
            link.spawn(async move {
                while connections.another().await {
                    known.connection_lost().await;
                }
            });
        }
        let mut pulls = lock(&self.known.pulls);
        // Only now and then, or each fetch would look at all of them.
        if pulls.len() == pulls.capacity() {
            pulls.retain(|pull| pull.upgrade().is_some_and(|pull| !pull.is_over()));
        }
        pulls.push(Arc::downgrade(pull));
    }

    /// The link is about to be closed: by the program, unless it was lost for good.
    pub fn close(&self, lost: bool) {
        self.watched.set(false);
        let pulls = std::mem::take(&mut *lock(&self.known.pulls));
        for pull in pulls.iter().filter_map(Weak::upgrade) {
            pull.finish(if lost { End::Lost } else { End::Closed });
        }
    }
}

/// The connections of a link, one after the other.
struct Connections {
    state: watch::Receiver<ConnState>,
    /// The number of the last one that was seen.
    last: Option<u64>,
}

impl Connections {
    /// From the present one on: what happens before anybody waits counts as well.
    fn of(mut state: watch::Receiver<ConnState>) -> Self {
        let last = number(*state.borrow_and_update());
        Connections { state, last }
    }

    /// Waits for one in the place of another one; false at the end of the link.
    async fn another(&mut self) -> bool {
        while self.state.changed().await.is_ok() {
            let now = number(*self.state.borrow_and_update());
            if now.is_some() && now != self.last && std::mem::replace(&mut self.last, now).is_some()
            {
                return true;
            }
        }
        false
    }
}

fn number(state: ConnState) -> Option<u64> {
    match state {
        ConnState::Connected(number) => Some(number),
        _ => None,
    }
}

impl Known {
    /// There is another connection.
    async fn connection_lost(&self) {
        let mut asked: Vec<Arc<Pull>> =
            lock(&self.pulls).iter().filter_map(Weak::upgrade).collect();
        asked.retain(|pull| !pull.is_over());
        while let Some(pull) = asked.first().cloned() {
            let (same, others) = asked.into_iter().partition(|other| other.source == pull.source);
            asked = others;
            let count =
                lock(&self.losses).entry(pull.source.clone()).or_default().connection_lost();
            if let Some(api) = pull.api.upgrade() {
                let Source { stream, consumer } = pull.source.clone();
                let found = find(api, stream, consumer, count).await;
                self.looked(&pull.source, count, found, same);
            }
        }
    }

    /// What was found goes to the fetches that have room.
    fn looked(&self, source: &Source, count: u32, found: Result<Found>, pulls: Vec<Arc<Pull>>) {
        let mut all = lock(&self.losses);
        let losses = all.entry(source.clone()).or_default();
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let Source { stream, consumer } = source;
                if let Some(error) = suspicion(stream, consumer, count, &error) {
                    pulls.iter().for_each(|pull| {
                        pull.finish(End::Denied(error.clone()));
                    });
                }
                return;
            }
        };
        let mut pulls = pulls.into_iter();
        let mut pull = pulls.next();
        for message in losses.deliverable(found, Instant::now()) {
            let seq = message.message.seq;
            let mut left = Some(message);
            while let (Some(message), Some(to)) = (left.take(), &pull) {
                left = to.stored(message);
                if left.is_some() {
                    pull = pulls.next();
                }
            }
            if pull.is_none() {
                break;
            }
            losses.delivered(seq, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_connection_that_is_lost_at_once_is_noticed() {
        let (tell, state) = watch::channel(ConnState::Connected(1));
        let mut connections = Connections::of(state);
        // Nobody has waited yet.
        tell.send_replace(ConnState::Disconnected);
        tell.send_replace(ConnState::Connected(2));
        assert_eq!(connections.another().now_or_never(), Some(true));
        assert_eq!(connections.another().now_or_never(), None);
        drop(tell);
        assert_eq!(connections.another().now_or_never(), Some(false));
    }

    #[test]
    fn the_first_connection_is_in_the_place_of_none() {
        let (tell, state) = watch::channel(ConnState::Disconnected);
        let mut connections = Connections::of(state);
        tell.send_replace(ConnState::Connected(1));
        assert_eq!(connections.another().now_or_never(), None);
        tell.send_replace(ConnState::Connected(2));
        assert_eq!(connections.another().now_or_never(), Some(true));
    }
}
