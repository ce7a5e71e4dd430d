//! The rules of the state machine, one test each.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::machine::{Action, Machine, Surroundings};
use super::{OrderedConfig, Resume};
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::create::{ConsumerConfig, Policy};
use crate::jetstream::stored::StoredMessage;
use crate::transport::ConnState;

pub(super) fn spec(policy: Policy, resume: Resume) -> OrderedConfig {
    let config = ConsumerConfig {
        stream: "S".into(),
        filters: vec!["s.>".into()],
        description: None,
        headers_only: None,
        idle_heartbeat: Duration::from_millis(500),
        name_prefix: None,
        action: true,
    };
    OrderedConfig { config, policy, resume, stream_created: None, roll_call: false }
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
    /// Everything else, in short form.
    log: Vec<String>,
}

impl Rig {
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
                Action::Create { incarnation, request, timeout } => {
                    self.timeout = timeout;
                    assert!(self.subscribed, "listens before it asks");
                    assert_eq!(incarnation, self.incarnation);
                    assert_eq!((request.name, request.filter), (None, None));
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
                Action::CallRoll { token, filters } => {
                    let filters = filters.join(" ");
                    self.log.push(format!("roll call {filters}"));
                    self.asked.push((token, filters));
                }
                Action::RollCalled => self.log.push("roll called".into()),
                Action::Publish { subject } => self.log.push(format!("publish {subject}")),
                Action::Deliver => self.log.push("deliver".into()),
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
        let meta = Metadata {
            stream: "S",
            consumer: &format!("C{incarnation}"),
            delivered: 1,
            stream_seq,
            consumer_seq,
            timestamp_ns: 0,
            pending,
        };
        self.run(|machine, now, out| machine.message(incarnation, &meta, now, out));
    }

    fn message(&mut self, stream_seq: u64, consumer_seq: u64, pending: u64) {
        self.message_to(self.incarnation, stream_seq, consumer_seq, pending);
    }

    fn heartbeat(&mut self, last: Option<u64>, stalled: Option<&str>) {
        let incarnation = self.incarnation;
        self.run(|machine, now, out| machine.heartbeat(incarnation, last, stalled, now, out));
    }

    fn flow_control(&mut self, reply: &str) {
        let incarnation = self.incarnation;
        self.run(|machine, now, out| machine.flow_control(incarnation, reply, now, out));
    }

    fn consumed(&mut self, total: u64) {
        self.run(|machine, _, out| machine.consumed(total, out));
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
    spec(Policy::LastPerSubject, Resume::SnapshotThenSequence)
}

fn all() -> OrderedConfig {
    spec(Policy::All, Resume::BySequence)
}

#[test]
fn delivers_and_ends_the_initial_data_once() {
    let mut rig = Rig::new(all());
    rig.expect(&["create all", "Initial"]);
    rig.created(0, 2);
    assert_eq!(rig.machine.name(), "C1");
    rig.message(3, 1, 1);
    rig.message(5, 2, 0);
    rig.message(6, 3, 0);
    rig.expect(&["created", "deliver", "deliver", "end", "Live", "deliver"]);
}

#[test]
fn the_end_of_nothing() {
    let mut rig = Rig::new(watch());
    rig.created(9, 0);
    rig.expect(&["create last_per_subject", "Initial", "created", "end", "Live"]);
}

#[test]
fn new_ends_right_after_the_creation() {
    let mut rig = Rig::new(spec(Policy::New, Resume::SnapshotThenSequence));
    rig.created(9, 3);
    rig.expect(&["create new", "Initial", "created", "end", "Live"]);
    let mut rig = Rig::new(spec(Policy::New, Resume::SnapshotThenSequence));
    rig.message(10, 1, 4);
    rig.created(9, 0);
    rig.expect(&["create new", "Initial", "end", "deliver", "created", "Live"]);
}

#[test]
fn messages_before_the_create_reply() {
    let mut rig = Rig::new(all());
    rig.message(4, 1, 1);
    rig.message(5, 2, 0);
    rig.created(3, 2);
    rig.message(6, 3, 0);
    rig.expect(&[
        "create all",
        "Initial",
        "deliver",
        "deliver",
        "end",
        "created",
        "Live",
        "deliver",
    ]);
}

#[test]
fn a_gap_before_the_create_reply_waits_for_it() {
    let mut rig = Rig::new(all());
    rig.message(5, 2, 0);
    rig.message(6, 3, 0);
    rig.take();
    rig.created(3, 3);
    rig.expect(&[
        "created",
        "ErrConsumerSequenceMismatch reset with opt_start_seq = 4 due to \
         ErrConsumerSequenceMismatch",
        "create by_start_sequence 4",
        "Resuming",
    ]);
}

#[test]
fn writers_cannot_put_off_the_end_for_ever() {
    let mut rig = Rig::new(all());
    rig.created(0, 2);
    rig.message(1, 1, 5);
    rig.message(2, 2, 5);
    rig.message(3, 3, 5);
    rig.expect(&[
        "create all",
        "Initial",
        "created",
        "deliver",
        "deliver",
        "end",
        "Live",
        "deliver",
    ]);
}

#[test]
fn the_end_when_pending_messages_vanish() {
    let mut rig = Rig::new(watch());
    rig.created(0, 3);
    rig.message(1, 1, 2);
    rig.take();
    rig.pass(499);
    rig.expect(&[]);
    rig.heartbeat(Some(1), None);
    rig.pass(1);
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    let info = rig.info(1, 1, 2);
    rig.answer(Ok(info));
    rig.expect(&[]);
    rig.pass(400);
    rig.heartbeat(Some(1), None);
    rig.pass(200);
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    let info = rig.info(1, 3, 0);
    rig.answer(Ok(info));
    // The server still has a list of what has vanished, and would step through it.
    rig.expect(&["end", "Live", "ask STREAM.INFO.S", "Resuming"]);
    rig.answer_stream(OLD, 3);
    rig.created(3, 0);
    rig.expect(&["create by_start_sequence 2", "created", "Live"]);
    for _ in 0..20 {
        rig.pass(500);
        rig.heartbeat(Some(0), None);
    }
    rig.expect(&[]);
}

#[test]
fn the_last_message_says_that_others_have_vanished() {
    let mut rig = Rig::new(watch());
    rig.created(0, 3);
    rig.message(3, 1, 0);
    rig.expect(&[
        "create last_per_subject",
        "Initial",
        "created",
        "deliver",
        "end",
        "Live",
        "ask STREAM.INFO.S",
        "Resuming",
    ]);
}

#[test]
fn a_snapshot_that_makes_no_progress_is_taken_again() {
    let mut rig = Rig::new(watch());
    rig.created(0, 3);
    rig.message(1, 1, 2);
    rig.take();
    let mut rounds = Vec::new();
    for tenth in 1..=300 {
        rig.pass(100);
        if rig.request["opt_start_seq"].is_null() && rig.subscribed {
            rig.heartbeat(Some(u64::from(rounds.is_empty())), None);
        }
        if let Some((_, op)) = rig.asked.last() {
            if op.starts_with("CONSUMER") {
                let info = rig.info(u64::from(rounds.is_empty()), 1, 2);
                rig.answer(Ok(info));
            } else {
                rig.answer_stream(OLD, 3);
                rig.created(0, 3);
                rounds.push(tenth);
            }
        }
    }
    assert!(rig.take().contains(&"create last_per_subject".to_owned()));
    // Soon at first, then ever more seldom.
    assert!(rounds[0] <= 20 && (3..=8).contains(&rounds.len()), "{rounds:?}");
}

#[test]
fn an_answer_to_flow_control_that_went_with_the_connection_is_repeated() {
    let mut rig = Rig::new(all());
    rig.created(0, 9);
    rig.message(1, 1, 8);
    rig.flow_control("fc.1");
    rig.consumed(1);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.take();
    let info = rig.info(1, 1, 8);
    rig.answer(Ok(info));
    rig.expect(&["publish fc.1", "Initial"]);
}

#[test]
fn messages_lost_at_the_end_of_the_initial_data() {
    let mut rig = Rig::new(all());
    rig.created(0, 2);
    rig.message(1, 1, 1);
    rig.pass(500);
    rig.take();
    let info = rig.info(2, 2, 0);
    rig.answer(Ok(info));
    rig.expect(&["Stale"]);
    rig.pass(499);
    rig.expect(&[]);
    rig.pass(2);
    rig.expect(&[
        "ErrConsumerSequenceMismatch reset with opt_start_seq = 2 due to \
         ErrConsumerSequenceMismatch",
        "create by_start_sequence 2",
        "Resuming",
    ]);
}

#[test]
fn a_gap_resets_behind_the_last_delivered() {
    let mut rig = Rig::live(all(), 3);
    let old = rig.incarnation;
    rig.message(5, 5, 0);
    rig.expect(&[
        "ErrConsumerSequenceMismatch reset with opt_start_seq = 4 due to \
         ErrConsumerSequenceMismatch",
        "create by_start_sequence 4",
        "Resuming",
    ]);
    assert_eq!(rig.machine.name(), "");
    rig.message_to(old, 6, 6, 0);
    rig.expect(&[]);
    rig.created(3, 2);
    rig.message(4, 1, 1);
    rig.message(5, 2, 0);
    rig.expect(&["created", "Live", "deliver", "deliver"]);
    assert_eq!(rig.machine.name(), "C2");
}

#[test]
fn a_heartbeat_reveals_a_loss() {
    let mut rig = Rig::live(all(), 3);
    rig.heartbeat(Some(3), None);
    rig.heartbeat(None, None);
    rig.expect(&[]);
    rig.heartbeat(Some(4), None);
    assert_eq!(rig.take()[1], "create by_start_sequence 4");
}

#[test]
fn foreign_messages_and_duplicates_are_ignored() {
    let mut rig = Rig::live(all(), 3);
    rig.message(3, 3, 0);
    rig.message(1, 1, 2);
    let meta = Metadata {
        stream: "S",
        consumer: "other",
        delivered: 1,
        stream_seq: 9,
        consumer_seq: 9,
        timestamp_ns: 0,
        pending: 0,
    };
    let incarnation = rig.incarnation;
    rig.run(|machine, now, out| machine.message(incarnation, &meta, now, out));
    let meta = Metadata { stream: "T", consumer: "C1", ..meta };
    rig.run(|machine, now, out| machine.message(incarnation, &meta, now, out));
    rig.expect(&[]);
    rig.message(4, 4, 0);
    rig.expect(&["deliver"]);
}

#[test]
fn flow_control_waits_for_the_consumer() {
    let mut rig = Rig::live(all(), 3);
    rig.flow_control("fc.1");
    assert!(rig.machine.owes());
    rig.expect(&[]);
    rig.consumed(2);
    rig.expect(&[]);
    rig.message(4, 4, 0);
    rig.take();
    rig.consumed(3);
    rig.expect(&["publish fc.1"]);
    rig.consumed(4);
    rig.flow_control("fc.2");
    rig.expect(&["publish fc.2"]);
    assert!(!rig.machine.owes());
}

#[test]
fn stalled_heartbeats() {
    let mut rig = Rig::live(all(), 3);
    rig.flow_control("fc.1");
    rig.heartbeat(Some(3), Some("fc.1"));
    rig.expect(&[]);
    rig.consumed(3);
    rig.expect(&["publish fc.1"]);
    // The answer got lost.
    rig.heartbeat(Some(3), Some("fc.1"));
    rig.expect(&["publish fc.1"]);
    // The request got lost.
    rig.message(4, 4, 0);
    rig.heartbeat(Some(4), Some("fc.2"));
    rig.expect(&["deliver"]);
    rig.consumed(4);
    rig.expect(&["publish fc.2"]);
    rig.heartbeat(Some(4), Some(""));
    rig.expect(&[]);
}

#[test]
fn no_credit_is_owed_to_an_old_consumer() {
    let mut rig = Rig::live(all(), 3);
    rig.flow_control("fc.1");
    rig.message(9, 9, 0);
    rig.take();
    rig.created(3, 0);
    rig.consumed(3);
    assert_eq!(rig.take(), ["created", "Live"]);
}

#[test]
fn a_slow_user_does_not_look_like_a_dead_consumer() {
    let mut rig = Rig::live(all(), 3);
    rig.flow_control("fc.1");
    for _ in 0..20 {
        rig.pass(500);
        rig.heartbeat(Some(3), Some("fc.1"));
    }
    rig.expect(&[]);
}

#[test]
fn silence_resets() {
    let mut rig = Rig::live(all(), 3);
    rig.pass(1400);
    rig.heartbeat(Some(3), None);
    rig.pass(1499);
    rig.expect(&[]);
    rig.pass(1);
    let text = "ErrConsumerNotActive reset with opt_start_seq = 4 due to ErrConsumerNotActive";
    rig.expect(&[text, "ask STREAM.INFO.S", "Resuming"]);
    rig.answer_stream(OLD, 3);
    rig.expect(&["create by_start_sequence 4"]);
    rig.created(3, 0);
    rig.expect(&["created", "Live"]);
}

#[test]
fn the_stream_is_deleted() {
    let mut rig = Rig::live(all(), 3);
    rig.pass(1500);
    rig.take();
    rig.answer(Err(error(Kind::StreamNotFound)));
    rig.expect(&["ErrStreamNotFound stopped due to stream not found", "Stopped"]);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.pass(60_000);
    rig.expect(&[]);
    assert!(!rig.subscribed);
    // Without the right to ask about streams.
    let mut rig = Rig::live(all(), 3);
    rig.pass(1500);
    rig.answer(Err(error(Kind::Timeout)));
    rig.take();
    rig.create_failed(error(Kind::StreamNotFound));
    rig.expect(&["ErrStreamNotFound stopped due to stream not found", "Stopped"]);
}

#[test]
fn a_failed_reset_is_tried_again_after_ten_seconds() {
    let mut rig = Rig::live(all(), 3);
    rig.message(9, 9, 0);
    rig.take();
    rig.create_failed(error(Kind::JetStreamNotEnabled));
    rig.expect(&["ErrJetStreamNotEnabled failed to reset: why"]);
    rig.pass(9_999);
    rig.expect(&[]);
    rig.pass(1_001);
    assert_eq!(
        rig.take(),
        [
            "ErrConsumerSequenceMismatch reset with opt_start_seq = 4 due to \
         ErrConsumerSequenceMismatch",
            "create by_start_sequence 4",
        ]
    );
}

#[test]
fn retries_do_not_come_all_at_once() {
    let mut times: Vec<_> = (0..20)
        .map(|seed| {
            let around = Surroundings { seed, ..surroundings(ConnState::Connected(1)) };
            let mut rig = Rig::with(all(), around);
            rig.created(0, 0);
            rig.message(9, 9, 0);
            rig.create_failed(error(Kind::Timeout));
            let failed = rig.now;
            while !rig.subscribed {
                rig.pass(10);
            }
            rig.now - failed
        })
        .collect();
    times.sort();
    times.dedup();
    assert!(times.len() > 10, "{times:?}");
}

#[test]
fn the_first_creation_fails_for_its_caller() {
    let mut rig = Rig::new(all());
    rig.create_failed(error(Kind::StreamNotFound));
    rig.expect(&["create all", "Initial", "failed StreamNotFound"]);
    assert!(!rig.subscribed);
    rig.connection(ConnState::Closed);
    rig.pass(60_000);
    rig.expect(&[]);
}

#[test]
fn a_short_interruption_keeps_the_consumer() {
    let mut rig = Rig::live(all(), 3);
    rig.connection(ConnState::Disconnected);
    rig.expect(&["Stale"]);
    rig.pass(1000);
    rig.connection(ConnState::Connected(2));
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    let info = rig.info(3, 3, 0);
    rig.answer(Ok(info));
    rig.expect(&["Live"]);
    assert_eq!(rig.machine.name(), "C1");
    rig.pass(1499);
    rig.expect(&[]);
}

#[test]
fn any_orderly_traffic_proves_that_the_consumer_lives() {
    for traffic in
        [|rig: &mut Rig| rig.message(4, 4, 0), |rig: &mut Rig| rig.heartbeat(Some(3), None)]
    {
        let mut rig = Rig::live(all(), 3);
        rig.connection(ConnState::Disconnected);
        rig.connection(ConnState::Connected(2));
        rig.take();
        traffic(&mut rig);
        assert_eq!(rig.take()[0], "Live");
        rig.answer(Err(error(Kind::ConsumerNotFound)));
        rig.expect(&[]);
    }
}

#[test]
fn what_was_lost_with_the_connection_is_found() {
    let mut rig = Rig::live(all(), 3);
    rig.connection(ConnState::Connected(2));
    rig.take();
    let info = rig.info(5, 5, 0);
    rig.answer(Ok(info));
    rig.message(4, 4, 1);
    rig.pass(99);
    rig.expect(&["deliver"]);
    rig.pass(1);
    assert_eq!(
        rig.take()[0],
        "ErrConsumerSequenceMismatch reset with opt_start_seq = 5 due to ErrConsumerSequenceMismatch"
    );
    // The same, but it was only slow.
    let mut rig = Rig::live(all(), 3);
    rig.connection(ConnState::Connected(2));
    let info = rig.info(4, 4, 0);
    rig.answer(Ok(info));
    rig.pass(50);
    rig.message(4, 4, 0);
    rig.take();
    rig.pass(600);
    rig.expect(&["Live"]);
}

#[test]
fn a_consumer_that_did_not_survive_is_replaced_at_once() {
    let mut rig = Rig::live(all(), 3);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.take();
    rig.answer(Err(error(Kind::ConsumerNotFound)));
    rig.expect(&[
        "ErrConsumerNotActive reset with opt_start_seq = 4 due to ErrConsumerNotActive",
        "ask STREAM.INFO.S",
        "Resuming",
    ]);
}

#[test]
fn a_settling_server_is_given_three_seconds() {
    let mut rig = Rig::live(all(), 3);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.take();
    rig.answer(Err(error(Kind::JetStreamNotEnabled)));
    rig.expect(&[]);
    rig.pass(200);
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    rig.answer(Err(error(Kind::ConsumerNotFound)));
    rig.answer(Err(error(Kind::JetStreamNotEnabled)));
    rig.take();
    let mut attempts = 0;
    let busy = Error { api: Some((503, 10008)), ..error(Kind::JsResponse) };
    for _ in 0..28 {
        if rig.subscribed {
            attempts += 1;
            rig.create_failed(busy.clone());
        }
        while let Some((_, op)) = rig.asked.last() {
            assert_eq!(op, "STREAM.INFO.S");
            rig.answer(Err(busy.clone()));
        }
        rig.pass(100);
    }
    assert!((3..15).contains(&attempts), "{attempts}");
    assert!(!rig.take().iter().any(|line| line.starts_with("Err")), "silent");
    for _ in 0..20 {
        if rig.subscribed {
            rig.create_failed(busy.clone());
        }
        while !rig.asked.is_empty() {
            rig.answer(Err(busy.clone()));
        }
        rig.pass(100);
    }
    let reported: Vec<_> = rig.take().into_iter().filter(|l| l.starts_with("Err")).collect();
    assert_eq!(reported, ["ErrJSResponse failed to reset: why"]);
}

#[test]
fn a_long_outage() {
    let mut rig = Rig::live(all(), 3);
    rig.connection(ConnState::Disconnected);
    rig.take();
    rig.pass(1500);
    let reset = "ErrConsumerNotActive reset with opt_start_seq = 4 due to ErrConsumerNotActive";
    rig.expect(&[reset]);
    assert!(!rig.subscribed);
    rig.pass(1000);
    rig.expect(&["ErrTimeout failed to reset: Request to $JS.API.CONSUMER.CREATE.S timed out"]);
    rig.pass(60_000);
    rig.expect(&[]);
    rig.connection(ConnState::Connected(2));
    rig.expect(&[reset, "ask STREAM.INFO.S", "Resuming"]);
    rig.answer_stream(OLD, 5);
    rig.created(3, 2);
    rig.message(4, 1, 1);
    rig.expect(&["create by_start_sequence 4", "created", "Live", "deliver"]);
}

#[test]
fn an_outage_shorter_than_the_timeout_of_a_request() {
    let mut rig = Rig::live(all(), 3);
    rig.connection(ConnState::Disconnected);
    rig.pass(2000);
    rig.take();
    rig.connection(ConnState::Connected(2));
    rig.expect(&["ask STREAM.INFO.S", "Resuming"]);
    // Lost again while it asks.
    rig.connection(ConnState::Disconnected);
    rig.answer_stream(OLD, 5);
    rig.expect(&["Stale"]);
    rig.pass(1000);
    rig.expect(&["ErrTimeout failed to reset: Request to $JS.API.CONSUMER.CREATE.S timed out"]);
}

#[test]
fn a_create_request_lost_with_the_connection_is_made_again() {
    let mut rig = Rig::live(all(), 3);
    rig.message(9, 9, 0);
    rig.connection(ConnState::Disconnected);
    rig.take();
    rig.connection(ConnState::Connected(2));
    rig.expect(&["ask STREAM.INFO.S", "Resuming"]);
    rig.answer_stream(OLD, 9);
    rig.expect(&["create by_start_sequence 4"]);
    rig.created(3, 0);
    rig.expect(&["created", "Live"]);
}

#[test]
fn the_connection_is_closed() {
    let mut rig = Rig::live(all(), 3);
    rig.connection(ConnState::Closed);
    rig.expect(&["ErrConnectionClosed stopped", "Stopped"]);
    let mut rig = Rig::live(all(), 3);
    rig.connection(ConnState::Disconnected);
    rig.pass(1500);
    rig.take();
    rig.connection(ConnState::Closed);
    rig.expect(&[
        "ErrTimeout failed to reset: Connection lost",
        "ErrConnectionClosed stopped",
        "Stopped",
    ]);
    assert!(!rig.subscribed);
}

#[test]
fn stop_is_silent() {
    let mut rig = Rig::live(all(), 3);
    rig.run(|machine, _, out| machine.stop(out));
    assert!(!rig.subscribed);
    rig.message(4, 4, 0);
    rig.connection(ConnState::Closed);
    rig.pass(60_000);
    rig.run(|machine, _, out| machine.stop(out));
    rig.expect(&[]);
}

#[test]
fn new_resumes_at_the_place_of_its_creation() {
    let mut rig = Rig::new(spec(Policy::New, Resume::BySequence));
    rig.created(41, 0);
    rig.heartbeat(Some(1), None);
    assert_eq!(
        rig.take()[5],
        "ErrConsumerSequenceMismatch reset with opt_start_seq = 42 due to ErrConsumerSequenceMismatch"
    );
    assert_eq!(rig.request["opt_start_seq"], json!(42));
}

#[test]
fn an_unfinished_snapshot_is_taken_again() {
    let mut rig = Rig::new(watch());
    rig.created(9, 3);
    rig.message(10, 1, 2);
    rig.message(30, 3, 0);
    assert_eq!(rig.request["deliver_policy"], json!("last_per_subject"));
    rig.take();
    // 10 again, 20 is superseded by 40.
    rig.created(9, 3);
    rig.message(10, 1, 2);
    rig.expect(&["created", "Initial"]);
    rig.message(30, 2, 1);
    rig.message(40, 3, 0);
    rig.expect(&["deliver", "deliver", "end", "Live"]);
    rig.message(50, 5, 0);
    assert_eq!(rig.request["opt_start_seq"], json!(41));
}

#[test]
fn a_repeated_snapshot_without_news_ends_too() {
    let mut rig = Rig::new(watch());
    rig.created(9, 2);
    rig.message(10, 1, 1);
    rig.message(30, 3, 0);
    rig.take();
    rig.created(9, 1);
    rig.message(10, 1, 0);
    rig.expect(&["created", "Initial", "end", "Live"]);
}

#[test]
fn by_sequence_leaves_the_snapshot_behind() {
    let mut rig = Rig::new(spec(Policy::LastPerSubject, Resume::BySequence));
    rig.created(9, 3);
    rig.message(10, 1, 2);
    rig.message(30, 3, 0);
    assert_eq!(rig.request["opt_start_seq"], json!(11));
    rig.take();
    rig.created(10, 0);
    rig.expect(&["created", "end", "Live"]);
}

#[test]
fn a_shorter_stream_is_another_one() {
    // By the stream itself.
    let mut rig = Rig::live(watch(), 30);
    rig.pass(1500);
    rig.take();
    rig.answer_stream(OLD, 29);
    rig.expect(&["Recreated", "create last_per_subject", "Resuming"]);
    rig.created(0, 1);
    rig.message(1, 1, 0);
    rig.expect(&["created", "Live", "deliver"]);
    // By the reply.
    let mut rig = Rig::live(all(), 30);
    rig.message(99, 99, 0);
    rig.take();
    rig.created(7, 0);
    rig.expect(&["Recreated", "create by_start_sequence 1", "Resuming"]);
    rig.created(0, 7);
    rig.message(1, 1, 6);
    rig.expect(&["created", "Live", "deliver"]);
    // By a message.
    let mut rig = Rig::live(all(), 30);
    rig.message(99, 99, 0);
    rig.take();
    rig.message(8, 1, 0);
    rig.expect(&["Recreated", "create by_start_sequence 1", "Resuming"]);
}

#[test]
fn a_longer_stream_may_be_another_one() {
    for (known, created, another) in [
        (None, OLD, false),
        (None, "2026-01-01T00:00:10.5Z", false),
        (None, "2026-01-01T00:00:12Z", true),
        (Some(OLD), OLD, false),
        (Some(OLD), "2026-01-01T00:00:00.000000001Z", true),
    ] {
        let known = known.map(str::to_owned);
        let mut rig = Rig::live(OrderedConfig { stream_created: known, ..watch() }, 3);
        rig.pass(1500);
        rig.answer_stream(created, 100);
        let recreated = rig.take().iter().any(|line| line == "Recreated");
        assert_eq!(recreated, another, "{created}");
        let policy = if another { "last_per_subject" } else { "by_start_sequence" };
        assert_eq!(rig.request["deliver_policy"], json!(policy));
    }
}

#[test]
fn a_purged_stream_is_the_same_one() {
    let mut rig = Rig::live(all(), 30);
    rig.message(99, 99, 0);
    rig.take();
    rig.created(50, 0);
    rig.expect(&["created", "Live"]);
    rig.message(52, 2, 0);
    assert_eq!(rig.request["opt_start_seq"], json!(51));
}

#[test]
fn a_nameless_reply_is_a_failure() {
    let mut rig = Rig::new(all());
    let incarnation = rig.incarnation;
    rig.run(|machine, now, out| machine.create_reply(incarnation, &json!({}), now, out));
    rig.expect(&["create all", "Initial", "failed Protocol"]);
}

#[test]
fn no_heartbeats_no_supervision() {
    let mut spec = all();
    spec.config.idle_heartbeat = Duration::ZERO;
    let mut rig = Rig::live(spec, 3);
    rig.pass(600_000);
    rig.expect(&[]);
}

#[test]
fn a_request_kept_until_the_connection_is_up() {
    let mut rig = Rig::with(all(), surroundings(ConnState::Disconnected));
    rig.expect(&["create all", "Initial"]);
    // The request was kept by the connection and has just been sent.
    rig.connection(ConnState::Connected(1));
    rig.expect(&[]);
    rig.created(0, 0);
    rig.expect(&["created", "end", "Live"]);
}

#[test]
fn a_first_creation_lost_with_the_connection() {
    for (policy, from, repeats) in [
        (Policy::All, json!(5), false),
        (Policy::New, json!(5), false),
        (Policy::LastPerSubject, Value::Null, true),
    ] {
        let mut rig = Rig::new(spec(policy, Resume::SnapshotThenSequence));
        rig.message(4, 1, 1);
        rig.take();
        rig.connection(ConnState::Disconnected);
        rig.pass(300);
        rig.connection(ConnState::Connected(2));
        assert_eq!(rig.timeout, Some(Duration::from_millis(700)));
        assert_eq!(rig.request["opt_start_seq"], from);
        rig.take();
        if repeats {
            rig.message(4, 1, 1);
        }
        rig.message(5, 1 + u64::from(repeats), 1);
        rig.created(4, 3);
        assert_eq!(rig.take()[..2], ["deliver", "created"]);
        rig.message(9, 9, 0);
        assert_eq!(rig.timeout, Some(Duration::from_secs(1)));
    }
    // Nothing has come yet: as if it had never been tried.
    let mut rig = Rig::new(spec(Policy::New, Resume::BySequence));
    rig.connection(ConnState::Connected(2));
    rig.created(8, 0);
    rig.expect(&["create new", "Initial", "create new", "created", "end", "Live"]);
}

/// The connection goes and comes back, and the consumer has to be made again.
fn bounce(rig: &mut Rig, generation: u64) {
    rig.run(|m, now, out| m.connection(ConnState::Disconnected, now, out));
    rig.run(|m, now, out| m.connection(ConnState::Connected(generation), now, out));
    let (token, _) = rig.asked.pop().expect("a question about the consumer");
    let error = Error::new(Kind::ConsumerNotFound, "consumer not found");
    rig.run(|m, now, out| m.consumer_info(token, Err(&error), now, out));
    let (token, _) = rig.asked.pop().expect("a question about the stream");
    let info = json!({"created": "2026-01-01T00:00:00Z", "state": {"last_seq": 9}});
    rig.run(|m, now, out| m.stream_info(token, Ok(&info), now, out));
}

fn stored(seq: u64) -> StoredMessage {
    let (subject, time) = ("s".to_owned(), "2026-01-01T00:00:00Z".to_owned());
    StoredMessage { subject, seq, time, data: Vec::new(), headers: Vec::new() }
}

#[test]
fn a_message_that_breaks_connections_is_read_in_another_way_and_passed() {
    let mut rig = Rig::live(spec(Policy::All, Resume::BySequence), 3);
    for generation in 2..=3 {
        bounce(&mut rig, generation);
        assert!(rig.take().contains(&"create by_start_sequence 4".to_owned()), "patience");
        rig.created(3, 6);
    }
    bounce(&mut rig, 4);
    assert!(rig.take().contains(&"ask STREAM.MSG.GET.S".to_owned()));
    let (token, _) = rig.asked.pop().expect("a question about the message");
    rig.run(|m, now, out| m.next_message(token, Ok(&stored(5)), now, out));
    rig.expect(&["deliver stored", "create by_start_sequence 6"]);
    // A late answer changes nothing.
    rig.run(|m, now, out| m.next_message(token, Ok(&stored(7)), now, out));
    rig.expect(&[]);
    rig.created(5, 4);
    rig.message(6, 1, 3);
    assert!(rig.take().contains(&"deliver".to_owned()));
}

#[test]
fn losses_without_a_bad_message_cost_one_question() {
    let mut rig = Rig::live(spec(Policy::All, Resume::BySequence), 3);
    for generation in 2..=3 {
        bounce(&mut rig, generation);
        rig.created(3, 0);
    }
    bounce(&mut rig, 4);
    rig.take();
    let (token, _) = rig.asked.pop().expect("a question about the message");
    let error = Error::new(Kind::MsgNotFound, "no message found");
    rig.run(|m, now, out| m.next_message(token, Err(&error), now, out));
    rig.expect(&["create by_start_sequence 4"]);
    rig.created(3, 0);
    bounce(&mut rig, 5);
    assert!(rig.take().contains(&"create by_start_sequence 4".to_owned()), "counted anew");
}

fn watch_with_roll_call() -> OrderedConfig {
    OrderedConfig { roll_call: true, ..watch() }
}

impl Rig {
    fn answer_roll_call(&mut self, answer: Result<(), Error>) {
        let (token, _) = self.asked.pop().expect("a question");
        let answer = answer.as_ref().copied();
        self.run(|machine, now, out| machine.roll_called(token, answer, now, out));
    }

    /// The consumer is silent, and the stream says where it begins.
    fn lose_consumer(&mut self, first_seq: u64, last_seq: u64) {
        self.pass(1500);
        self.answer(Ok(json!({"created": OLD,
            "state": {"first_seq": first_seq, "last_seq": last_seq}})));
    }
}

#[test]
fn another_stream_wants_a_roll_call() {
    let mut rig = Rig::live(watch_with_roll_call(), 3);
    rig.pass(1500);
    rig.answer_stream(OLD, 0);
    rig.created(0, 0);
    rig.pass(0);
    assert_eq!(rig.take().last().map(String::as_str), Some("roll call s.>"));
    rig.answer_roll_call(Ok(()));
    rig.expect(&["roll called"]);
}

#[test]
fn removed_messages_want_a_roll_call_if_they_were_not_delivered() {
    for (spec, first_seq, called) in
        [(watch_with_roll_call(), 4, false), (watch_with_roll_call(), 5, true), (watch(), 5, false)]
    {
        let mut rig = Rig::live(spec, 3);
        rig.lose_consumer(first_seq, 9);
        rig.created(first_seq - 1, 1);
        rig.pass(0);
        let log = rig.take();
        assert_eq!(log.contains(&"roll call s.>".to_owned()), called, "{first_seq} {log:?}");
    }
}

#[test]
fn a_roll_call_that_fails_is_made_again() {
    let mut rig = Rig::live(watch_with_roll_call(), 3);
    rig.lose_consumer(6, 9);
    rig.created(5, 1);
    rig.pass(0);
    rig.take();
    rig.answer_roll_call(Err(error(Kind::Timeout)));
    rig.expect(&[]);
    rig.pass(1000);
    assert!(rig.take().contains(&"roll call s.>".to_owned()));
    // Lost with the connection; the consumer survived.
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.pass(0);
    assert!(rig.take().contains(&"roll call s.>".to_owned()));
    rig.answer_roll_call(Err(error(Kind::StreamNotFound)));
    rig.pass(1000);
    assert!(!rig.take().contains(&"roll call s.>".to_owned()));
}

#[test]
fn a_create_reply_that_waits_behind_the_data() {
    let mut rig = Rig::new(all());
    rig.message(1, 1, 9);
    rig.pass(900);
    rig.message(2, 2, 8);
    rig.pass(100);
    rig.take();
    rig.create_failed(error(Kind::Timeout));
    rig.expect(&["late CONSUMER.INFO.S.C1"]);
    rig.message(3, 3, 7);
    let (incarnation, info) = (rig.incarnation, rig.info(5, 5, 5));
    rig.run(|machine, now, out| machine.create_reply(incarnation, &info, now, out));
    rig.expect(&["deliver", "created"]);
    for seq in 4..=10 {
        rig.message(seq, seq, 10 - seq);
    }
    assert!(rig.take().contains(&"end".to_owned()));
    // Without data it is just late.
    let mut rig = Rig::new(all());
    rig.message(1, 1, 9);
    rig.pass(1000);
    rig.create_failed(error(Kind::Timeout));
    assert!(rig.take().contains(&"failed Timeout".to_owned()));
}

#[test]
fn the_first_creation_ends_in_time_however_often_the_connection_is_lost() {
    let mut rig = Rig::new(spec(Policy::LastPerSubject, Resume::SnapshotThenSequence));
    for generation in 2..1000 {
        rig.now += Duration::from_millis(10);
        rig.run(|machine, now, out| machine.connection(ConnState::Disconnected, now, out));
        rig.run(|machine, now, out| machine.connection(ConnState::Connected(generation), now, out));
        if rig.machine.is_stopped() {
            break;
        }
    }
    assert_eq!(rig.log.last().map(String::as_str), Some("failed Timeout"));
    assert!(rig.machine.is_stopped() && !rig.subscribed);
}
