//! The rules of the state machine, one test each.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::machine::{Action, Fate, Machine, Status, Surroundings};
use super::{Group, PullConfig, State};
use crate::error::{Error, Kind};
use crate::transport::ConnState;

pub(super) fn config() -> PullConfig {
    PullConfig {
        stream: "S".into(),
        consumer: "C".into(),
        max_messages: 10,
        max_bytes: None,
        threshold: None,
        expires: Duration::from_secs(4),
        heartbeat: Duration::from_secs(1),
        stop_after: None,
        group: None,
        waits: false,
    }
}

pub(super) fn surroundings(seed: u64) -> Surroundings {
    let mut inboxes = 0;
    Surroundings {
        timeout: Some(Duration::from_secs(1)),
        connection: ConnState::Connected(1),
        new_inbox: Box::new(move || {
            inboxes += 1;
            format!("_INBOX.{inboxes}")
        }),
        seed,
    }
}

pub(super) fn info() -> Value {
    json!({"config": {
        "ack_policy": "explicit", "ack_wait": 30_000_000_000_u64, "priority_policy": "pinned_client",
    }})
}

struct Rig {
    machine: Machine,
    now: Instant,
    timer: Option<Instant>,
    incarnation: u64,
    /// The last tokens of questions and of retirements.
    asked: Vec<u64>,
    retired: Vec<u64>,
    /// Requests: their numbers and bodies.
    pulls: Vec<(u64, Value)>,
    /// Everything else, in short form.
    log: Vec<String>,
}

impl Rig {
    fn new(config: PullConfig) -> Rig {
        let now = Instant::now();
        let mut rig = Rig {
            machine: Machine::new(config, surroundings(7), now),
            now,
            timer: None,
            incarnation: 0,
            asked: Vec::new(),
            retired: Vec::new(),
            pulls: Vec::new(),
            log: Vec::new(),
        };
        rig.run(|machine, now, out| machine.start(now, out));
        rig
    }

    /// One that is served.
    fn running(config: PullConfig) -> Rig {
        let mut rig = Rig::new(config);
        rig.info(Ok(info()));
        rig.log.clear();
        rig
    }

    fn run<T>(&mut self, input: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>) -> T) -> T {
        let mut out = Vec::new();
        let value = input(&mut self.machine, self.now, &mut out);
        for action in out {
            match action {
                Action::Subscribe { incarnation, .. } => self.incarnation = incarnation,
                Action::Retire { token } => self.retired.push(token),
                Action::Pull { id, body } => {
                    self.pulls.push((id, serde_json::from_str(&body).expect("JSON")));
                }
                Action::AskConsumer { token } => self.asked.push(token),
                Action::AskMessage { token, seq, filter } => {
                    self.asked.push(token);
                    self.log.push(format!("ask {seq} {filter}"));
                }
                Action::AckWait(_) => {}
                Action::Look => self.log.push("look".into()),
                Action::Found { count } => self.log.push(format!("found {count}")),
                Action::Created => self.log.push("created".into()),
                Action::Failed(error) => self.log.push(format!("failed {:?}", error.kind)),
                Action::Report(report) => {
                    self.log.push(format!("{} {}", report.state.word(), report.description));
                }
                Action::Ended(report) => self.log.push(format!("ended {}", report.description)),
                Action::SetTimer(at) => self.timer = Some(at),
            }
        }
        value
    }

    fn info(&mut self, answer: Result<Value, Error>) {
        let token = self.asked.pop().expect("a question");
        self.run(|machine, now, out| machine.consumer_info(token, answer.as_ref(), now, out));
    }

    fn message(&mut self, size: u64) -> Fate {
        self.run(|machine, now, out| machine.message(size, None, now, out))
    }

    fn status(&mut self, code: u16, description: &str, left: Option<(u64, u64)>) {
        let id = self.pulls.last().expect("a request").0;
        self.status_of(id, code, description, left);
    }

    fn status_of(&mut self, id: u64, code: u16, description: &str, left: Option<(u64, u64)>) {
        let incarnation = self.incarnation;
        let status = Status { code, description, left };
        self.run(|machine, now, out| machine.status(incarnation, id, status, now, out));
    }

    fn consumed(&mut self, messages: u64, bytes: u64) {
        self.run(|machine, now, out| machine.consumed(messages, bytes, 0, now, out));
    }

    fn over(&mut self) {
        let token = self.retired.pop().expect("a retirement");
        self.run(|machine, now, out| machine.retired(token, now, out));
    }

    fn found(&mut self, sizes: &[u64]) {
        self.run(|machine, now, out| machine.found(sizes.to_vec(), now, out));
    }

    fn connection(&mut self, state: ConnState) {
        self.run(|machine, now, out| machine.connection(state, now, out));
    }

    /// Lets time pass, with all timers in it.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.timer.filter(|at| *at <= end) {
            self.timer = None;
            self.now = self.now.max(at);
            self.run(|machine, now, out| machine.tick(now, out));
        }
        self.now = end;
    }

    fn batches(&self) -> Vec<u64> {
        self.pulls.iter().map(|(_, body)| body["batch"].as_u64().expect("a number")).collect()
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn refills_below_half_when_the_program_has_dealt_with_it() {
    let mut rig = Rig::new(config());
    assert_eq!(rig.pulls.len(), 0, "before it is known that the consumer is there");
    rig.info(Ok(info()));
    assert_eq!(rig.take(), ["started ", "created"]);
    let request = json!({"batch": 10, "expires": 4_000_000_000_u64,
        "idle_heartbeat": 1_000_000_000});
    assert_eq!(rig.pulls[0].1, request);
    for _ in 0..10 {
        assert_eq!(rig.message(100), Fate::Deliver);
    }
    assert_eq!(rig.take(), ["live "]);
    rig.consumed(5, 500);
    assert_eq!(rig.batches(), [10]);
    rig.consumed(6, 600);
    assert_eq!(rig.batches(), [10, 6]);
    assert_eq!(rig.machine.waits_for().0, u64::MAX, "it is the turn of the server");
}

#[test]
fn one_means_one() {
    let mut rig = Rig::running(PullConfig { max_messages: 1, ..config() });
    rig.message(1);
    assert_eq!(rig.batches(), [1]);
    assert_eq!(rig.machine.waits_for(), (1, 0));
    rig.consumed(1, 1);
    assert_eq!(rig.batches(), [1, 1]);
}

#[test]
fn what_is_left_of_a_request_is_asked_for_again() {
    let mut rig = Rig::running(config());
    rig.message(1);
    rig.now += Duration::from_secs(4);
    rig.status(408, "Request Timeout", Some((9, 0)));
    assert_eq!(rig.batches(), [10, 9]);
    assert_eq!(rig.take(), ["live "]);
}

#[test]
fn requests_that_end_at_once_are_not_made_at_once() {
    for (code, text) in [
        (408, "Request Timeout"),
        (404, "No Messages"),
        (409, "Exceeded MaxWaiting"),
        (409, "Server Shutdown"),
        (499, "Something New"),
    ] {
        let mut rig = Rig::running(config());
        let mut seen = 0;
        for _ in 0..10_000 {
            if rig.pulls.len() > seen {
                seen = rig.pulls.len();
                rig.status(code, text, Some((10, 0)));
            }
            rig.pass(MS);
        }
        assert!((5..15).contains(&seen), "{text}: {seen} requests in 10 s");
        let warnings = rig.take().iter().filter(|line| line.starts_with("warning")).count();
        assert!(warnings <= 1, "{text}: said {warnings} times");
    }
}

#[test]
fn limits_are_asked_for_when_one_is_exceeded() {
    let mut rig = Rig::running(config());
    rig.status(409, "Exceeded MaxRequestBatch of 3", None);
    assert_eq!(rig.take(), ["live ", "warning Exceeded MaxRequestBatch of 3"]);
    rig.over();
    let mut answer = info();
    answer["config"]["max_batch"] = json!(3);
    answer["config"]["max_expires"] = json!(1_000_000_000);
    rig.info(Ok(answer));
    rig.pass(MS * 200);
    assert_eq!(rig.batches(), [10, 3]);
    assert_eq!(rig.pulls[1].1["expires"], 1_000_000_000);
    assert_eq!(rig.pulls[1].1["idle_heartbeat"], 500_000_000);
}

#[test]
fn a_new_leader_is_asked_at_once() {
    let mut rig = Rig::running(config());
    for _ in 0..6 {
        rig.message(1);
    }
    rig.consumed(6, 6);
    assert_eq!(rig.batches(), [10, 6]);
    let old = rig.pulls[0].0;
    rig.status(409, "Leadership Change", None);
    rig.over();
    assert_eq!(rig.batches(), [10, 6, 10]);
    // The other request is over with it.
    rig.status_of(old, 409, "Leadership Change", None);
    assert_eq!(rig.batches(), [10, 6, 10]);
    assert_eq!(rig.take(), ["live ", "warning Leadership Change"]);
    rig.status(409, "Leadership Change", None);
    rig.over();
    assert_eq!(rig.batches(), [10, 6, 10], "again, so it waits");
    rig.pass(MS * 1000);
    assert_eq!(rig.batches(), [10, 6, 10, 10]);
}

#[test]
fn a_pin_is_sent_until_it_is_lost() {
    let group =
        Group { name: "g".into(), min_pending: None, min_ack_pending: None, priority: Some(0) };
    let mut rig = Rig::running(PullConfig { group: Some(group), ..config() });
    assert_eq!(rig.pulls[0].1["group"], "g");
    assert_eq!(rig.pulls[0].1["priority"], 0);
    assert_eq!(rig.pulls[0].1.get("id"), None);
    rig.run(|machine, now, out| machine.message(1, Some("pin"), now, out));
    rig.now += Duration::from_secs(4);
    rig.status(408, "Request Timeout", Some((9, 0)));
    assert_eq!(rig.pulls[1].1["id"], "pin");
    rig.status(423, "Nats-Pin-Id mismatch", None);
    assert_eq!(rig.pulls.len(), 3);
    assert_eq!(rig.pulls[2].1.get("id"), None);
}

/// A message brings the header along that it had when it was stored.
#[test]
fn no_pin_is_sent_to_a_consumer_that_has_none() {
    let group =
        Group { name: "g".into(), min_pending: Some(1), min_ack_pending: None, priority: None };
    let mut rig = Rig::new(PullConfig { group: Some(group), ..config() });
    let mut answer = info();
    answer["config"]["priority_policy"] = json!("overflow");
    rig.info(Ok(answer));
    rig.run(|machine, now, out| machine.message(1, Some("pin"), now, out));
    rig.now += Duration::from_secs(4);
    rig.status(408, "Request Timeout", Some((9, 0)));
    assert_eq!((rig.pulls.len(), rig.pulls[1].1.get("id")), (2, None));
}

#[test]
fn silence_is_noticed_unless_the_program_is_the_reason() {
    let mut rig = Rig::running(config());
    rig.pass(MS * 1900);
    assert_eq!(rig.take(), [""; 0]);
    rig.pass(MS * 200);
    assert_eq!(rig.take(), ["stale Missing heartbeats"]);
    rig.over();
    rig.info(Ok(info()));
    assert_eq!(rig.take(), ["resumed "]);
    assert_eq!(rig.batches(), [10, 10]);
    for _ in 0..10 {
        rig.message(1);
    }
    rig.take();
    rig.pass(Duration::from_secs(3600));
    assert_eq!(rig.take(), [""; 0], "nothing is owed");
    rig.consumed(10, 10);
    assert_eq!(rig.batches(), [10, 10, 10]);
    // Heartbeats are signs of life.
    for _ in 0..20 {
        rig.pass(MS * 900);
        rig.status(100, "Idle Heartbeat", None);
    }
    assert_eq!(rig.take(), [""; 0]);
}

#[test]
fn over_a_new_connection_the_old_requests_end_first() {
    let mut rig = Rig::running(config());
    rig.message(1);
    rig.take();
    rig.connection(ConnState::Disconnected);
    assert_eq!(rig.take(), ["stale Connection lost"]);
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.batches(), [10]);
    rig.connection(ConnState::Connected(2));
    assert_eq!(rig.batches(), [10], "the server may serve the old one");
    rig.message(1);
    rig.over();
    assert_eq!(rig.batches(), [10, 8]);
    assert_eq!((rig.take(), rig.incarnation), (vec!["look".to_owned(), "resumed ".into()], 2));
    // A retirement of which nothing is heard must not be the end.
    rig.connection(ConnState::Connected(3));
    rig.pass(Duration::from_secs(3));
    assert_eq!(rig.batches(), [10, 8, 8]);
}

#[test]
fn it_stops_after_so_many() {
    let mut rig = Rig::running(PullConfig { stop_after: Some(12), ..config() });
    assert_eq!(rig.batches(), [10]);
    for n in 1..=12 {
        assert_eq!(rig.message(1), Fate::Deliver, "{n}");
        rig.consumed(n, n);
    }
    assert_eq!(rig.batches().iter().sum::<u64>(), 12);
    assert_eq!(rig.message(1), Fate::GiveBack);
    rig.over();
    assert_eq!(rig.take(), ["live ", "ended 12 messages were delivered"]);
    assert!(rig.machine.is_stopped());
}

#[test]
fn terminal_statuses() {
    for (code, text) in [
        (400, "Bad Request - Priority Group missing"),
        (409, "Consumer Deleted"),
        (409, "Consumer is push based"),
        (412, "Required Api Level"),
    ] {
        let mut rig = Rig::running(config());
        rig.message(1);
        rig.status(code, text, None);
        rig.over();
        assert_eq!(rig.take(), ["live ".to_owned(), format!("ended {text}")]);
        assert_eq!(rig.machine.state(), State::Stopped);
    }
}

#[test]
fn a_consumer_that_is_gone_is_the_end_or_waited_for() {
    let gone = || Error::new(Kind::ConsumerNotFound, "consumer not found");
    let mut rig = Rig::new(config());
    rig.info(Err(gone()));
    assert_eq!(rig.take(), ["failed ConsumerNotFound"]);

    let mut rig = Rig::running(config());
    rig.status(503, "", None);
    rig.info(Err(gone()));
    rig.over();
    assert_eq!(rig.take(), ["ended consumer not found"]);

    let mut rig = Rig::new(PullConfig { waits: true, ..config() });
    rig.info(Err(gone()));
    assert_eq!(rig.take(), ["stale consumer not found", "created"]);
    for _ in 0..5 {
        rig.pass(Duration::from_secs(2));
        rig.info(Err(gone()));
    }
    rig.pass(Duration::from_secs(2));
    rig.info(Ok(info()));
    assert_eq!(rig.take(), ["started "]);
    rig.status(409, "Consumer Deleted", None);
    assert_eq!(rig.take(), ["live ", "stale Consumer Deleted"]);
    rig.pass(Duration::from_secs(2));
    rig.info(Ok(info()));
    rig.over();
    assert_eq!((rig.take(), rig.pulls.len()), (vec!["resumed ".to_owned()], 2));
}

#[test]
fn nobody_there_is_asked_about_and_not_asked_for_more_at_once() {
    let mut rig = Rig::running(config());
    for n in 0..5 {
        rig.status(503, "", None);
        rig.info(Ok(info()));
        assert_eq!(rig.pulls.len(), n + 1, "not at once");
        let since = rig.now;
        while rig.pulls.len() == n + 1 {
            rig.pass(MS);
        }
        assert!(rig.now - since >= MS * 75 * 2_u32.pow(u32::try_from(n).expect("small")));
    }
}

#[test]
fn bytes() {
    let mut rig = Rig::running(PullConfig { max_bytes: Some(1000), ..config() });
    assert_eq!(rig.pulls[0].1["max_bytes"], 1000);
    rig.message(600);
    rig.status(409, "Message Size Exceeds MaxBytes", Some((9, 400)));
    assert_eq!(rig.batches(), [10], "more than half is here");
    assert_eq!(rig.machine.waits_for().1, 101);
    rig.consumed(1, 600);
    assert_eq!(rig.batches(), [10, 10]);
    assert_eq!(rig.pulls[1].1["max_bytes"], 1000);
    // What is in the buffer leaves too little room for the next one.
    rig.message(400);
    rig.now += Duration::from_secs(4);
    rig.status(408, "Request Timeout", Some((9, 600)));
    assert_eq!(rig.pulls[2].1["max_bytes"], 600);
    rig.status(409, "Message Size Exceeds MaxBytes", Some((9, 600)));
    assert_eq!(rig.pulls.len(), 3);
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.pulls.len(), 3, "nothing has changed");
    rig.consumed(2, 1000);
    assert_eq!(rig.pulls[3].1["max_bytes"], 1000);
    rig.take();
    // It fits nowhere.
    rig.status(409, "Message Size Exceeds MaxBytes", Some((10, 1000)));
    let mut answer = info();
    answer["delivered"] = json!({"stream_seq": 2});
    rig.info(Ok(answer));
    assert_eq!(rig.take(), ["ask 3 >"]);
    let token = rig.asked.pop().expect("a question");
    rig.run(|machine, now, out| machine.next_message(token, Some((3, 2000)), now, out));
    let said = rig.take();
    assert!(
        said.len() == 1 && said[0].contains("message 3") && said[0].contains("2000"),
        "{said:?}"
    );
}

#[test]
fn pause_and_resume() {
    let mut rig = Rig::running(config());
    rig.run(|machine, now, out| machine.pause(now, out));
    rig.message(1);
    rig.over();
    rig.pass(Duration::from_secs(60));
    assert_eq!((rig.batches(), rig.machine.state()), (vec![10], State::Paused));
    rig.run(|machine, now, out| machine.resume(now, out));
    assert_eq!(rig.batches(), [10, 9]);
}

#[test]
fn drain_takes_what_is_on_its_way_and_stop_gives_it_back() {
    let mut rig = Rig::running(config());
    rig.run(|machine, now, out| machine.drain(now, out));
    assert_eq!(rig.message(1), Fate::Deliver);
    rig.over();
    assert_eq!(rig.take(), ["ended drained"]);
    let mut rig = Rig::running(config());
    rig.run(|machine, now, out| machine.stop(now, out));
    assert_eq!(rig.message(1), Fate::GiveBack);
    rig.connection(ConnState::Disconnected);
    assert_eq!(rig.take(), ["stale Connection lost", "ended stopped"]);
}

#[test]
fn a_closed_connection_and_another_one() {
    let mut rig = Rig::running(config());
    rig.connection(ConnState::Closed);
    assert_eq!(rig.take(), ["stale Connection closed"]);
    let inboxes = Box::new(|| "_OTHER".to_owned());
    rig.run(|machine, now, out| machine.revive(ConnState::Disconnected, inboxes, now, out));
    rig.connection(ConnState::Connected(1));
    rig.info(Ok(info()));
    assert_eq!((rig.take(), rig.batches()), (vec!["resumed ".to_owned()], vec![10, 10]));
}

#[test]
fn a_loss_while_something_was_owed_may_have_been_a_message() {
    let mut rig = Rig::running(config());
    rig.connection(ConnState::Connected(2));
    assert_eq!(rig.take(), ["look"]);
    rig.over();
    assert_eq!(rig.batches(), [10, 10]);
    rig.found(&[]);
    assert!(rig.retired.is_empty());
    rig.found(&[7, 7]);
    assert!(rig.take().is_empty(), "requests are under way");
    rig.over();
    assert_eq!(rig.take(), ["found 2"]);
    assert_eq!(rig.batches(), [10, 10, 8]);
    assert_eq!(rig.machine.counts_consumed(), (0, 0, 0));
    rig.consumed(2, 14);
    assert_eq!(rig.machine.counts_consumed(), (2, 14, 0));
}

#[test]
fn no_loss_of_ours() {
    let mut rig = Rig::running(PullConfig { max_messages: 1, ..config() });
    rig.message(1);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    assert_eq!(rig.take(), ["live ", "stale Connection lost"], "nothing was owed");
}

#[test]
fn what_was_found_has_to_fit() {
    let limits = PullConfig { max_messages: 3, max_bytes: Some(100), ..config() };
    let mut rig = Rig::running(limits);
    rig.connection(ConnState::Connected(2));
    rig.found(&[200, 1, 1, 1]);
    rig.take();
    rig.over();
    assert_eq!(rig.take(), ["found 1"], "or it would never come");
    rig.consumed(1, 200);
    rig.found(&[1, 98, 2, 1]);
    rig.over();
    assert_eq!(rig.take(), ["found 2"]);
}

#[test]
fn what_was_found_counts_and_is_wanted_no_longer_than_the_rest() {
    let mut rig = Rig::running(PullConfig { stop_after: Some(2), ..config() });
    rig.connection(ConnState::Connected(2));
    rig.found(&[1, 1, 1]);
    rig.over();
    assert_eq!(rig.take(), ["look", "found 2", "ended 2 messages were delivered"]);

    let mut rig = Rig::running(config());
    rig.connection(ConnState::Connected(2));
    rig.found(&[1]);
    rig.run(|machine, now, out| machine.stop(now, out));
    rig.over();
    assert_eq!(rig.take(), ["look", "ended stopped"]);
}
