//! A server with a stream, a wire that can be cut, and what an ordered consumer tells.

use crate::error::{Kind, Result};
use crate::jetstream::api::{Api, Discards, reply};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::consumer::{Observer, OrderedConsumer};
use crate::jetstream::ordered::create::{ConsumerConfig, DeliverPolicy};
use crate::jetstream::ordered::{ConsumerState, OrderedConfig, Resume};
use crate::jetstream::roll::Roll;
use crate::jetstream::stored::StoredMessage;
use crate::transport::tests::support::{DEADLINE, Server, connect, wait};
use crate::transport::{Link, Message, Outgoing};
use serde_json::{Value, json};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server with JetStream, its store, a link to it, and the stream `S` on `s.>`.
pub struct World {
    pub server: Option<Server>,
    pub port: u16,
    pub store: PathBuf,
    pub link: Link,
    pub api: Api,
}

impl World {
    pub fn new() -> Self {
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

    pub fn create_stream(&self) {
        let body = json!({"name": "S", "subjects": ["s.>"], "storage": "file"});
        self.call("STREAM.CREATE.S", body).expect("a stream");
    }

    pub fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    pub fn restart(&mut self) {
        let store = self.store.to_string_lossy().into_owned();
        self.server = Some(Server::start_at(self.port, &["-js", "-sd", &store]));
    }

    pub fn call(&self, op: &str, body: Value) -> Result<Value> {
        let (tell, told) = mpsc::channel();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let out = Outgoing::new(format!("$JS.API.{op}"), body);
        self.link.request(out, Some(DEADLINE), move |reply| drop(tell.send(reply))).expect("sent");
        let reply = told.recv_timeout(DEADLINE).expect("an answer").expect("a reply");
        reply::parse(reply.payload())
    }

    pub fn publish(&self, subject: &str, payload: &[u8]) {
        self.link.publish(Outgoing::new(subject, payload.to_vec())).expect("published");
    }

    /// Publishes these, and waits until the stream has stored them.
    pub fn fill(&self, numbers: std::ops::RangeInclusive<u64>) {
        let last = *numbers.end();
        for number in numbers {
            self.publish(&format!("s.{number}"), number.to_string().as_bytes());
        }
        self.stored(last);
    }

    pub fn stored(&self, last: u64) {
        wait("the stream", || {
            self.call("STREAM.INFO.S", Value::Null)
                .is_ok_and(|info| info["state"]["last_seq"].as_u64() == Some(last))
        });
    }

    pub fn start(&self, spec: OrderedConfig) -> Consumer {
        start(self.api.clone(), spec)
    }
}

pub fn start(api: Api, spec: OrderedConfig) -> Consumer {
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
pub enum Heard {
    Entry(u64),
    End,
    Error(Kind, String),
    State(ConsumerState),
    Created,
    Present(Arc<Roll>),
    Done(Result<()>),
}

pub struct Recorder(Sender<Heard>);

impl Recorder {
    pub fn tell(&self, heard: Heard) {
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

pub struct Consumer {
    pub consumer: OrderedConsumer,
    pub told: Receiver<Heard>,
    pub errors: Vec<Kind>,
    pub states: Vec<ConsumerState>,
    pub present: Option<Arc<Roll>>,
}

impl Consumer {
    pub fn next(&mut self) -> Heard {
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
    pub fn until(&mut self, mut found: impl FnMut(&Heard) -> bool) -> Heard {
        loop {
            let heard = self.next();
            if found(&heard) {
                return heard;
            }
            let expected = !matches!(heard, Heard::Entry(_) | Heard::Done(Err(_)));
            assert!(expected, "unexpected {heard:?}");
        }
    }

    pub fn done(&mut self) -> Result<()> {
        match self.until(|heard| matches!(heard, Heard::Done(_))) {
            Heard::Done(result) => result,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn entries(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            match self.until(|heard| matches!(heard, Heard::Entry(_))) {
                Heard::Entry(seq) => assert_eq!(seq, number),
                other => panic!("{other:?}"),
            }
            self.consumer.consumed(1);
        }
    }

    pub fn end(&mut self) {
        self.until(|heard| matches!(heard, Heard::End));
    }

    pub fn reached(&mut self, state: ConsumerState) {
        if self.states.last() == Some(&state) {
            return;
        }
        self.until(|heard| matches!(heard, Heard::State(s) if *s == state));
    }

    /// Whether the last roll call has found each of the subjects.
    pub fn present<const N: usize>(&mut self, subjects: [&str; N]) -> [bool; N] {
        while self.present.is_none() {
            self.until(|heard| matches!(heard, Heard::Present(_)));
        }
        let roll = self.present.take().unwrap_or_default();
        subjects.map(|subject| roll.has(subject))
    }

    pub fn error(&mut self) -> (Kind, String) {
        match self.until(|heard| matches!(heard, Heard::Error(..))) {
            Heard::Error(kind, text) => (kind, text),
            other => panic!("{other:?}"),
        }
    }
}

pub fn spec(policy: DeliverPolicy, idle_heartbeat: u64) -> OrderedConfig {
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

/// A wire to the server that can be cut; new ones are laid at once.
pub struct Proxy {
    pub port: u16,
    pub sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub fn start(to: u16) -> Self {
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

    pub fn cut(&self) {
        for socket in self.sockets.lock().expect("sockets").drain(..) {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
