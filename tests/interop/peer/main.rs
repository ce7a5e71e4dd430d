//! What tests/interop asks of async-nats: a program that does what it is told on stdin, as `../peer.py` does with nats-py.
//!
//! `interop-peer URL`. A request is a line of words in hexadecimal, separated by blanks: the operation and its arguments; the
//! answer is a line, `ok` or `error` and words in the same form.
//!
//! | file | what is there |
//! |---|---|
//! | `words.rs` | arguments and answers |
//! | `core.rs` | messages, requests |
//! | `streams.rs` | streams and consumers |
//! | `buckets.rs` | buckets |
//! | `objects.rs` | object stores |
//! | `services.rs` | services |

mod buckets;
mod core;
mod objects;
mod services;
mod streams;
mod words;

use futures_util::StreamExt;
use std::collections::HashMap;
use std::io::{BufRead, Write};
use words::{Answer, Failure, Words};

struct Peer {
    client: async_nats::Client,
    js: async_nats::jetstream::Context,
    /// What an operation has begun and others ask for more, by its number.
    subscriptions: HashMap<u64, async_nats::Subscriber>,
    watches: HashMap<u64, async_nats::jetstream::kv::Watch>,
    object_watches: HashMap<u64, async_nats::jetstream::object_store::Watch>,
    services: Vec<async_nats::service::Service>,
    last: u64,
}

impl Peer {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The server knows what was sent before: `flush` of the client only means that it is in the socket.
    async fn settled(&self) -> Result<(), Failure> {
        let inbox = self.client.new_inbox();
        let mut own = self.client.subscribe(inbox.clone()).await?;
        self.client.publish(inbox, bytes::Bytes::new()).await?;
        words::next(own.next()).await.map(|_| ())
    }

    async fn run(&mut self, op: &str, words: &mut Words) -> Result<Answer, Failure> {
        match op.split_once('_') {
            Some(("core", op)) => core::run(self, op, words).await,
            Some(("js", op)) => streams::run(self, op, words).await,
            Some(("kv", op)) => buckets::run(self, op, words).await,
            Some(("obj", op)) => objects::run(self, op, words).await,
            Some(("svc", op)) => services::run(self, op, words).await,
            _ => Err(words::unknown(op)),
        }
    }
}

async fn serve(url: String) -> Result<(), Failure> {
    let client = async_nats::ConnectOptions::new()
        .reconnect_delay_callback(|_| std::time::Duration::from_millis(50))
        .connect(url)
        .await
        .map_err(|error| Failure::other(&error))?;
    let js = async_nats::jetstream::new(client.clone());
    let mut peer = Peer {
        client,
        js,
        subscriptions: HashMap::new(),
        watches: HashMap::new(),
        object_watches: HashMap::new(),
        services: Vec::new(),
        last: 0,
    };
    loop {
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|read| (read > 0).then_some(line))
        });
        let Ok(Ok(Some(line))) = line.await else { return Ok(()) };
        let answer = match Words::parse(line.trim_end_matches('\n')) {
            Ok((op, mut words)) => match peer.run(&op, &mut words).await {
                Ok(answer) => answer.line(),
                Err(failure) => failure.line(),
            },
            Err(failure) => failure.line(),
        };
        let mut out = std::io::stdout().lock();
        if out.write_all(answer.as_bytes()).and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
    }
}

fn main() -> std::process::ExitCode {
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("usage: interop-peer URL");
        return 2.into();
    };
    // Services answer while the next request is waited for.
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(&error))
        .and_then(|runtime| runtime.block_on(serve(url)));
    match outcome {
        Ok(()) => 0.into(),
        Err(failure) => {
            eprintln!("interop-peer: {failure}");
            1.into()
        }
    }
}
