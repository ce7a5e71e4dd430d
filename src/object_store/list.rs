//! All descriptions of an object store, by a consumer of a moment. No Tcl here.

use super::bucket::missing;
use super::consumer::own_config;
use super::info::ObjectInfo;
use super::observer::{MetaEvent, MetaObserver, Unreadable};
use super::store::Store;
use crate::bucket::activity::{Activity, silence};
use crate::error::{Error, Kind, Result};
use crate::jetstream::ordered::consumer::OrderedConsumer;
use crate::jetstream::ordered::{ConsumerState, OrderedConfig};
use crate::lock::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// What there is, by name.
#[derive(Default)]
struct Found {
    objects: BTreeMap<String, std::result::Result<ObjectInfo, Unreadable>>,
    /// What belongs to no name.
    strangers: Vec<Unreadable>,
}

/// What a list consists of.
pub struct Listed {
    /// In the order of their names, those that were deleted included.
    pub objects: Vec<ObjectInfo>,
    pub unreadable: Vec<Unreadable>,
}

impl Found {
    fn into_list(self) -> Listed {
        let mut listed = Listed { objects: Vec::new(), unreadable: self.strangers };
        for object in self.objects.into_values() {
            match object {
                Ok(info) => listed.objects.push(info),
                Err(unreadable) => listed.unreadable.push(unreadable),
            }
        }
        listed
    }
}

/// What the consumer tells goes here, on the runtime thread.
struct Collector {
    bucket: String,
    found: Arc<Mutex<Found>>,
    activity: Arc<Activity>,
    end: Option<oneshot::Sender<Result<()>>>,
}

impl Collector {
    fn take(&mut self, event: MetaEvent) {
        // What comes until the consumer is stopped belongs to no list.
        if self.end.is_none() {
            return;
        }
        self.activity.now();
        match event {
            MetaEvent::Object(info, _) => {
                lock(&self.found).objects.insert(info.name.clone(), Ok(*info));
            }
            MetaEvent::Unreadable(unreadable) => {
                let mut found = lock(&self.found);
                match unreadable.name.clone() {
                    Some(name) => drop(found.objects.insert(name, Err(unreadable))),
                    None => found.strangers.push(unreadable),
                }
            }
            MetaEvent::EndOfData => self.end(Ok(())),
            // Made again: what came before is of another one.
            MetaEvent::State(ConsumerState::Recreated) => *lock(&self.found) = Found::default(),
            MetaEvent::LastError(kind, text) => {
                // Everything else heals.
                if matches!(kind, Kind::StreamNotFound | Kind::ConnectionClosed) {
                    self.end(Err(missing(&self.bucket, Error::new(kind, text))));
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, outcome: Result<()>) {
        if let Some(end) = self.end.take() {
            // Nobody waits any more.
            let _ = end.send(outcome);
        }
    }
}

/// Lists what there is. Dropping the future ends the consumer.
///
/// # Errors
/// `ErrBucketNotFound`; `ErrTimeout` if the server is silent for as long as a request may take.
pub async fn list(store: Store, config: OrderedConfig) -> Result<Listed> {
    let (api, bucket) = (store.api, &store.bucket);
    let (found, activity) = (Arc::<Mutex<Found>>::default(), Arc::<Activity>::default());
    let (end, ended) = oneshot::channel();
    let collector = Collector {
        bucket: bucket.name.clone(),
        found: found.clone(),
        activity: activity.clone(),
        end: Some(end),
    };
    let collector = Arc::new(Mutex::new(collector));
    let failing = collector.clone();
    let name = bucket.name.clone();
    let done = Box::new(move |created: Result<()>| {
        if let Err(error) = created {
            lock(&failing).end(Err(missing(&name, error)));
        }
    });
    let observer = MetaObserver::new(&bucket.name, move |event| lock(&collector).take(event));
    let limit = api.timeout;
    let consumer = OrderedConsumer::start(api, config, Box::new(observer), done);
    let silent = async {
        match limit {
            Some(limit) => silence(Arc::downgrade(&activity), limit).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        ended = ended => ended.unwrap_or_else(|_| Err(Error::connection_closed())),
        _ = silent => {
            let text = format!("Timeout while listing bucket {}", bucket.name);
            Err(Error::new(Kind::Timeout, text))
        }
    };
    drop(consumer);
    outcome?;
    Ok(std::mem::take(&mut *lock(&found)).into_list())
}

impl Store {
    /// Whether any object has these chunks. Who looks for it under its name has to do that before: a
    /// rename writes the new name first. Descriptions that cannot be read count, too, as long as they say
    /// which chunks they need.
    pub async fn is_used(&self, nuid: &str) -> Result<bool> {
        let listed = list(self.clone(), own_config(self)).await?;
        let objects = listed.objects.iter().filter(|info| !info.deleted).map(|info| &info.nuid);
        let unreadable = listed.unreadable.iter().filter_map(|unreadable| unreadable.nuid.as_ref());
        Ok(objects.chain(unreadable).any(|used| used == nuid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector() -> (Collector, oneshot::Receiver<Result<()>>) {
        let (end, ended) = oneshot::channel();
        let (found, activity) = (Arc::default(), Arc::default());
        (Collector { bucket: "b".into(), found, activity, end: Some(end) }, ended)
    }

    fn object(name: &str, size: u64) -> MetaEvent {
        let info = ObjectInfo { name: name.into(), size, ..ObjectInfo::default() };
        MetaEvent::Object(Box::new(info), 1)
    }

    fn unreadable(name: Option<&str>, text: &str) -> MetaEvent {
        let (name, text) = (name.map(str::to_owned), text.to_owned());
        MetaEvent::Unreadable(Unreadable { name, text, ..Unreadable::default() })
    }

    fn listed(collector: &Collector) -> (Vec<(String, u64)>, Vec<String>) {
        let listed = std::mem::take(&mut *lock(&collector.found)).into_list();
        let objects = listed.objects.into_iter().map(|info| (info.name, info.size));
        let warnings = listed.unreadable.into_iter().map(|unreadable| unreadable.text);
        (objects.collect(), warnings.collect())
    }

    #[test]
    fn the_latest_of_each_name_counts() {
        let (mut collector, mut ended) = collector();
        for event in [
            object("c", 1),
            object("a", 1),
            unreadable(Some("a"), "bad a"),
            unreadable(Some("b"), "bad b"),
            unreadable(None, "stranger"),
            object("b", 2),
            object("c", 3),
        ] {
            collector.take(event);
        }
        assert!(ended.try_recv().is_err());
        collector.take(MetaEvent::EndOfData);
        assert_eq!(ended.try_recv(), Ok(Ok(())));
        // Behind the end.
        collector.take(object("d", 1));
        let (objects, warnings) = listed(&collector);
        assert_eq!(objects, [("b".to_owned(), 2), ("c".to_owned(), 3)]);
        assert_eq!(warnings, ["stranger", "bad a"]);
    }

    #[test]
    fn of_an_object_store_that_was_made_again_only_the_new_one_counts() {
        let (mut collector, _ended) = collector();
        collector.take(object("a", 1));
        collector.take(MetaEvent::State(ConsumerState::Recreated));
        collector.take(object("b", 1));
        assert_eq!(listed(&collector).0, [("b".to_owned(), 1)]);
    }

    #[test]
    fn errors_that_end_it() {
        for (kind, ends) in [
            (Kind::ConsumerNotActive, None),
            (Kind::Permissions, None),
            (Kind::StreamNotFound, Some(Kind::BucketNotFound)),
            (Kind::ConnectionClosed, Some(Kind::ConnectionClosed)),
        ] {
            let (mut collector, mut ended) = collector();
            collector.take(MetaEvent::LastError(kind, "why".into()));
            let outcome = ended.try_recv().ok().map(|outcome| outcome.expect_err("an error").kind);
            assert_eq!(outcome, ends);
        }
    }
}
