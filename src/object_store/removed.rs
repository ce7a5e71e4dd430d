//! Chunks that were removed, and may be back: a server that is killed forgets some of what it has
//! confirmed as purged, and has those messages again when it is started. So what was removed over a
//! link is looked for when that is connected to another server, or to one that was started again.
//!
//! Each link has one list and one task that goes through it.

use super::bucket::Bucket;
use super::store::{From, Store};
use crate::error::{Kind, Result};
use crate::jetstream::api::WeakApi;
use crate::lock::lock;
use crate::transport::{ConnState, WeakLink};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// So many of the last objects of a link.
const MOST: usize = 512;
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// An object store that refuses it again and again is left alone.
const ATTEMPTS: u32 = 5;

/// An object whose chunks were removed. It does not keep the link open.
#[derive(Clone)]
struct Removed {
    api: WeakApi,
    bucket: Arc<Bucket>,
    /// That it had, or was to have.
    name: String,
    nuid: String,
}

type List = Arc<Mutex<VecDeque<Removed>>>;

static LISTS: Mutex<Vec<(WeakLink, List)>> = Mutex::new(Vec::new());

/// The chunks of this object were removed.
pub fn note(store: &Store, name: &str, nuid: &str) {
    let removed = Removed {
        api: store.api.downgrade(),
        bucket: store.bucket.clone(),
        name: name.to_owned(),
        nuid: nuid.to_owned(),
    };
    let list = list_of(store);
    let mut list = lock(&list);
    list.retain(|other| other.nuid != nuid);
    list.push_back(removed);
    if list.len() > MOST {
        list.pop_front();
    }
}

fn list_of(store: &Store) -> List {
    let link = &store.api.link;
    let list = {
        let mut lists = lock(&LISTS);
        if let Some((_, list)) = lists.iter().find(|(other, _)| other.is_of(link)) {
            return list.clone();
        }
        let list = List::default();
        lists.push((link.downgrade(), list.clone()));
        list
    };
    // Without the lock: a link that has ended drops it at once.
    let watcher = Watcher { link: link.downgrade(), list: list.clone(), server: link.server_id() };
    link.spawn(watcher.watch(link.connected()));
    list
}

struct Watcher {
    link: WeakLink,
    list: List,
    /// The one that has nothing of what was removed.
    server: Option<String>,
}

impl Watcher {
    async fn watch(mut self, mut connected: watch::Receiver<ConnState>) {
        while connected.changed().await.is_ok() {
            let ConnState::Connected(_) = *connected.borrow_and_update() else { continue };
            let Some(server) = self.link.upgrade().map(|link| link.server_id()) else { return };
            if server != self.server && self.look(&connected).await {
                self.server = server;
            }
        }
    }

    /// Removes what is back. Whether all has been looked at.
    async fn look(&self, connected: &watch::Receiver<ConnState>) -> bool {
        let list = lock(&self.list).clone();
        for removed in list {
            let mut attempts = 0;
            while let Err(kind) = removed.remove_again().await {
                if !matches!(connected.has_changed(), Ok(false)) {
                    return false;
                }
                attempts += 1;
                if attempts == ATTEMPTS || matches!(kind, Kind::BucketNotFound | Kind::Permissions)
                {
                    lock(&self.list).retain(|other| other.nuid != removed.nuid);
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        true
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        lock(&LISTS).retain(|(_, list)| !Arc::ptr_eq(list, &self.list));
    }
}

impl Removed {
    async fn remove_again(&self) -> std::result::Result<(), Kind> {
        // Without the link nobody is interested.
        let Some(api) = self.api.upgrade() else { return Ok(()) };
        let store = Store { api, bucket: self.bucket.clone(), own_writes: Arc::default() };
        self.remove_from(&store).await.map_err(|error| error.kind)
    }

    async fn remove_from(&self, store: &Store) -> Result<()> {
        if store.count_chunks(&self.nuid).await? == 0 {
            return Ok(());
        }
        // An object store that was restored from a backup may have the object itself again.
        match store.present(&self.name, From::Leader).await {
            Ok(there) if there.info.nuid == self.nuid => return Ok(()),
            Err(error) if error.kind != Kind::ObjectNotFound => return Err(error),
            // Or under another name, that it had at that time.
            _ if store.is_used(&self.nuid).await? => return Ok(()),
            _ => {}
        }
        store.purge_chunks(&self.name, &self.nuid).await
    }
}
