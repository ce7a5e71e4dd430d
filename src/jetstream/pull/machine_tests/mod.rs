//! The rules of the state machine, one test each.

mod ends;
mod losses;
mod requests;

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
