//! The rules of the state machine, one test each.

mod creation;
mod initial;
mod leap;
mod leaving;
mod outage;
mod replica;
mod start;
mod stream;
mod traffic;
mod unreadable;
mod window;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::machine::{Action, Machine, Surroundings};
use super::{OrderedConfig, Resume};
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::create::{ConsumerConfig, DeliverPolicy};
use crate::jetstream::roll::{Roll, mark};
use crate::jetstream::stored::StoredMessage;
use crate::transport::ConnState;

pub(super) fn spec(policy: DeliverPolicy, resume: Resume) -> OrderedConfig {
    let config = ConsumerConfig {
        stream: "S".into(),
        filters: vec!["s.>".into()],
        description: None,
        headers_only: None,
        idle_heartbeat: Duration::from_millis(500),
        name_prefix: None,
        action: true,
    };
    OrderedConfig {
        config,
        policy,
        resume,
        stream_created: None,
        behind: false,
        seeks_end: true,
        end_before_news: true,
        roll_call: false,
        never_waits: false,
    }
}

pub(super) fn surroundings(connection: ConnState) -> Surroundings {
    let mut inboxes = 0;
    Surroundings {
        api_prefix: "$JS.API".into(),
        timeout: Some(Duration::from_secs(1)),
        connection,
        new_inbox: Box::new(move || {
            inboxes += 1;
            format!("_INBOX.{inboxes}")
        }),
        just_discarded: Box::new(|| false),
        keeps_place: Box::new(|| true),
        seed: 7,
    }
}

/// A machine, its clock, and what it has said.
struct Rig {
    machine: Machine,
    now: Instant,
    incarnation: u64,
    subscribed: bool,
    /// The config of the last create request.
    request: Value,
    timeout: Option<Duration>,
    asked: Vec<(u64, String)>,
    timer: Option<Instant>,
    discarded: Vec<String>,
    /// Of each message.
    size: usize,
    /// The name and the filter in the subject of the last create request.
    named: (Option<String>, Option<String>),
    /// Messages that came again.
    repeated: u32,
    /// Everything else, in short form.
    log: Vec<String>,
}

impl Rig {
    /// The answer to the question for the first message behind the last one delivered.
    fn answer_message(&mut self, answer: Result<u64, Kind>) {
        let (token, op) = self.asked.pop().expect("a question");
        assert_eq!(op, "STREAM.MSG.GET.S");
        let (subject, time) = ("s.1".to_owned(), OLD.to_owned());
        let answer = match answer {
            Ok(seq) => Ok(StoredMessage { subject, seq, time, data: vec![], headers: vec![] }),
            Err(kind) => Err(error(kind)),
        };
        self.run(|machine, now, out| machine.next_message(token, answer.as_ref(), now, out));
    }

    fn new(spec: OrderedConfig) -> Self {
        Rig::with(spec, surroundings(ConnState::Connected(1)))
    }

    fn with(spec: OrderedConfig, around: Surroundings) -> Self {
        let now = Instant::now();
        let mut rig = Rig {
            machine: Machine::new(spec, around, now),
            now,
            incarnation: 0,
            subscribed: false,
            request: Value::Null,
            timeout: None,
            asked: Vec::new(),
            timer: None,
            discarded: Vec::new(),
            size: 100,
            named: (None, None),
            repeated: 0,
            log: Vec::new(),
        };
        rig.run(|machine, now, out| machine.start(now, out));
        rig
    }

    /// A watch that is live after `seq` messages of stream and consumer alike.
    fn live(spec: OrderedConfig, seq: u64) -> Self {
        let mut rig = Rig::new(spec);
        rig.created(0, seq);
        for n in 1..=seq {
            rig.message(n, n, seq - n);
        }
        rig.take();
        rig
    }

    fn run(&mut self, input: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>)) {
        let mut out = Vec::new();
        input(&mut self.machine, self.now, &mut out);
        for action in out {
            match action {
                Action::Subscribe { incarnation, inbox } => {
                    assert!(!self.subscribed, "subscribed twice");
                    self.subscribed = true;
                    self.incarnation = incarnation;
                    assert_eq!(inbox, format!("_INBOX.{incarnation}"));
                }
                Action::Unsubscribe => {
                    assert!(self.subscribed, "not subscribed");
                    self.subscribed = false;
                }
                Action::Discard { consumer } => self.discarded.push(consumer),
                Action::Create { incarnation, request, timeout } => {
                    self.timeout = timeout;
                    assert!(self.subscribed, "listens before it asks");
                    assert_eq!(incarnation, self.incarnation);
                    self.named = (request.name, request.filter);
                    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
                    self.request = body["config"].clone();
                    let policy = self.request["deliver_policy"].as_str().expect("a policy");
                    let from = self.request.get("opt_start_seq").map(|n| format!(" {n}"));
                    self.log.push(format!("create {policy}{}", from.unwrap_or_default()));
                }
                Action::AskCreated { consumer, .. } => {
                    self.log.push(format!("late CONSUMER.INFO.S.{consumer}"));
                }
                Action::AskConsumer { token, consumer } => {
                    self.ask(token, format!("CONSUMER.INFO.S.{consumer}"));
                }
                Action::AskStream { token, .. } => self.ask(token, "STREAM.INFO.S".into()),
                Action::AskMessage { token, .. } => self.ask(token, "STREAM.MSG.GET.S".into()),
                Action::CallRoll { token, filters, .. } => {
                    let filters = filters.join(" ");
                    self.log.push(format!("roll call {filters}"));
                    self.asked.push((token, filters));
                }
                Action::RollCalled => self.log.push("roll called".into()),
                Action::Count => self.log.push("count".into()),
                Action::Publish { subject, .. } => self.log.push(format!("publish {subject}")),
                Action::Deliver => self.log.push("deliver".into()),
                Action::Repeated => self.repeated += 1,
                Action::DeliverStored => self.log.push("deliver stored".into()),
                Action::EndOfData => self.log.push("end".into()),
                Action::Created => self.log.push("created".into()),
                Action::Failed(error) => self.log.push(format!("failed {:?}", error.kind)),
                Action::LastError(kind, text) => {
                    assert!(self.machine.name().is_empty(), "no name while it resets");
                    self.log.push(format!("{} {text}", kind.code()));
                }
                Action::State(state) => self.log.push(format!("{state:?}")),
                Action::SetTimer(at) => self.timer = Some(at),
            }
        }
    }

    fn ask(&mut self, token: u64, op: String) {
        self.log.push(format!("ask {op}"));
        self.asked.push((token, op));
    }

    /// What has been said since the last time.
    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    #[track_caller]
    fn expect(&mut self, expected: &[&str]) {
        assert_eq!(self.take(), expected);
    }

    /// Lets time pass, with the timers that come due.
    fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        let mut rounds = 0;
        while let Some(at) = self.timer.filter(|at| *at <= end) {
            rounds += 1;
            assert!(rounds < 1000, "the timer spins");
            self.now = self.now.max(at);
            self.timer = None;
            self.run(|machine, now, out| machine.tick(now, out));
        }
        self.now = end;
    }

    fn message_to(&mut self, incarnation: u64, stream_seq: u64, consumer_seq: u64, pending: u64) {
        self.stored(incarnation, &format!("s.{stream_seq}"), stream_seq, consumer_seq, pending, 0);
    }

    /// A message of a subject that was stored at this time, in ns.
    fn stored(
        &mut self,
        incarnation: u64,
        subject: &str,
        stream_seq: u64,
        consumer_seq: u64,
        pending: u64,
        timestamp_ns: i64,
    ) {
        let meta = Metadata {
            stream: "S",
            consumer: &format!("C{incarnation}"),
            delivered: 1,
            stream_seq,
            consumer_seq,
            timestamp_ns,
            domain: "",
            pending,
        };
        let size = self.size;
        self.run(|machine, now, out| machine.message(incarnation, subject, &meta, size, now, out));
    }

    fn message(&mut self, stream_seq: u64, consumer_seq: u64, pending: u64) {
        self.message_to(self.incarnation, stream_seq, consumer_seq, pending);
    }

    fn heartbeat(&mut self, last: Option<u64>, stalled: Option<&str>) {
        let incarnation = self.incarnation;
        self.run(|machine, now, out| machine.heartbeat(incarnation, last, None, stalled, now, out));
    }

    fn flow_control(&mut self, reply: &str) {
        let incarnation = self.incarnation;
        self.run(|machine, now, out| machine.flow_control(incarnation, reply, now, out));
    }

    fn consumed(&mut self, total: u64) {
        self.run(|machine, now, out| machine.consumed(total, now, out));
    }

    fn info(&self, consumer_seq: u64, stream_seq: u64, pending: u64) -> Value {
        json!({"name": format!("C{}", self.incarnation), "num_pending": pending,
            "created": "2026-01-01T00:00:10Z",
            "delivered": {"consumer_seq": consumer_seq, "stream_seq": stream_seq}})
    }

    /// The create reply of a consumer whose first message comes behind `stream_seq`.
    fn created(&mut self, stream_seq: u64, pending: u64) {
        let (incarnation, info) = (self.incarnation, self.info(0, stream_seq, pending));
        self.run(|machine, now, out| machine.create_reply(incarnation, &info, now, out));
    }

    fn create_failed(&mut self, error: Error) {
        let incarnation = self.incarnation;
        self.run(|machine, now, out| machine.create_failed(incarnation, error, now, out));
    }

    fn answer(&mut self, answer: Result<Value, Error>) {
        let (token, op) = self.asked.pop().expect("a question");
        let answer = answer.as_ref();
        self.run(|machine, now, out| {
            if op.starts_with("CONSUMER") {
                machine.consumer_info(token, answer, now, out);
            } else {
                machine.stream_info(token, answer, now, out);
            }
        });
    }

    /// The answer to a roll call: the subjects, and the end of the stream.
    fn answer_roll(&mut self, subjects: &[&str], last_seq: u64) {
        self.answer_roll_call(Ok(Roll {
            marks: subjects.iter().map(|subject| mark(subject)).collect(),
            first_seq: 1,
            last_seq,
            fresh: true,
        }));
    }

    fn answer_roll_call(&mut self, answer: Result<Roll, Error>) {
        let calls = |(_, what): &(u64, String)| what.contains('>');
        let last = self.asked.iter().rposition(calls).expect("a roll call");
        let (token, _) = self.asked.remove(last);
        let answer = answer.as_ref();
        self.run(|machine, now, out| machine.roll_called(token, answer, now, out));
    }

    fn answer_stream(&mut self, created: &str, last_seq: u64) {
        self.answer(Ok(json!({"created": created, "state": {"last_seq": last_seq}})));
    }

    fn connection(&mut self, connection: ConnState) {
        self.run(|machine, now, out| machine.connection(connection, now, out));
    }
}

const OLD: &str = "2026-01-01T00:00:00Z";

fn error(kind: Kind) -> Error {
    Error::new(kind, "why")
}

fn watch() -> OrderedConfig {
    spec(DeliverPolicy::LastPerSubject, Resume::SnapshotThenSequence)
}

fn all() -> OrderedConfig {
    spec(DeliverPolicy::All, Resume::BySequence)
}
