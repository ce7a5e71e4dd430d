//! A server of one's own, a recorder of events, sinks.

use std::env;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Kind;
use crate::transport::event::Hold;
use crate::transport::{Event, EventSink, Link, Message, Outgoing, ServerEntry, Settings, Sink};

/// Longer than anything takes; a test that needs it has failed.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A test without a server fails: it would prove nothing.
fn server_path() -> PathBuf {
    if let Some(path) = env::var_os("NATS_SERVER").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join("nats-server"))
        .find(|file| file.is_file())
        .expect("no nats-server: set NATS_SERVER or PATH, or run `make test-rust`")
}

/// A port that nobody listens on, another one each time. Below the range from which the kernel
/// takes ports for outgoing connections, else a link that keeps trying it could meet itself.
pub fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let number = std::process::id().wrapping_mul(97).wrapping_add(tried);
        let port = 15_000 + (number % 15_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running nats-server; killed when dropped.
pub struct Server {
    pub port: u16,
    child: Child,
}

impl Server {
    pub fn start(args: &[&str]) -> Server {
        Server::start_at(free_port(), args)
    }

    pub fn start_at(port: u16, args: &[&str]) -> Server {
        let child = Command::new(server_path())
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start nats-server");
        let mut server = Server { port, child };
        wait("the server", || {
            // It may have ended, and somebody else listen there.
            assert_eq!(server.child.try_wait().expect("its status"), None, "nats-server ended");
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
            let mut word = [0; 4];
            stream.read_exact(&mut word).is_ok() && &word == b"INFO"
        });
        server
    }

    pub fn url(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops it without ending it: sockets stay open, nothing is read.
    pub fn pause(&self) {
        let pid = self.child.id().to_string();
        // The shell's own: the program of that name is in a package that a small system lacks.
        let script = format!("kill -STOP {pid}");
        let status = Command::new("sh").args(["-c", &script]).status().expect("sh");
        assert!(status.success());
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(mut self) -> u16 {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Dead already after `kill`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the calling test again in a process of its own, since others use threads, files and links
/// too. True in that process, false in the first one when it is done.
pub fn alone(test: &str) -> bool {
    const CHILD: &str = "NATS_TEST_ALONE";
    if env::var_os(CHILD).is_some() {
        return true;
    }
    let child = Command::new(env::current_exe().expect("own path"))
        .args(["--exact", test, "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
    false
}

/// Waits until something holds.
pub fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Remembers events as short words, e.g. `attempt h:1` or `failed ErrConnectionRefused`.
#[derive(Default)]
pub struct Recorder {
    events: Mutex<Vec<(String, Event)>>,
    changed: Condvar,
}

impl EventSink for Recorder {
    fn event(&self, mut event: Event) {
        if let Event::GaveUp { hold, .. } = &mut event {
            // What is remembered holds nothing.
            *hold = Hold::new().0;
        }
        let word = match &event {
            Event::Attempt(server) => format!("attempt {}", server.address()),
            Event::AttemptInfo(_) => "info".into(),
            Event::AttemptFailed { error, .. } => format!("failed {}", error.kind.code()),
            Event::Connected { .. } => "connected".into(),
            Event::Lost { error, .. } => format!("lost {}", error.kind.code()),
            Event::AsyncError(error) => format!("error {}", error.kind.code()),
            Event::GaveUp { reason, .. } => format!("gave up {reason}"),
            Event::Updated { said, .. } => format!("updated {}", said.len()),
            Event::LameDuck(_) => "lame duck".into(),
            Event::Waiting(_) => "waiting".into(),
            Event::PoolAdded(address) => format!("added {address}"),
            Event::PoolRemoved(address) => format!("removed {address}"),
            Event::BadServerUrl(url) => format!("bad {url}"),
        };
        self.events.lock().expect("events").push((word, event));
        self.changed.notify_all();
    }
}

impl Recorder {
    pub fn words(&self) -> Vec<String> {
        self.events.lock().expect("events").iter().map(|(word, _)| word.clone()).collect()
    }

    pub fn count(&self, start: &str) -> usize {
        self.words().iter().filter(|word| word.starts_with(start)).count()
    }

    /// Waits for the `n`th event whose word starts so.
    pub fn wait_nth(&self, start: &str, n: usize) -> Event {
        let deadline = Instant::now() + DEADLINE;
        let mut events = self.events.lock().expect("events");
        loop {
            let mut found = events.iter().filter(|(word, _)| word.starts_with(start));
            if let Some((_, event)) = found.nth(n - 1) {
                return event.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let words = || events.iter().map(|(word, _)| word).collect::<Vec<_>>();
            assert!(!left.is_zero(), "no {start}, only {:?}", words());
            events = self.changed.wait_timeout(events, left).expect("events").0;
        }
    }

    pub fn wait(&self, start: &str) -> Event {
        self.wait_nth(start, 1)
    }

    /// Kind and text of the `n`th failed attempt.
    pub fn failure(&self, n: usize) -> (Kind, String) {
        match self.wait_nth("failed", n) {
            Event::AttemptFailed { error, .. } => (error.kind, error.message.into_owned()),
            other => panic!("{other:?}"),
        }
    }
}

pub fn settings(urls: &[&str]) -> Settings {
    let parse = |url: &&str| ServerEntry::parse(url).expect("url");
    Settings {
        servers: urls.iter().map(parse).collect(),
        name: "test".into(),
        reconnect_time_wait: Duration::from_millis(20),
        // A machine under load may need many attempts until a server is back.
        max_reconnect_attempts: -1,
        ..Settings::default()
    }
}

pub fn open(settings: Settings) -> (Link, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let link = Link::open(settings, recorder.clone()).expect("open");
    (link, recorder)
}

/// A link that is connected to this server.
pub fn connect(server: &Server) -> (Link, Arc<Recorder>) {
    let (link, recorder) = open(settings(&[&server.url()]));
    recorder.wait("connected");
    (link, recorder)
}

/// What a channel sink saw.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Message(&'static str, String),
    Ended(&'static str),
}

/// Sends what it sees into a channel.
pub struct ChannelSink(pub &'static str, pub Sender<Seen>);

impl Sink for ChannelSink {
    fn message(&mut self, message: Message) {
        let text = String::from_utf8_lossy(message.payload()).into_owned();
        // The test may be over.
        let _ = self.1.send(Seen::Message(self.0, text));
    }

    fn ended(&mut self) {
        let _ = self.1.send(Seen::Ended(self.0));
    }
}

pub fn channel_sink(name: &'static str) -> (Box<dyn Sink>, Receiver<Seen>) {
    let (tell, told) = mpsc::channel();
    (Box::new(ChannelSink(name, tell)), told)
}

/// Calls a closure for each message.
pub struct FnSink<F>(pub F);

impl<F: FnMut(Message) + Send> Sink for FnSink<F> {
    fn message(&mut self, message: Message) {
        (self.0)(message);
    }

    fn ended(&mut self) {}
}

pub fn out(subject: &str, payload: &str) -> Outgoing {
    Outgoing::new(subject, payload.to_owned())
}

/// Answers every request on `subject` with its own payload.
pub fn serve_echo(link: &Link, subject: &str) {
    let answering = link.clone();
    let sink = FnSink(move |message: Message| {
        if let Some(reply) = message.reply() {
            let payload = message.payload().to_vec();
            answering.publish(Outgoing::new(reply, payload)).expect("answer");
        }
    });
    link.subscribe(subject, None, None, Box::new(sink)).expect("subscribe");
    barrier(link);
}

/// Waits until the server has seen everything so far.
pub fn barrier(link: &Link) {
    let (tell, told) = mpsc::channel();
    link.barrier(Some(DEADLINE), move |result| tell.send(result.is_ok()).unwrap())
        .expect("barrier");
    assert_eq!(told.recv_timeout(DEADLINE), Ok(true));
}
