//! The same work as `run.tcl` and `jetstream.tcl`, by a loop on bare async-nats: what the engine alone can do.
//!
//! `bare PORT load BUCKET N SIZE` fills a bucket, `load-groups` with a hundred groups of keys; `bare PORT ROW BUCKET N SIZE` does a row and
//! prints its seconds. Rows: put get pipeline mget incr watch keys filtered live publish; without a bucket
//! (any word) core-publish core-self core-headers core-request core-requests, and core-respond,
//! which answers requests until its input ends. `bare PORT js-ROW STREAM/CONSUMER N SIZE` does one
//! of `streams` and prints its seconds, and the seconds of the processor; `bare PORT obj-ROW BUCKET 1 PATH` one of
//! `objects`, with a file.

mod objects;
mod streams;

use async_nats::jetstream::{self, kv};
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [port, row, bucket, n, size] = args.as_slice() else {
        eprintln!("usage: bare PORT ROW BUCKET N SIZE");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(row) = row.strip_prefix("obj-") {
        let work = async { objects::row(&connect(port).await?, row, bucket, size).await };
        let meter = runtime.block_on(work)?;
        println!("{} {}", meter.seconds, meter.cpu);
        return Ok(());
    }
    let (n, size): (usize, usize) = (n.parse()?, size.parse()?);
    if let Some(row) = row.strip_prefix("js-") {
        let (stream, consumer) = bucket.split_once('/').unwrap_or((bucket, ""));
        let value = Bytes::from(vec![b'x'; size]);
        let meter = runtime.block_on(async {
            streams::row(&connect(port).await?, row, stream, consumer, n, &value).await
        })?;
        println!("{} {}", meter.seconds, meter.cpu);
    } else {
        println!("{}", runtime.block_on(run(port, row, bucket, n, size))?);
    }
    Ok(())
}

/// Wall time, and that of the processor in this process.
struct Meter {
    start: Instant,
    seconds: f64,
    cpu: f64,
}

impl Meter {
    fn start() -> Meter {
        Meter { start: Instant::now(), seconds: 0.0, cpu: cpu() }
    }

    fn stop(&mut self) {
        self.seconds = self.start.elapsed().as_secs_f64();
        self.cpu = cpu() - self.cpu;
    }
}

/// Seconds that this process has had the processor, where the system shows it.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything; in hundredths on every Linux.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

async fn connect(port: &str) -> Result<async_nats::Client, Failure> {
    // Nothing is dropped while the loop still publishes.
    let options = async_nats::ConnectOptions::new().subscription_capacity(4_000_000);
    Ok(options.connect(format!("nats://127.0.0.1:{port}")).await?)
}

async fn run(port: &str, row: &str, bucket: &str, n: usize, size: usize) -> Result<f64, Failure> {
    let client = connect(port).await?;
    if let Some(row) = row.strip_prefix("core-") {
        return core(&client, row, n, &Bytes::from(vec![b'x'; size])).await;
    }
    let js = jetstream::new(client.clone());
    let store = js.get_key_value(bucket).await?;
    let value = Bytes::from(vec![b'x'; size]);
    let start = Instant::now();
    match row {
        "load" => load(&js, bucket, n, &value, |i| format!("key{i}")).await?,
        "load-groups" => {
            load(&js, bucket, n, &value, |i| format!("group{}.key{i}", i % 100)).await?;
        }
        "put" => {
            for i in 0..n {
                store.put(format!("key{}", i % 1000), value.clone()).await?;
            }
        }
        "get" => {
            for i in 0..n {
                store.get(format!("key{}", i % 1000)).await?.ok_or("no such key")?;
            }
        }
        "pipeline" => {
            let mut done = 0;
            while done < n {
                let puts: FuturesUnordered<_> = (0..1000.min(n - done))
                    .map(|i| store.put(format!("key{i}"), value.clone()))
                    .collect();
                done += puts.len();
                for outcome in puts.collect::<Vec<_>>().await {
                    outcome?;
                }
            }
        }
        "mget" => mget(&client, bucket, n).await?,
        "incr" => return incr(&store, n).await,
        "watch" => initial(&store, n).await?,
        "keys" => {
            let mut keys = store.keys().await?;
            let mut count = 0;
            while let Some(key) = keys.next().await {
                key?;
                count += 1;
            }
            assert_eq!(count, n);
        }
        "filtered" => filtered(&store, bucket, n).await?,
        "live" => return live(&store, n).await,
        "publish" => {
            client.flush().await?;
            // One line on stdin starts the flood, so that the watcher is ready.
            let mut line = String::new();
            std::io::stdin().read_line(&mut line)?;
            // Acknowledged, five thousand at a time: a server that is simply flooded drops messages.
            let mut waiting = std::collections::VecDeque::new();
            for i in 0..n {
                if waiting.len() >= 5000
                    && let Some(ack) = waiting.pop_front()
                {
                    let ack: jetstream::context::PublishAckFuture = ack;
                    ack.await?;
                }
                let subject = format!("$KV.{bucket}.key{i}");
                waiting.push_back(js.publish(subject, value.clone()).await?);
            }
            for ack in waiting {
                ack.await?;
            }
        }
        other => return Err(format!("unknown row {other}").into()),
    }
    Ok(start.elapsed().as_secs_f64())
}

/// A thousand keys at a time, by one direct get with many replies.
async fn mget(client: &async_nats::Client, bucket: &str, n: usize) -> Result<(), Failure> {
    let subjects: Vec<String> = (0..1000).map(|i| format!("\"$KV.{bucket}.key{i}\"")).collect();
    let question = Bytes::from(format!("{{\"multi_last\":[{}]}}", subjects.join(",")));
    let (mut done, subject) = (0, format!("$JS.API.DIRECT.GET.KV_{bucket}"));
    while done < n {
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(inbox.clone()).await?;
        client.publish_with_reply(subject.clone(), inbox, question.clone()).await?;
        let before = done;
        while let Some(reply) = replies.next().await {
            match reply.status.map(|status| status.as_u16()) {
                None => done += 1,
                Some(204) => break,
                Some(status) => return Err(format!("status {status}").into()),
            }
        }
        assert_eq!(done - before, 1000);
    }
    Ok(())
}

/// Adds 1 to a key so many times, beside others who do the same: the loop that everybody writes. A line
/// on stdin starts it.
async fn incr(store: &kv::Store, n: usize) -> Result<f64, Failure> {
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    let start = Instant::now();
    for _ in 0..n {
        loop {
            let entry = store.entry("counter").await?.ok_or("no such key")?;
            let value: u64 = std::str::from_utf8(&entry.value)?.parse()?;
            let next = (value + 1).to_string().into();
            match store.update("counter", next, entry.revision).await {
                Ok(_) => break,
                Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(start.elapsed().as_secs_f64())
}

/// The rows without JetStream.
async fn core(
    client: &async_nats::Client,
    row: &str,
    n: usize,
    value: &Bytes,
) -> Result<f64, Failure> {
    let start = Instant::now();
    match row {
        "publish" => {
            for _ in 0..n {
                client.publish("bench.nobody", value.clone()).await?;
            }
            // A round trip: `flush` only means that it is in the socket.
            let mut own = client.subscribe("bench.end").await?;
            client.publish("bench.end", Bytes::new()).await?;
            own.next().await.ok_or("the subscription ended")?;
        }
        "self" | "headers" => {
            let mut own = client.subscribe("bench.self").await?;
            let mut headers = async_nats::HeaderMap::new();
            if row == "headers" {
                for name in ["First", "Second", "Third"] {
                    headers.insert(name, "the value of a header");
                }
            }
            let publish = async {
                for _ in 0..n {
                    if headers.is_empty() {
                        client.publish("bench.self", value.clone()).await?;
                    } else {
                        let headers = headers.clone();
                        client.publish_with_headers("bench.self", headers, value.clone()).await?;
                    }
                }
                Ok::<(), Failure>(())
            };
            let receive = async {
                for _ in 0..n {
                    own.next().await.ok_or("the subscription ended")?;
                }
                Ok::<(), Failure>(())
            };
            futures_util::future::try_join(publish, receive).await?;
        }
        "request" => {
            for _ in 0..n {
                client.request("bench.service", value.clone()).await?;
            }
        }
        "requests" => {
            let mut done = 0;
            while done < n {
                let asked: FuturesUnordered<_> =
                    (0..1000).map(|_| client.request("bench.service", value.clone())).collect();
                done += asked.len();
                for answer in asked.collect::<Vec<_>>().await {
                    answer?;
                }
            }
        }
        "respond" => {
            let mut requests = client.subscribe("bench.service").await?;
            client.flush().await?;
            println!("ready");
            tokio::spawn(async move {
                // The process ends with its input.
                let _ =
                    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()))
                        .await;
                std::process::exit(0);
            });
            while let Some(request) = requests.next().await {
                if let Some(reply) = request.reply {
                    client.publish(reply, request.payload).await?;
                }
            }
        }
        other => return Err(format!("unknown row core-{other}").into()),
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Every value now in the bucket, as `watch_with_history` delivers them.
async fn initial(store: &kv::Store, n: usize) -> Result<(), Failure> {
    let mut watch = store.watch_with_history(">").await?;
    for _ in 0..n {
        watch.next().await.ok_or("the watch ended")??;
    }
    Ok(())
}

/// The keys of one group, as `keys` asks for all.
async fn filtered(store: &kv::Store, bucket: &str, n: usize) -> Result<(), Failure> {
    let config = jetstream::consumer::push::OrderedConfig {
        deliver_subject: "_INBOX.filtered".to_owned(),
        filter_subject: format!("$KV.{bucket}.group7.>"),
        headers_only: true,
        deliver_policy: jetstream::consumer::DeliverPolicy::LastPerSubject,
        replay_policy: jetstream::consumer::ReplayPolicy::Instant,
        ..Default::default()
    };
    let mut messages = store.stream.create_consumer(config).await?.messages().await?;
    for _ in 0..n {
        messages.next().await.ok_or("the consumer ended")??;
    }
    Ok(())
}

/// Updates from another process, timed from the first to the last.
async fn live(store: &kv::Store, n: usize) -> Result<f64, Failure> {
    let mut watch = store.watch(">").await?;
    println!("ready");
    let mut start = Instant::now();
    for i in 0..n {
        watch.next().await.ok_or("the watch ended")??;
        if i == 0 {
            start = Instant::now();
        }
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Fills these keys with acknowledged publishes, a thousand at a time.
async fn load(
    js: &jetstream::Context,
    bucket: &str,
    n: usize,
    value: &Bytes,
    key: impl Fn(usize) -> String,
) -> Result<(), Failure> {
    for chunk in (0..n).collect::<Vec<_>>().chunks(1000) {
        let mut acks = Vec::with_capacity(chunk.len());
        for i in chunk {
            acks.push(js.publish(format!("$KV.{bucket}.{}", key(*i)), value.clone()).await?);
        }
        for ack in acks {
            ack.await?;
        }
    }
    Ok(())
}
