//! The ordered consumer against a real server, with everything that can be done to it.

mod large;
mod support;

use self::support::{Proxy, World, spec, start};
use crate::error::{Error, Kind};
use crate::jetstream::api::Api;
use crate::jetstream::ordered::create::{ConsumerConfig, DeliverPolicy};
use crate::jetstream::ordered::{ConsumerState, OrderedConfig};
use crate::transport::tests::support::{DEADLINE, open, settings, wait};
use serde_json::{Value, json};
use std::sync::mpsc;
use std::time::{Duration, Instant};

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
