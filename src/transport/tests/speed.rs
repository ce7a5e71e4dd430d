//! Comparisons with the bare engine; run with `--ignored --nocapture`, best in a release build.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;

use super::support::{DEADLINE, FnSink, Server, barrier, connect, serve_echo};
use crate::transport::Outgoing;

const REQUESTS: u32 = 20_000;
const MESSAGES: u32 = 1_000_000;

fn bare<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("runtime").block_on(work)
}

fn per_second(count: u32, time: Duration) -> f64 {
    f64::from(count) / time.as_secs_f64()
}

#[test]
#[ignore = "a measurement"]
fn sequential_requests() {
    let server = Server::start(&[]);
    let (service, _) = connect(&server);
    serve_echo(&service, "echo");
    let (link, _) = connect(&server);
    let ours = || {
        let (tell, told) = mpsc::sync_channel(1);
        let start = Instant::now();
        for _ in 0..REQUESTS {
            let tell = tell.clone();
            link.request(Outgoing::new("echo", "0123456789abcdef"), Some(DEADLINE), move |r| {
                tell.send(r.is_ok()).expect("tell");
            })
            .expect("request");
            assert!(told.recv().expect("told"));
        }
        start.elapsed()
    };
    let theirs = || {
        bare(async {
            let client = async_nats::connect(server.url()).await.expect("connect");
            client.request("echo", Bytes::from_static(b"x")).await.expect("request");
            let start = Instant::now();
            for _ in 0..REQUESTS {
                let payload = Bytes::from_static(b"0123456789abcdef");
                client.request("echo", payload).await.expect("request");
            }
            start.elapsed()
        })
    };
    for _ in 0..3 {
        let (ours, theirs) = (ours(), theirs());
        println!(
            "request: link {:?}, engine {:?}, ratio {:.2}",
            ours / REQUESTS,
            theirs / REQUESTS,
            ours.as_secs_f64() / theirs.as_secs_f64()
        );
    }
}

#[test]
#[ignore = "a measurement"]
fn pipelined_publishes() {
    let server = Server::start(&[]);
    let (link, _) = connect(&server);
    let payload = Bytes::from_static(b"0123456789abcdef");
    let ours = || {
        let start = Instant::now();
        for _ in 0..MESSAGES {
            link.publish(Outgoing::new("sink", payload.clone())).expect("publish");
        }
        let queued = start.elapsed();
        barrier(&link);
        (queued, start.elapsed())
    };
    let theirs = || {
        bare(async {
            let client = async_nats::connect(server.url()).await.expect("connect");
            let start = Instant::now();
            for _ in 0..MESSAGES {
                client.publish("sink", payload.clone()).await.expect("publish");
            }
            let unused = client.new_inbox();
            let _ = client.request(unused, Bytes::new()).await;
            start.elapsed()
        })
    };
    for _ in 0..3 {
        let ((queued, ours), theirs) = (ours(), theirs());
        println!(
            "publish: queued at {:.0}/s; on the server: link {:.0}/s, engine {:.0}/s, ratio {:.2}",
            per_second(MESSAGES, queued),
            per_second(MESSAGES, ours),
            per_second(MESSAGES, theirs),
            ours.as_secs_f64() / theirs.as_secs_f64()
        );
    }
}

#[test]
#[ignore = "a measurement"]
fn deliveries() {
    let server = Server::start(&[]);
    let (publisher, _) = connect(&server);
    let payload = Bytes::from_static(b"0123456789abcdef");
    let send = || {
        for _ in 0..MESSAGES {
            publisher.publish(Outgoing::new("d", payload.clone())).expect("publish");
        }
    };
    let (link, _) = connect(&server);
    let (tell, told) = mpsc::channel();
    let mut count = 0;
    let sink = FnSink(move |_| {
        count += 1;
        if count % MESSAGES == 0 {
            tell.send(()).expect("tell");
        }
    });
    let id = link.subscribe("d", None, None, Box::new(sink)).expect("subscribe");
    barrier(&link);
    let start = Instant::now();
    send();
    told.recv().expect("told");
    let ours = start.elapsed();
    link.unsubscribe(id, None);
    barrier(&link);
    let theirs = bare(async {
        // Its usual limit would drop messages here.
        let options = async_nats::ConnectOptions::new().subscription_capacity(1 << 30);
        let client = options.connect(server.url()).await.expect("connect");
        let mut subscriber = client.subscribe("d").await.expect("subscribe");
        let _ = client.request("nobody", Bytes::new()).await;
        let start = Instant::now();
        send();
        for _ in 0..MESSAGES {
            subscriber.next().await.expect("message");
        }
        start.elapsed()
    });
    println!(
        "deliver: link {:.0}/s, engine {:.0}/s",
        per_second(MESSAGES, ours),
        per_second(MESSAGES, theirs)
    );
}
