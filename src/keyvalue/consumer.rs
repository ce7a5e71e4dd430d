//! The ordered consumer of a watch, of `keys` or of `history`.

use super::object::KeyValue;
use super::patterns::{overlap, without_covered};
use crate::error::Result;
use crate::jetstream::context::JetStream;
use crate::jetstream::ordered::create::{ConsumerConfig, DeliverPolicy, name_prefix};
use crate::jetstream::ordered::{OrderedConfig, Resume};
use std::time::Duration;

/// That a consumer can have these patterns, of which none covers another one.
///
/// # Errors
/// `ErrNotSupported`: servers before 2.10 know only one, those before 2.12 none that overlap.
pub fn check_several(js: &JetStream, patterns: &[String]) -> Result<()> {
    if patterns.len() > 1 {
        js.needs("a list of patterns", (2, 10, 0))?;
    }
    if overlap(patterns) {
        js.needs("a list of patterns that overlap", (2, 12, 0))?;
    }
    Ok(())
}

/// What to consume of a bucket.
///
/// # Errors
/// Those of [`check_several`].
pub fn ordered_config(
    kv: &KeyValue,
    patterns: Vec<String>,
    policy: DeliverPolicy,
    headers_only: bool,
    idle_heartbeat: Duration,
) -> Result<OrderedConfig> {
    let patterns = without_covered(patterns);
    check_several(&kv.js, &patterns)?;
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
