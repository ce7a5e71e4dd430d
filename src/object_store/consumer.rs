//! The ordered consumer of the descriptions in an object store: for lists and watches.

use super::bucket::Bucket;
use super::names::all_metas;
use super::object::ObjectStore;
use super::store::Store;
use crate::jetstream::ordered::create::{ConsumerConfig, DeliverPolicy, name_prefix};
use crate::jetstream::ordered::{OrderedConfig, Resume};
use std::time::Duration;

const HEARTBEAT: Duration = Duration::from_secs(5);

/// What to consume, by somebody for whom the server need not wait. `roll_call`: whether it matters which descriptions
/// have vanished.
pub fn ordered_config(
    store: &ObjectStore,
    policy: DeliverPolicy,
    roll_call: bool,
) -> OrderedConfig {
    let (js, name) = (&store.js, store.js.connection.name());
    config(&store.bucket, |version| js.serves(version), &name, policy, roll_call)
}

/// For a list that the package itself wants to have.
pub fn own_config(store: &Store) -> OrderedConfig {
    let serves = |version| store.api.link.serves(version);
    config(&store.bucket, serves, "", DeliverPolicy::LastPerSubject, false)
}

fn config(
    bucket: &Bucket,
    serves: impl Fn((u32, u32, u32)) -> bool,
    connection: &str,
    policy: DeliverPolicy,
    roll_call: bool,
) -> OrderedConfig {
    OrderedConfig {
        config: ConsumerConfig {
            stream: bucket.stream.clone(),
            filters: vec![all_metas(&bucket.name)],
            description: Some("Object store watcher".into()),
            headers_only: Some(false),
            idle_heartbeat: HEARTBEAT,
            name_prefix: serves((2, 9, 0)).then(|| name_prefix(connection)),
            action: serves((2, 10, 0)),
        },
        policy,
        resume: Resume::SnapshotThenSequence,
        behind: bucket.behind,
        seeks_end: true,
        end_before_news: false,
        roll_call,
        never_waits: true,
        stream_created: Some(bucket.created.clone()).filter(|time| !time.is_empty()),
    }
}
