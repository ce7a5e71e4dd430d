//! Subscriptions: order, limits, sinks that use the link.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock};

use super::support::{
    ChannelSink, DEADLINE, FnSink, Seen, Server, barrier, channel_sink, connect, out, wait,
};
use crate::error::Kind;
use crate::transport::{Message, PackedMessage, SubId};

#[test]
fn order_is_kept_across_subscriptions() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let (publisher, _) = connect(&server);
    let (tell, told) = mpsc::channel();
    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
    for name in NAMES {
        let sink = Box::new(ChannelSink(name, tell.clone()));
        link.subscribe(name, None, None, sink).expect("subscribe");
    }
    barrier(&link);
    const COUNT: usize = 50_000;
    for i in 0..COUNT {
        // No fixed pattern, and runs of the same subject.
        let name = NAMES[(i * i / 7) % NAMES.len()];
        publisher.publish(out(name, &i.to_string())).expect("publish");
    }
    for i in 0..COUNT {
        let name = NAMES[(i * i / 7) % NAMES.len()];
        assert_eq!(told.recv_timeout(DEADLINE), Ok(Seen::Message(name, i.to_string())));
    }
}

#[test]
fn two_subscriptions_on_one_subject_alternate() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let order = Arc::new(Mutex::new(Vec::new()));
    for name in ["first", "second"] {
        let order = order.clone();
        let sink = FnSink(move |_| order.lock().expect("order").push(name));
        link.subscribe("a", None, None, Box::new(sink)).expect("subscribe");
    }
    for _ in 0..1000 {
        link.publish(out("a", "")).expect("publish");
    }
    barrier(&link);
    let order = order.lock().expect("order");
    assert_eq!(order.len(), 2000);
    assert!(order.chunks(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_limit_is_exact_and_ends_the_subscription() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let (sink, seen) = channel_sink("a");
    link.subscribe("a", None, Some(3), sink).expect("subscribe");
    for i in 0..10 {
        link.publish(out("a", &i.to_string())).expect("publish");
    }
    for i in 0..3 {
        assert_eq!(seen.recv_timeout(DEADLINE), Ok(Seen::Message("a", i.to_string())));
    }
    assert_eq!(seen.recv_timeout(DEADLINE), Ok(Seen::Ended("a")));
    assert!(seen.recv_timeout(DEADLINE).is_err(), "the sink must be dropped");
    assert_eq!(link.core().source_count(), 0);
}

#[test]
fn a_limit_can_be_set_later_and_may_be_reached_already() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let (sink, seen) = channel_sink("a");
    let id = link.subscribe("a", None, None, sink).expect("subscribe");
    let send = |n: usize| {
        for _ in 0..n {
            link.publish(out("a", "x")).expect("publish");
        }
        barrier(&link);
    };
    send(2);
    link.unsubscribe(id, Some(4));
    send(5);
    assert_eq!(seen.iter().filter(|s| matches!(s, Seen::Message(..))).count(), 4);

    let (sink, seen) = channel_sink("b");
    let id = link.subscribe("b", None, None, sink).expect("subscribe");
    link.publish(out("b", "x")).expect("publish");
    barrier(&link);
    link.unsubscribe(id, Some(1));
    link.publish(out("b", "y")).expect("publish");
    barrier(&link);
    let all: Vec<_> = seen.iter().collect();
    assert_eq!(all, [Seen::Message("b", "x".into()), Seen::Ended("b")]);
}

#[test]
fn queue_members_share() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let (tell, told) = mpsc::channel();
    for name in ["one", "two"] {
        let sink = Box::new(ChannelSink(name, tell.clone()));
        link.subscribe("a", Some("q"), None, sink).expect("subscribe");
    }
    for _ in 0..100 {
        link.publish(out("a", "")).expect("publish");
    }
    barrier(&link);
    assert_eq!(told.try_iter().count(), 100);
}

#[test]
fn a_sink_may_publish_subscribe_and_end_itself() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let (tell, told) = mpsc::channel();
    let own_id: Arc<OnceLock<SubId>> = Arc::default();
    let (inner_link, inner_id) = (link.clone(), own_id.clone());
    let mut count = 0;
    let sink = FnSink(move |message: Message| {
        count += 1;
        let text = String::from_utf8_lossy(message.payload()).into_owned();
        let sink = Box::new(ChannelSink("inner", tell.clone()));
        inner_link.subscribe("b", None, Some(1), sink).expect("subscribe");
        inner_link.publish(out("b", &text)).expect("publish");
        if count == 2 {
            inner_link.unsubscribe(*inner_id.get().expect("id"), None);
            // Nobody gets this one any more.
            inner_link.publish(out("a", "late")).expect("publish");
        }
    });
    let id = link.subscribe("a", None, None, Box::new(sink)).expect("subscribe");
    own_id.set(id).expect("once");
    for text in ["1", "2", "3"] {
        link.publish(out("a", text)).expect("publish");
    }
    for text in ["1", "2"] {
        assert_eq!(told.recv_timeout(DEADLINE), Ok(Seen::Message("inner", text.into())));
        assert_eq!(told.recv_timeout(DEADLINE), Ok(Seen::Ended("inner")));
    }
    // Its only other sender was in the sink that has ended.
    assert!(told.recv_timeout(DEADLINE).is_err());
    wait("the subscriptions to go", || link.core().source_count() <= 1);
}

#[test]
fn a_panic_in_a_sink_ends_only_its_subscription() {
    let server = Server::start(&[]);
    let (link, recorder) = connect(&server);
    let sink = FnSink(|_| std::panic::panic_any("deliberate"));
    link.subscribe("a", None, None, Box::new(sink)).expect("subscribe");
    let (sink, seen) = channel_sink("other");
    link.subscribe("a", None, None, sink).expect("subscribe");
    link.publish(out("a", "1")).expect("publish");
    link.publish(out("a", "2")).expect("publish");
    barrier(&link);
    assert_eq!(seen.try_iter().count(), 2);
    assert_eq!(recorder.count("lost"), 0);
}

#[test]
fn subscriptions_survive_and_those_given_up_meanwhile_do_not() {
    let server = Server::start(&[]);
    let (link, recorder) = connect(&server);
    let (kept, kept_seen) = channel_sink("kept");
    let (gone, gone_seen) = channel_sink("gone");
    let (limited, limited_seen) = channel_sink("limited");
    link.subscribe("a", None, None, kept).expect("subscribe");
    let gone = link.subscribe("a", None, None, gone).expect("subscribe");
    link.subscribe("a", None, Some(2), limited).expect("subscribe");
    link.publish(out("a", "1")).expect("publish");
    barrier(&link);
    let port = server.kill();
    recorder.wait("lost");
    link.unsubscribe(gone, None);
    // Told at once, not at the next connection.
    let all: Vec<_> = gone_seen.iter().collect();
    assert_eq!(all, [Seen::Message("gone", "1".into()), Seen::Ended("gone")]);
    let (late, late_seen) = channel_sink("late");
    link.subscribe("a", None, None, late).expect("subscribe");
    let (never, never_seen) = channel_sink("never");
    let never = link.subscribe("a", None, None, never).expect("subscribe");
    link.unsubscribe(never, None);
    assert_eq!(never_seen.iter().collect::<Vec<_>>(), [Seen::Ended("never")]);
    let _server = Server::start_at(port, &[]);
    recorder.wait_nth("connected", 2);
    link.publish(out("a", "2")).expect("publish");
    link.publish(out("a", "3")).expect("publish");
    barrier(&link);
    assert_eq!(kept_seen.try_iter().count(), 3);
    assert_eq!(late_seen.try_iter().count(), 2);
    assert_eq!(limited_seen.iter().filter(|s| matches!(s, Seen::Message(..))).count(), 2);
}

#[test]
fn bad_words_are_refused() {
    let server = Server::start(&[]);
    let (link, recorder) = connect(&server);
    for (subject, queue, kind) in [
        ("", None, Kind::BadSubject),
        ("a b", None, Kind::BadSubject),
        ("a", Some(""), Kind::BadQueueName),
        ("a", Some("q q"), Kind::BadQueueName),
    ] {
        let (sink, _) = channel_sink("x");
        let error = link.subscribe(subject, queue, None, sink).expect_err(subject);
        assert_eq!(error.kind, kind);
    }
    // An empty token is found later; the link goes on.
    let (sink, seen) = channel_sink("x");
    link.subscribe("a..b", None, None, sink).expect("subscribe");
    assert_eq!(seen.recv_timeout(DEADLINE), Ok(Seen::Ended("x")));
    recorder.wait("error ErrBadSubject");
    barrier(&link);
}

#[test]
fn headers_and_status_come_through() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let (tell, told) = mpsc::channel();
    let sink = FnSink(move |message| drop(tell.send(PackedMessage::new(message))));
    link.subscribe("a", None, None, Box::new(sink)).expect("subscribe");
    let mut message = out("a", "body");
    message.reply = Some("r".into());
    message.headers.push("K", "1");
    message.headers.push("K", "2");
    message.headers.push("Ünï".replace(|c: char| !c.is_ascii(), "x"), "välue");
    link.publish(message).expect("publish");
    let got = told.recv_timeout(DEADLINE).expect("message");
    assert_eq!(
        (got.subject(), got.reply(), got.payload()),
        (&b"a"[..], Some(&b"r"[..]), &b"body"[..])
    );
    let headers: Vec<(&str, Vec<&str>)> = got.headers().map(|(n, v)| (n, v.collect())).collect();
    assert_eq!(headers, [("K", vec!["1", "2"]), ("xnx", vec!["välue"])]);
    assert_eq!((got.status(), got.description()), (None, None));
}
