//! The ordered consumer against a real server, with everything that can be done to it.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::consumer::{Observer, OrderedConsumer};
use super::{ConsumerState, OrderedConfig, Resume};
use crate::error::{Error, Kind, Result};
use crate::jetstream::api::{Api, Discards, reply};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::create::{ConsumerConfig, DeliverPolicy};
use crate::jetstream::roll::Roll;
use crate::jetstream::stored::StoredMessage;
use crate::keyvalue::bucket::Bucket;
use crate::keyvalue::config::{self, bucket_stream};
use crate::keyvalue::entry::Entry;
use crate::schema::Record;
use crate::transport::tests::support::{DEADLINE, Server, connect, open, settings, wait};
use crate::transport::{Headers, Link, Message, Outgoing};

/// A server with JetStream, its store, a link to it, and the stream `S` on `s.>`.
struct World {
    server: Option<Server>,
    port: u16,
    store: PathBuf,
    link: Link,
    api: Api,
}

impl World {
    fn new() -> Self {
        static STORES: AtomicU32 = AtomicU32::new(0);
        let number = STORES.fetch_add(1, Ordering::Relaxed);
        let store =
            std::env::temp_dir().join(format!("nats-ordered-{}-{number}", std::process::id()));
        let server = Server::start(&["-js", "-sd", &store.to_string_lossy()]);
        let (link, _) = connect(&server);
        let api = Api {
            link: link.clone(),
            prefix: "$JS.API".into(),
            timeout: Some(Duration::from_secs(5)),
            trace: None,
            discards: Discards::default(),
        };
        let port = server.port;
        let world = World { server: Some(server), port, store, link, api };
        world.create_stream();
        world
    }

    fn create_stream(&self) {
        let body = json!({"name": "S", "subjects": ["s.>"], "storage": "file"});
        self.call("STREAM.CREATE.S", body).expect("a stream");
    }

    fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    fn restart(&mut self) {
        let store = self.store.to_string_lossy().into_owned();
        self.server = Some(Server::start_at(self.port, &["-js", "-sd", &store]));
    }

    fn call(&self, op: &str, body: Value) -> Result<Value> {
        let (tell, told) = mpsc::channel();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let out = Outgoing::new(format!("$JS.API.{op}"), body);
        self.link.request(out, Some(DEADLINE), move |reply| drop(tell.send(reply))).expect("sent");
        let reply = told.recv_timeout(DEADLINE).expect("an answer").expect("a reply");
        reply::parse(reply.payload())
    }

    fn publish(&self, subject: &str, payload: &[u8]) {
        self.link.publish(Outgoing::new(subject, payload.to_vec())).expect("published");
    }

    /// Publishes these, and waits until the stream has stored them.
    fn fill(&self, numbers: std::ops::RangeInclusive<u64>) {
        let last = *numbers.end();
        for number in numbers {
            self.publish(&format!("s.{number}"), number.to_string().as_bytes());
        }
        self.stored(last);
    }

    fn stored(&self, last: u64) {
        wait("the stream", || {
            self.call("STREAM.INFO.S", Value::Null)
                .is_ok_and(|info| info["state"]["last_seq"].as_u64() == Some(last))
        });
    }

    fn start(&self, spec: OrderedConfig) -> Consumer {
        start(self.api.clone(), spec)
    }
}

fn start(api: Api, spec: OrderedConfig) -> Consumer {
    let (tell, told) = mpsc::channel();
    let done = tell.clone();
    let consumer = OrderedConsumer::start(
        api,
        spec,
        Box::new(Recorder(tell)),
        Box::new(move |result| drop(done.send(Heard::Done(result)))),
    );
    Consumer { consumer, told, errors: Vec::new(), states: Vec::new(), present: None }
}

impl Drop for World {
    fn drop(&mut self) {
        self.link.close(Duration::ZERO);
        self.kill();
        // Nothing depends on it being gone.
        let _ = std::fs::remove_dir_all(&self.store);
    }
}

#[derive(Debug)]
enum Heard {
    Entry(u64),
    End,
    Error(Kind, String),
    State(ConsumerState),
    Created,
    Present(Arc<Roll>),
    Done(Result<()>),
}

struct Recorder(Sender<Heard>);

impl Recorder {
    fn tell(&self, heard: Heard) {
        // The test may be over.
        let _ = self.0.send(heard);
    }
}

impl Observer for Recorder {
    fn entry(&mut self, _message: &Message, meta: &Metadata<'_>) {
        self.tell(Heard::Entry(meta.stream_seq));
    }

    fn stored(&mut self, _stored: &StoredMessage) {}

    fn roll_call_begins(&mut self) {}

    fn roll_call(&mut self, roll: Arc<Roll>) {
        self.tell(Heard::Present(roll));
    }

    fn end_of_data(&mut self) {
        self.tell(Heard::End);
    }

    fn last_error(&mut self, kind: Kind, text: String) {
        self.tell(Heard::Error(kind, text));
    }

    fn state(&mut self, state: ConsumerState) {
        self.tell(Heard::State(state));
    }

    fn created(&mut self, info: &Value) {
        assert_eq!(info["config"]["inactive_threshold"], json!(2000));
        assert!(info.get("type").is_none());
        self.tell(Heard::Created);
    }
}

struct Consumer {
    consumer: OrderedConsumer,
    told: Receiver<Heard>,
    errors: Vec<Kind>,
    states: Vec<ConsumerState>,
    present: Option<Arc<Roll>>,
}

impl Consumer {
    fn next(&mut self) -> Heard {
        let heard = self
            .told
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|_| panic!("nothing more after {:?} {:?}", self.errors, self.states));
        match &heard {
            Heard::Error(kind, _) => self.errors.push(*kind),
            Heard::State(state) => self.states.push(*state),
            Heard::Present(present) => self.present = Some(present.clone()),
            _ => {}
        }
        heard
    }

    /// Goes on to the first thing that `found` accepts; entries on the way must be these.
    fn until(&mut self, mut found: impl FnMut(&Heard) -> bool) -> Heard {
        loop {
            let heard = self.next();
            if found(&heard) {
                return heard;
            }
            let expected = !matches!(heard, Heard::Entry(_) | Heard::Done(Err(_)));
            assert!(expected, "unexpected {heard:?}");
        }
    }

    fn done(&mut self) -> Result<()> {
        match self.until(|heard| matches!(heard, Heard::Done(_))) {
            Heard::Done(result) => result,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn entries(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            match self.until(|heard| matches!(heard, Heard::Entry(_))) {
                Heard::Entry(seq) => assert_eq!(seq, number),
                other => panic!("{other:?}"),
            }
            self.consumer.consumed(1);
        }
    }

    fn end(&mut self) {
        self.until(|heard| matches!(heard, Heard::End));
    }

    fn reached(&mut self, state: ConsumerState) {
        if self.states.last() == Some(&state) {
            return;
        }
        self.until(|heard| matches!(heard, Heard::State(s) if *s == state));
    }

    /// Whether the last roll call has found each of the subjects.
    fn present<const N: usize>(&mut self, subjects: [&str; N]) -> [bool; N] {
        while self.present.is_none() {
            self.until(|heard| matches!(heard, Heard::Present(_)));
        }
        let roll = self.present.take().unwrap_or_default();
        subjects.map(|subject| roll.has(subject))
    }

    fn error(&mut self) -> (Kind, String) {
        match self.until(|heard| matches!(heard, Heard::Error(..))) {
            Heard::Error(kind, text) => (kind, text),
            other => panic!("{other:?}"),
        }
    }
}

fn spec(policy: DeliverPolicy, idle_heartbeat: u64) -> OrderedConfig {
    OrderedConfig {
        config: ConsumerConfig {
            stream: "S".into(),
            filters: vec!["s.>".into()],
            description: None,
            headers_only: None,
            idle_heartbeat: Duration::from_millis(idle_heartbeat),
            name_prefix: None,
            action: true,
        },
        policy,
        resume: Resume::BySequence,
        stream_created: None,
        behind: false,
        seeks_end: true,
        end_before_news: true,
        roll_call: false,
        never_waits: false,
    }
}

#[test]
fn delivers_what_is_there_and_what_comes() {
    let world = World::new();
    world.fill(1..=10);
    let mut all = world.start(spec(DeliverPolicy::All, 5000));
    let mut new = world.start(spec(DeliverPolicy::New, 5000));
    let mut some = world.start(OrderedConfig {
        config: ConsumerConfig {
            filters: vec!["s.3".into(), "s.11".into()],
            name_prefix: Some("chosen".into()),
            ..spec(DeliverPolicy::All, 5000).config
        },
        ..spec(DeliverPolicy::All, 5000)
    });
    all.entries(1..=10);
    all.end();
    new.end();
    some.entries([3]);
    some.end();
    for consumer in [&mut all, &mut new, &mut some] {
        consumer.reached(ConsumerState::Live);
    }
    world.fill(11..=11);
    all.entries([11]);
    new.entries([11]);
    some.entries([11]);
    assert!(some.consumer.name().starts_with("chosen_"), "{}", some.consumer.name());
    let name = all.consumer.name();
    let mut info = world.call(&format!("CONSUMER.INFO.S.{name}"), Value::Null).expect("info");
    crate::jetstream::consumer::config::reply::TABLE.show(&mut info);
    assert_eq!(all.consumer.info().expect("info")["config"], info["config"]);

    let missing = ConsumerConfig { stream: "T".into(), ..spec(DeliverPolicy::All, 5000).config };
    let mut missing =
        world.start(OrderedConfig { config: missing, ..spec(DeliverPolicy::All, 5000) });
    assert_eq!(missing.done().map_err(|error| error.kind), Err(Kind::StreamNotFound));

    drop(all);
    wait("the consumer to be forgotten", || {
        let info = world.call(&format!("CONSUMER.INFO.S.{name}"), Value::Null);
        info.is_err_and(|error: Error| error.kind == Kind::ConsumerNotFound)
    });
}

#[test]
fn a_consumer_deleted_under_it() {
    let world = World::new();
    world.fill(1..=3);
    let mut consumer = world.start(spec(DeliverPolicy::All, 300));
    consumer.entries(1..=3);
    consumer.reached(ConsumerState::Live);
    let name = consumer.consumer.name();
    world.call(&format!("CONSUMER.DELETE.S.{name}"), Value::Null).expect("deleted");
    world.fill(4..=5);
    let (kind, text) = consumer.error();
    assert_eq!(kind, Kind::ConsumerNotActive);
    assert_eq!(text, "reset with opt_start_seq = 4 due to ErrConsumerNotActive");
    consumer.entries(4..=5);
    consumer.reached(ConsumerState::Live);
    assert_ne!(consumer.consumer.name(), name);
    assert_eq!(consumer.errors, [Kind::ConsumerNotActive]);
}

#[test]
fn a_stream_deleted_under_it() {
    let world = World::new();
    world.fill(1..=3);
    let mut consumer = world.start(spec(DeliverPolicy::All, 200));
    consumer.entries(1..=3);
    consumer.reached(ConsumerState::Live);
    world.call("STREAM.DELETE.S", Value::Null).expect("deleted");
    consumer.reached(ConsumerState::Stopped);
    assert_eq!(consumer.errors, [Kind::ConsumerNotActive, Kind::StreamNotFound]);
    assert_eq!(consumer.consumer.name(), "");
}

#[test]
fn a_stream_made_again_under_it() {
    for count in [2, 5] {
        let world = World::new();
        world.fill(1..=3);
        let created = world.call("STREAM.INFO.S", Value::Null).expect("info")["created"].clone();
        let created = created.as_str().map(str::to_owned);
        let spec = OrderedConfig { stream_created: created, ..spec(DeliverPolicy::All, 200) };
        let mut consumer = world.start(spec);
        consumer.entries(1..=3);
        consumer.reached(ConsumerState::Live);
        world.call("STREAM.DELETE.S", Value::Null).expect("deleted");
        world.create_stream();
        world.fill(1..=count);
        consumer.reached(ConsumerState::Recreated);
        consumer.entries(1..=count);
        consumer.reached(ConsumerState::Live);
        assert_eq!(consumer.errors, [Kind::ConsumerNotActive]);
    }
}

#[test]
fn a_roll_call_asks_for_each_filter() {
    let world = World::new();
    world.fill(1..=4);
    let created = world.call("STREAM.INFO.S", Value::Null).expect("info")["created"].clone();
    let mut spec = spec(DeliverPolicy::All, 200);
    spec.config.filters = vec!["s.1".into(), "s.2".into(), "s.4".into()];
    spec.stream_created = created.as_str().map(str::to_owned);
    spec.roll_call = true;
    let mut consumer = world.start(spec);
    consumer.entries([1, 2, 4]);
    consumer.reached(ConsumerState::Live);
    world.call("STREAM.DELETE.S", Value::Null).expect("deleted");
    world.create_stream();
    world.fill(1..=3);
    consumer.reached(ConsumerState::Recreated);
    consumer.entries([1, 2]);
    assert_eq!(consumer.present(["s.1", "s.2", "s.3", "s.4"]), [true, true, false, false]);
}

#[test]
fn a_server_killed_and_restarted() {
    let mut world = World::new();
    world.fill(1..=1000);
    let mut consumer = world.start(spec(DeliverPolicy::All, 5000));
    consumer.entries(1..=1000);
    consumer.reached(ConsumerState::Live);
    let name = consumer.consumer.name();
    world.kill();
    consumer.reached(ConsumerState::Stale);
    world.restart();
    world.fill(1001..=1010);
    consumer.entries(1001..=1010);
    // The consumer lived in memory: it was found missing right away.
    assert_eq!(consumer.errors, [Kind::ConsumerNotActive]);
    assert_ne!(consumer.consumer.name(), name);
}

/// A wire to the server that can be cut; new ones are laid at once.
struct Proxy {
    port: u16,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("address").port();
        let sockets: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let known = sockets.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("accepted");
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let mut from = from.try_clone().expect("a clone");
                    let mut to = to.try_clone().expect("a clone");
                    std::thread::spawn(move || {
                        // Ends with the wire, in whatever way.
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                known.lock().expect("sockets").extend([client, server]);
            }
        });
        Proxy { port, sockets }
    }

    fn cut(&self) {
        for socket in self.sockets.lock().expect("sockets").drain(..) {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn a_connection_cut_and_restored() {
    let world = World::new();
    let proxy = Proxy::start(world.port);
    let (link, events) = open(settings(&[&format!("127.0.0.1:{}", proxy.port)]));
    events.wait("connected");
    world.fill(1..=3);
    let cut_off = Api { link: link.clone(), ..world.api.clone() };
    let mut consumer = start(cut_off, spec(DeliverPolicy::All, 5000));
    consumer.entries(1..=3);
    consumer.reached(ConsumerState::Live);
    let name = consumer.consumer.name();
    for last in (3..18).step_by(3) {
        proxy.cut();
        consumer.reached(ConsumerState::Stale);
        consumer.reached(ConsumerState::Live);
        world.fill(last + 1..=last + 3);
        consumer.entries(last + 1..=last + 3);
        assert_eq!(consumer.errors, []);
        assert_eq!(consumer.consumer.name(), name);
    }
    // With messages on the wire when it is cut, some are lost and have to be asked for again.
    for last in (18..60).step_by(3) {
        world.fill(last + 1..=last + 2);
        proxy.cut();
        world.fill(last + 3..=last + 3);
        consumer.entries(last + 1..=last + 3);
    }
    link.close(Duration::ZERO);
}

#[test]
fn a_long_outage() {
    let mut world = World::new();
    world.api.timeout = Some(Duration::from_millis(500));
    world.fill(1..=10);
    let mut consumer = world.start(spec(DeliverPolicy::All, 200));
    consumer.entries(1..=10);
    consumer.reached(ConsumerState::Live);
    world.kill();
    assert_eq!(consumer.error().0, Kind::ConsumerNotActive);
    let (kind, text) = consumer.error();
    assert_eq!(kind, Kind::Timeout);
    assert_eq!(text, "failed to reset: Request to $JS.API.CONSUMER.CREATE.S timed out");
    world.restart();
    world.fill(11..=20);
    consumer.entries(11..=20);
    assert_eq!(consumer.errors, [Kind::ConsumerNotActive, Kind::Timeout, Kind::ConsumerNotActive]);
    consumer.reached(ConsumerState::Live);
    world.link.close(Duration::ZERO);
    consumer.reached(ConsumerState::Stopped);
    assert_eq!(consumer.errors.last(), Some(&Kind::ConnectionClosed));
}

#[test]
fn credit_bounds_what_is_sent_and_the_end_comes_in_any_case() {
    let world = World::new();
    let payload = vec![b'x'; 16 * 1024];
    for number in 1..=2000 {
        world.publish(&format!("s.{number}"), &payload);
    }
    world.stored(2000);
    let mut consumer = world.start(spec(DeliverPolicy::All, 200));
    consumer.done().expect("created");
    let name = consumer.consumer.name();
    let sent = || {
        let info = world.call(&format!("CONSUMER.INFO.S.{name}"), Value::Null).expect("info");
        info["delivered"]["consumer_seq"].as_u64().expect("a number")
    };
    // Stalled: nothing more comes in the time of several heartbeats.
    let (mut last, mut since) = (0, Instant::now());
    wait("the server to stall", || {
        let now = sent();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        last > 0 && since.elapsed() > Duration::from_secs(1)
    });
    assert!(last < 1000, "{last} messages without credit");
    // What is pending vanishes, so no message comes that has nothing behind it.
    world.call("STREAM.PURGE.S", Value::Null).expect("purged");
    consumer.entries(1..=last);
    consumer.end();
    assert_eq!(consumer.errors, []);
}

#[test]
fn all_pages_of_names() {
    let world = World::new();
    for number in 0..1100 {
        let body = json!({"name": format!("N{number}"), "subjects": [format!("n.{number}")],
            "storage": "memory"});
        world.call(&format!("STREAM.CREATE.N{number}"), body).expect("a stream");
    }
    let (tell, told) = mpsc::channel();
    let api = world.api.clone();
    world.link.spawn(async move {
        let names = api.stream_names(None).await;
        let one = api.stream_names(Some("n.7")).await;
        let none = api.stream_names(Some("nobody")).await;
        // Seen below.
        let _ = tell.send((names, one, none));
    });
    let (names, one, none) = told.recv_timeout(DEADLINE).expect("an answer");
    let mut names = names.expect("names");
    names.sort_by_key(Value::to_string);
    names.dedup();
    assert_eq!(names.len(), 1101);
    assert_eq!(one, Ok(vec![json!("N7")]));
    assert_eq!(none, Ok(vec![]));
}

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
