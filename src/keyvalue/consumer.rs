//! The ordered consumer of a watch, of `keys` or of `history`.

use super::object::KeyValue;
use super::patterns::without_covered;
use crate::error::Result;
use crate::jetstream::ordered::create::{ConsumerConfig, DeliverPolicy, name_prefix};
use crate::jetstream::ordered::{OrderedConfig, Resume};
use std::time::Duration;

/// What to consume of a bucket.
///
/// # Errors
/// `ErrNotSupported`: servers before 2.10 know only one pattern.
pub fn ordered_config(
    kv: &KeyValue,
    patterns: Vec<String>,
    policy: DeliverPolicy,
    headers_only: bool,
    idle_heartbeat: Duration,
) -> Result<OrderedConfig> {
    let patterns = without_covered(patterns);
    if patterns.len() > 1 {
        kv.js.needs("a list of patterns", (2, 10, 0))?;
    }
    let action = kv.js.serves((2, 10, 0));
    let named = kv.js.serves((2, 9, 0));
    Ok(OrderedConfig {
        config: ConsumerConfig {
            stream: kv.bucket.stream.clone(),
            filters: patterns.iter().map(|pattern| kv.bucket.read_subject(pattern)).collect(),
            description: Some("KV watcher".into()),
            headers_only: Some(headers_only),
            idle_heartbeat,
            name_prefix: named.then(|| name_prefix(&kv.js.connection.name())),
            action,
        },
        policy,
        resume: Resume::SnapshotThenSequence,
        behind: kv.bucket.behind,
        seeks_end: true,
        end_before_news: false,
        roll_call: false,
        never_waits: false,
        stream_created: Some(kv.bucket.created.clone()).filter(|time| !time.is_empty()),
    })
}
