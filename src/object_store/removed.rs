//! Chunks that were removed, and may be back: a server that is killed forgets some of what it has
//! confirmed as purged, and has those messages again when it is started. So what was removed over a
//! link is looked for when that is connected to another server, or to one that was started again.
//!
//! Each link has one list and one task that goes through it.

use super::bucket::Bucket;
use super::names::chunks_of;
use super::store::{Store, is_temporary};
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::WeakApi;
use crate::lock::lock;
use crate::transport::{ConnState, WeakLink};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// So many of the last objects of a link.
const MOST: usize = 512;
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// An object store that refuses it again and again is left alone.
const ATTEMPTS: u32 = 5;
/// The subjects of a whole stream are asked for if there are no more than so many for each object that
/// is looked for: they take about as many bytes as one answer about a single one.
const SUBJECTS: u64 = 16;

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

/// What is still to be looked at.
struct Task {
    removed: Removed,
    refusals: u32,
}

impl Watcher {
    async fn watch(mut self, mut connected: watch::Receiver<ConnState>) {
        while connected.changed().await.is_ok() {
            let ConnState::Connected(_) = *connected.borrow_and_update() else { continue };
            let Some(server) = self.link.upgrade().map(|link| link.server_id()) else { return };
            if server == self.server {
                continue;
            }
            // What was not finished over this connection is begun anew over the next one.
            let mut next = connected.clone();
            tokio::select! {
                () = self.look() => self.server = server,
                _ = next.changed() => {}
            }
        }
    }

    /// Removes what is back, however long that takes: a stream may have no leader for a while.
    async fn look(&self) {
        let list = lock(&self.list).clone();
        let mut tasks: Vec<Task> =
            list.into_iter().map(|removed| Task { removed, refusals: 0 }).collect();
        loop {
            let mut again = Vec::new();
            for tasks in by_bucket(tasks) {
                again.extend(self.look_at(tasks).await);
            }
            if again.is_empty() {
                return;
            }
            tasks = again;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes what is back in one object store. What could not be looked at comes out.
    async fn look_at(&self, mut tasks: Vec<Task>) -> Vec<Task> {
        // Without the link nobody is interested.
        let Some(store) = tasks.first().and_then(|task| task.removed.store()) else {
            return Vec::new();
        };
        match store.chunks_if_few(SUBJECTS * tasks.len() as u64).await {
            Ok(Some(there)) => tasks.retain(|task| there.contains(&task.removed.chunks())),
            // Each one tells what is wrong.
            Ok(None) => {}
            Err(error) if is_temporary(&error) => return tasks,
            Err(error) if is_hopeless(&error) => {
                tasks.iter().for_each(|task| self.forget(&task.removed));
                return Vec::new();
            }
            Err(_) => {}
        }
        let mut again = Vec::new();
        let mut tasks = tasks.into_iter();
        while let Some(mut task) = tasks.next() {
            let Err(error) = task.removed.remove_again().await else { continue };
            if is_temporary(&error) {
                // The others have to wait, too; but should it be this one alone, not for that.
                again.extend(tasks);
                again.push(task);
                break;
            }
            task.refusals += 1;
            match is_hopeless(&error) || task.refusals == ATTEMPTS {
                true => self.forget(&task.removed),
                false => again.push(task),
            }
        }
        again
    }

    fn forget(&self, removed: &Removed) {
        lock(&self.list).retain(|other| other.nuid != removed.nuid);
    }
}

fn is_hopeless(error: &Error) -> bool {
    matches!(error.kind, Kind::BucketNotFound | Kind::Permissions)
}

/// In their order.
fn by_bucket(tasks: Vec<Task>) -> impl Iterator<Item = Vec<Task>> {
    let mut buckets: BTreeMap<(String, String), Vec<Task>> = BTreeMap::new();
    for task in tasks {
        let Bucket { stream, created, .. } = &*task.removed.bucket;
        buckets.entry((stream.clone(), created.clone())).or_default().push(task);
    }
    buckets.into_values()
}

impl Drop for Watcher {
    fn drop(&mut self) {
        lock(&LISTS).retain(|(_, list)| !Arc::ptr_eq(list, &self.list));
    }
}

impl Removed {
    /// The way to it, while the link is there.
    fn store(&self) -> Option<Store> {
        let bucket = self.bucket.clone();
        Some(Store { api: self.api.upgrade()?, bucket, own_writes: Arc::default() })
    }

    fn chunks(&self) -> String {
        chunks_of(&self.bucket.name, &self.nuid)
    }

    async fn remove_again(&self) -> Result<()> {
        let Some(store) = self.store() else { return Ok(()) };
        if store.count_chunks(&self.nuid).await? == 0 {
            return Ok(());
        }
        // An object store that was restored from a backup may have the object itself again, perhaps under
        // another name that it had at that time.
        if store.needs(&self.name, &self.nuid).await? || store.is_used(&self.nuid).await? {
            return Ok(());
        }
        store.purge_chunks(&self.name, &self.nuid).await.map(drop)
    }
}
