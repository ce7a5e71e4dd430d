//! The link of a connection, which it has from `connect` to its close, and what is kept in between.

use super::notification::Notification;
use crate::bridge::{Receiver, Sender};
use crate::error::{Error, Result};
use crate::transport::{Link, ServerEntry, Settings, Traffic};
use std::cell::RefCell;
use std::rc::Weak;
use std::time::Duration;

/// Something that goes on when a closed connection is opened again.
pub trait Follower {
    /// The link is about to be closed; what is sent now still goes through it.
    fn leave(&self, link: &Link);
    fn resume(&self, link: &Link);
}

#[derive(Default)]
pub struct Links {
    open: RefCell<Option<OpenLink>>,
    /// The pool while there is no link; with one, the transport has it.
    pool: RefCell<Vec<ServerEntry>>,
    followers: RefCell<Vec<Weak<dyn Follower>>>,
}

struct OpenLink {
    link: Link,
    notifications: Sender<Notification>,
    /// Nothing is received any more when this is dropped.
    _receiver: Receiver<Notification>,
}

impl Links {
    /// The link, for sending: there is one unless the connection is closed, or belongs to the
    /// parent of this process.
    pub fn get(&self) -> Result<Link> {
        let open = self.open.borrow();
        let open = open.as_ref().ok_or_else(Error::no_connection)?;
        open.link.check_process()?;
        Ok(open.link.clone())
    }

    /// The link for what checks the process by itself.
    pub fn with<T>(&self, body: impl FnOnce(&Link) -> T) -> Result<T> {
        let open = self.open.borrow();
        Ok(body(&open.as_ref().ok_or_else(Error::no_connection)?.link))
    }

    /// Where the threads of the link send what this thread is to know or do.
    pub fn notifications(&self) -> Option<Sender<Notification>> {
        self.open.borrow().as_ref().map(|open| open.notifications.clone())
    }

    /// A link was opened: what follows the connection goes on over it.
    pub fn opened(
        &self,
        link: Link,
        notifications: Sender<Notification>,
        receiver: Receiver<Notification>,
    ) {
        let open = OpenLink { link: link.clone(), notifications, _receiver: receiver };
        *self.open.borrow_mut() = Some(open);
        for follower in self.followers.borrow().iter().filter_map(Weak::upgrade) {
            follower.resume(&link);
        }
    }

    /// Closes the link, keeping its pool; nothing is received from it afterwards. What has gone
    /// through it.
    pub fn close(&self, flush: Duration) -> Option<Traffic> {
        let open = self.open.borrow_mut().take()?;
        *self.pool.borrow_mut() = open.link.servers();
        for follower in self.followers.borrow().iter().filter_map(Weak::upgrade) {
            follower.leave(&open.link);
        }
        open.link.close(flush);
        Some(open.link.traffic())
    }

    /// Lets something survive `disconnect` and a new `connect`.
    pub fn follow(&self, follower: Weak<dyn Follower>) {
        let mut followers = self.followers.borrow_mut();
        followers.retain(|follower| follower.strong_count() > 0);
        followers.push(follower);
    }

    /// Tells an open link of new settings, as far as it can obey them.
    pub fn update(&self, settings: Settings) {
        if let Some(open) = self.open.borrow().as_ref() {
            open.link.update(move |present| present.take_live(settings));
        }
    }

    pub fn servers(&self) -> Vec<ServerEntry> {
        match self.open.borrow().as_ref() {
            Some(open) => open.link.servers(),
            None => self.pool.borrow().clone(),
        }
    }

    /// The server that is used, tried or waited for.
    pub fn current_server(&self) -> Option<ServerEntry> {
        self.open.borrow().as_ref().and_then(|open| open.link.current())
    }

    /// Sets the pool of the next link. Without servers it is that of an open one as well.
    pub fn set_pool(&self, pool: Vec<ServerEntry>) {
        if pool.is_empty()
            && let Some(open) = self.open.borrow().as_ref()
        {
            open.link.clear_pool();
        }
        *self.pool.borrow_mut() = pool;
    }

    /// How many servers the next link has.
    pub fn pool_size(&self) -> usize {
        self.pool.borrow().len()
    }

    /// The pool of a new link: nothing is known against its servers.
    pub fn fresh_pool(&self) -> Vec<ServerEntry> {
        let mut servers = self.pool.borrow().clone();
        for entry in &mut servers {
            entry.reconnects = 0;
            entry.last_attempt = 0;
        }
        servers
    }
}
