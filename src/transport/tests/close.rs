//! The end of a link.

use std::fs;
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::support::{
    DEADLINE, FnSink, Seen, Server, alone, barrier, channel_sink, connect, free_port, open, out,
    settings, wait,
};
use crate::runtime;
use crate::transport::{ConnState, Link, Settings};

/// Far below [`DEADLINE`], far above what a close takes.
const QUICK: Duration = Duration::from_secs(5);

fn assert_quick(close: impl FnOnce()) {
    let start = Instant::now();
    close();
    assert!(start.elapsed() < QUICK, "took {:?}", start.elapsed());
}

#[test]
fn a_close_writes_out_everything() {
    let server = Server::start(&[]);
    let (receiver, _) = connect(&server);
    let (sink, seen) = channel_sink("a");
    receiver.subscribe("a", None, None, sink).expect("subscribe");
    barrier(&receiver);
    for (count, size) in [(1, 4), (100_000, 16), (50, 500_000)] {
        let (link, _) = connect(&server);
        let payload = "x".repeat(size);
        for _ in 0..count {
            link.publish(out("a", &payload)).expect("publish");
        }
        link.close(DEADLINE);
        for _ in 0..count {
            let next = seen.recv_timeout(DEADLINE).expect("message");
            assert!(matches!(next, Seen::Message(_, text) if text.len() == size));
        }
    }
}

#[test]
fn a_close_is_quick_in_every_state() {
    // Connecting to a server that says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
    let place = format!("127.0.0.1:{}", silent.local_addr().expect("address").port());
    let (link, recorder) = open(Settings { connect_timeout: DEADLINE, ..settings(&[&place]) });
    recorder.wait("attempt");
    link.publish(out("a", "")).expect("publish");
    assert_quick(|| link.close(DEADLINE));

    // Reconnecting: waiting, and trying.
    let server = Server::start(&[]);
    let (waiting, waiting_events) = connect(&server);
    waiting.update(|s| s.reconnect_time_wait = DEADLINE);
    let (trying, trying_events) = connect(&server);
    trying.update(|s| s.reconnect_time_wait = Duration::ZERO);
    server.kill();
    waiting_events.wait("waiting");
    assert_quick(|| waiting.close(DEADLINE));
    trying_events.wait_nth("failed", 3);
    assert_quick(|| trying.close(DEADLINE));
    assert_eq!(*trying.connected().borrow(), ConnState::Closed);

    // Again, and from several threads.
    assert_quick(|| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| trying.close(DEADLINE));
            }
        });
    });
}

#[test]
fn a_close_with_a_server_that_stalls_is_bounded() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    barrier(&link);
    server.pause();
    link.publish(out("a", "")).expect("publish");
    assert_quick(|| link.close(Duration::from_millis(50)));
}

#[test]
fn a_link_may_be_closed_from_its_own_thread() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let inner = link.clone();
    let (tell, told) = mpsc::channel();
    let sink = FnSink(move |_| {
        inner.close(DEADLINE);
        let _ = tell.send(());
    });
    link.subscribe("a", None, None, Box::new(sink)).expect("subscribe");
    link.publish(out("a", "")).expect("publish");
    told.recv_timeout(DEADLINE).expect("closed");
    wait("the end", || *link.connected().borrow() == ConnState::Closed);
}

#[test]
fn subscriptions_end_with_the_link() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let (sink, seen) = channel_sink("a");
    link.subscribe("a", None, None, sink).expect("subscribe");
    barrier(&link);
    link.close(DEADLINE);
    assert_eq!(seen.iter().collect::<Vec<_>>(), [Seen::Ended("a")]);
}

#[test]
fn the_last_handle_closes() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let state = link.connected();
    drop(link);
    wait("the end", || *state.borrow() == ConnState::Closed);
}

#[test]
fn everything_is_closed_at_exit() {
    if !alone("transport::tests::close::everything_is_closed_at_exit") {
        return;
    }
    let server = Server::start(&[]);
    let links: Vec<Link> = (0..5).map(|_| connect(&server).0).collect();
    let (sink, seen) = channel_sink("a");
    links[0].subscribe("a", None, None, sink).expect("subscribe");
    barrier(&links[0]);
    links[0].publish(out("a", "last words")).expect("publish");
    assert_quick(|| runtime::close_all(DEADLINE));
    assert!(links.iter().all(|link| *link.connected().borrow() == ConnState::Closed));
    let all: Vec<_> = seen.iter().collect();
    assert!(all.ends_with(&[Seen::Ended("a")]), "{all:?}");
    assert_quick(|| runtime::close_all(DEADLINE));
}

fn entries(dir: &str) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

#[test]
fn opening_and_closing_leaves_no_thread_and_no_file() {
    if !alone("transport::tests::close::opening_and_closing_leaves_no_thread_and_no_file") {
        return;
    }
    let server = Server::start(&[]);
    let refused = format!("127.0.0.1:{}", free_port());
    let cycle = |round: usize| {
        let link: Link = match round % 4 {
            0 | 1 => connect(&server).0,
            2 => open(settings(&[&server.url()])).0,
            _ => {
                let (link, recorder) = open(settings(&[&refused]));
                recorder.wait("gave up");
                link
            }
        };
        if round.is_multiple_of(4) {
            let (sink, _seen) = channel_sink("a");
            link.subscribe("a", None, None, sink).expect("subscribe");
            link.request(out("nobody", ""), None, |_| ()).expect("request");
        }
        link.close(DEADLINE);
    };
    (0..8).for_each(cycle);
    let before = (entries("/proc/self/task"), entries("/proc/self/fd"));
    (0..2000).for_each(cycle);
    wait("threads and files to go", || {
        (entries("/proc/self/task"), entries("/proc/self/fd")) <= before
    });
}
