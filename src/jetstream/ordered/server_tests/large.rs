//! The initial values of a large bucket, beside the library below.

use super::support::{World, spec};
use crate::error::{Kind, Result};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::consumer::{Observer, OrderedConsumer};
use crate::jetstream::ordered::create::{ConsumerConfig, DeliverPolicy};
use crate::jetstream::ordered::{ConsumerState, OrderedConfig, Resume};
use crate::jetstream::roll::Roll;
use crate::jetstream::stored::StoredMessage;
use crate::keyvalue::bucket::Bucket;
use crate::keyvalue::config::{self, bucket_stream};
use crate::keyvalue::entry::Entry;
use crate::schema::Record;
use crate::transport::tests::support::{DEADLINE, wait};
use crate::transport::{Headers, Message, Outgoing};
use serde_json::Value;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

/// Builds entries, as a watch does, and lets them go.
struct Entries {
    bucket: Bucket,
    count: u64,
    bytes: usize,
    tell: Sender<(u64, usize)>,
}

impl Observer for Entries {
    fn entry(&mut self, message: &Message, meta: &Metadata<'_>) {
        let subject = message.subject();
        let payload = message.payload();
        if let Some(entry) = Entry::from_watch(&self.bucket, subject, meta, message, payload) {
            self.count += 1;
            self.bytes += entry.key().len() + entry.value().len();
        }
    }

    fn stored(&mut self, _stored: &StoredMessage) {}

    fn roll_call_begins(&mut self) {}

    fn roll_call(&mut self, _roll: Arc<Roll>) {}

    fn end_of_data(&mut self) {
        // The test may be over.
        let _ = self.tell.send((self.count, self.bytes));
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        panic!("{kind:?} {text}");
    }

    fn state(&mut self, _state: ConsumerState) {}

    fn created(&mut self, _info: &Value) {}
}

const KEYS: u64 = 100_000;

#[test]
fn the_initial_values_of_a_large_bucket() {
    let world = World::new();
    let stream = bucket_stream("B", Record::new(&config::TABLE)).expect("a stream");
    world.call("STREAM.CREATE.KV_B", stream).expect("a bucket");
    for number in 0..KEYS {
        let mut out = Outgoing::new(format!("$KV.B.key.{number}"), vec![b'v'; 100]);
        if number % 10 == 0 {
            out.headers = Headers::from_iter([("KV-Operation", "PUT")]);
        }
        world.link.publish(out).expect("published");
    }
    wait("the bucket", || {
        let info = world.call("STREAM.INFO.KV_B", Value::Null).expect("info");
        info["state"]["last_seq"].as_u64() == Some(KEYS)
    });
    let info = world.call("STREAM.INFO.KV_B", Value::Null).expect("info");
    let bucket = Bucket::from_infos("B", &[info], "$JS.API").expect("a bucket");

    let ours = || {
        let (tell, told) = mpsc::channel();
        let observer = Entries { bucket: bucket.clone(), count: 0, bytes: 0, tell };
        let spec = OrderedConfig {
            config: ConsumerConfig {
                stream: bucket.stream.clone(),
                filters: vec![bucket.read_subject(">")],
                ..spec(DeliverPolicy::LastPerSubject, 5000).config
            },
            resume: Resume::SnapshotThenSequence,
            stream_created: Some(bucket.created.clone()),
            roll_call: false,
            never_waits: false,
            ..spec(DeliverPolicy::LastPerSubject, 5000)
        };
        let start = Instant::now();
        let done = Box::new(|result: Result<()>| result.expect("created"));
        let consumer = OrderedConsumer::start(world.api.clone(), spec, Box::new(observer), done);
        consumer.consumed(KEYS);
        let (count, bytes) = told.recv_timeout(DEADLINE).expect("the end");
        assert_eq!(count, KEYS);
        assert!(bytes > 100 * 100_000);
        start.elapsed()
    };
    let theirs = || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = async_nats::connect(format!("127.0.0.1:{}", world.port)).await;
            let context = async_nats::jetstream::new(client.expect("connected"));
            let bucket = context.get_key_value("B").await.expect("a bucket");
            let start = Instant::now();
            let mut watch = bucket.watch_with_history(">").await.expect("a watch");
            let mut count = 0;
            loop {
                let next = futures_util::StreamExt::next(&mut watch).await;
                let entry = next.expect("not the end").expect("an entry");
                count += 1;
                if entry.delta == 0 {
                    break;
                }
            }
            assert_eq!(count, KEYS);
            start.elapsed()
        })
    };
    let best = |run: &dyn Fn() -> Duration| (0..3).map(|_| run()).min().expect("three runs");
    let (ours, theirs) = (best(&ours), best(&theirs));
    let rate = |time: Duration| 100_000.0 / time.as_secs_f64();
    println!("initial values: ours {:.0}/s, async-nats {:.0}/s", rate(ours), rate(theirs));
}
