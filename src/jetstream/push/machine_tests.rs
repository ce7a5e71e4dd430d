//! The rules of the machine.

use super::machine::{Action, Consumer, Machine, State};
use crate::error::{Error, Kind};
use crate::transport::ConnState;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

struct Rig {
    machine: Machine,
    now: Instant,
}

fn info(heartbeat_ms: u64, group: &str, subject: &str) -> Value {
    json!({"config": {"deliver_subject": subject, "deliver_group": group,
        "idle_heartbeat": heartbeat_ms * 1_000_000}, "delivered": {"consumer_seq": 3}})
}

impl Rig {
    fn new(heartbeat_ms: u64, group: &str) -> Rig {
        let consumer = Consumer::of(&info(heartbeat_ms, group, "to")).expect("a push consumer");
        let now = Instant::now();
        let mut rig = Rig { machine: Machine::new(consumer, ConnState::Connected(1), now), now };
        rig.step(|machine, now, out| machine.start(now, out));
        rig
    }

    /// What comes out, without timers.
    fn step(&mut self, step: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>)) -> Vec<Action> {
        let mut out = Vec::new();
        step(&mut self.machine, self.now, &mut out);
        out.retain(|action| !matches!(action, Action::SetTimer(_)));
        out
    }

    fn after(&mut self, ms: u32) -> Vec<Action> {
        self.now += MS * ms;
        self.step(|machine, now, out| machine.tick(now, out))
    }

    fn message(&mut self, number: u64) -> Vec<Action> {
        self.step(|machine, now, out| machine.message(number, now, out))
    }

    fn heartbeat(&mut self, last: u64, stalled: Option<&str>) -> Vec<Action> {
        self.step(|machine, now, out| machine.heartbeat(Some(last), stalled, now, out))
    }

    fn connection(&mut self, state: ConnState) -> Vec<Action> {
        self.step(|machine, now, out| machine.connection(state, now, out))
    }

    fn answer(&mut self, token: u64, answer: Result<&Value, Kind>) -> Vec<Action> {
        let answer = answer.map_err(|kind| Error::new(kind, "why"));
        self.step(|machine, now, out| {
            machine.consumer_info(token, answer.as_ref().copied(), now, out)
        })
    }
}

fn missing(text: &str) -> Action {
    Action::Warning(Kind::ConsumerSequenceMismatch, text.to_owned())
}

fn state(state: State) -> Action {
    Action::State(state, None)
}

#[test]
fn what_is_missing_is_told_once() {
    let mut rig = Rig::new(1000, "");
    assert_eq!(rig.message(4), [Action::Deliver]);
    assert_eq!(rig.heartbeat(4, None), []);
    assert_eq!(rig.message(6), [missing("a message has not arrived"), Action::Deliver]);
    assert_eq!(rig.heartbeat(8, None), [missing("2 messages have not arrived")]);
    assert_eq!(rig.heartbeat(8, None), []);
    assert_eq!(rig.message(9), [Action::Deliver]);
    // Reset on the server: it counts anew.
    assert_eq!(rig.message(1), [Action::Deliver]);
    assert_eq!(rig.message(2), [Action::Deliver]);
}

#[test]
fn numbers_say_nothing_in_a_group() {
    let mut rig = Rig::new(1000, "workers");
    assert_eq!(rig.message(9), [Action::Deliver]);
    assert_eq!(rig.heartbeat(77, None), []);
}

#[test]
fn flow_control_is_answered_when_all_is_consumed() {
    let mut rig = Rig::new(1000, "");
    rig.message(4);
    rig.message(5);
    assert_eq!(rig.step(|machine, now, out| machine.flow_control("fc.1", now, out)), []);
    assert!(rig.machine.owes());
    assert_eq!(rig.step(|machine, _, out| machine.consumed(1, out)), []);
    let paid = Action::Publish("fc.1".into());
    assert_eq!(rig.step(|machine, _, out| machine.consumed(2, out)), [paid]);
    // Perhaps that got lost: once more, and not again.
    assert_eq!(rig.heartbeat(5, Some("fc.1")), [Action::Publish("fc.1".into())]);
    assert_eq!(rig.heartbeat(5, Some("fc.1")), []);
    assert_eq!(rig.heartbeat(5, Some("")), []);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    let again = rig.heartbeat(5, Some("fc.1"));
    assert_eq!(again, [state(State::Live), Action::Publish("fc.1".into())]);
}

#[test]
fn silence_makes_stale_and_is_asked_about() {
    let mut rig = Rig::new(1000, "");
    assert_eq!(rig.after(1999), []);
    let stale = "nothing was heard for 2000 ms".to_owned();
    let stale = Action::State(State::Stale, Some((Kind::ConsumerNotActive, stale)));
    assert_eq!(rig.after(1), [stale, Action::AskConsumer { token: 1 }]);
    // It is there, which is no heartbeat.
    assert_eq!(rig.answer(1, Ok(&info(1000, "", "to"))), []);
    assert_eq!(rig.after(2000), [Action::AskConsumer { token: 2 }]);
    assert_eq!(rig.heartbeat(3, None), [state(State::Live)]);
    assert_eq!(rig.answer(2, Ok(&info(1000, "", "to"))), []);
}

#[test]
fn without_heartbeats_silence_means_nothing_but_a_question() {
    let mut rig = Rig::new(0, "");
    assert_eq!(rig.after(29_999), []);
    assert_eq!(rig.after(1), [Action::AskConsumer { token: 1 }]);
    assert_eq!(rig.answer(1, Ok(&info(0, "", "to"))), []);
    assert_eq!(rig.after(30_000), [Action::AskConsumer { token: 2 }]);
}

#[test]
fn gone_is_what_is_not_found_twice() {
    for kind in [Kind::ConsumerNotFound, Kind::StreamNotFound] {
        let mut rig = Rig::new(1000, "");
        rig.after(2000);
        assert_eq!(rig.answer(1, Err(kind)), []);
        assert_eq!(rig.after(250), [Action::AskConsumer { token: 2 }]);
        let gone = Action::State(State::Stopped, Some((kind, "why".to_owned())));
        assert_eq!(rig.answer(2, Err(kind)), [gone]);
        // For good.
        assert_eq!(rig.message(4), []);
        assert_eq!(rig.heartbeat(9, Some("x")), []);
        assert_eq!(rig.connection(ConnState::Connected(2)), []);
        assert_eq!(rig.after(60_000), []);
    }
}

#[test]
fn a_server_that_settles_is_asked_again() {
    let mut rig = Rig::new(1000, "");
    assert_eq!(rig.connection(ConnState::Disconnected), [state(State::Stale)]);
    assert_eq!(rig.after(60_000), []);
    let again = [Action::Look, Action::AskConsumer { token: 1 }];
    assert_eq!(rig.connection(ConnState::Connected(2)), again);
    assert_eq!(rig.answer(1, Err(Kind::ConsumerNotFound)), []);
    assert_eq!(rig.after(250), [Action::AskConsumer { token: 2 }]);
    assert_eq!(rig.answer(2, Err(Kind::Timeout)), []);
    assert_eq!(rig.after(249), []);
    assert_eq!(rig.after(1), [Action::AskConsumer { token: 3 }]);
    assert_eq!(rig.answer(3, Ok(&info(1000, "", "to"))), [state(State::Live)]);
}

#[test]
fn who_may_not_ask_believes() {
    let mut rig = Rig::new(1000, "");
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    assert_eq!(rig.answer(1, Err(Kind::Permissions)), [state(State::Live)]);
    assert!(matches!(rig.after(2000)[..], [Action::State(State::Stale, Some(_))]));
    assert_eq!(rig.after(60_000), []);
}

#[test]
fn another_subject_is_followed() {
    let mut rig = Rig::new(1000, "");
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    let moved = rig.answer(1, Ok(&info(1000, "", "elsewhere")));
    assert_eq!(moved, [Action::Subscribe, state(State::Live)]);
    assert_eq!(rig.machine.consumer().subject, "elsewhere");
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(3));
    assert!(matches!(
        rig.answer(2, Ok(&json!({"config": {}})))[..],
        [Action::State(State::Stopped, Some((Kind::ConsumerNotActive, _)))]
    ));
}

#[test]
fn a_closed_connection_ends_it_until_there_is_another() {
    let mut rig = Rig::new(1000, "");
    let closed = Some((Kind::ConnectionClosed, "Connection closed".to_owned()));
    assert_eq!(rig.connection(ConnState::Closed), [Action::State(State::Stopped, closed)]);
    let revived = rig.step(|machine, now, out| machine.revive(ConnState::Connected(1), now, out));
    assert_eq!(revived, [state(State::Stale), Action::Subscribe, Action::AskConsumer { token: 1 }]);
    assert_eq!(rig.answer(1, Ok(&info(1000, "", "to"))), [state(State::Live)]);
    // Not one that runs.
    let running = rig.step(|machine, now, out| machine.revive(ConnState::Connected(1), now, out));
    assert_eq!(running, []);
}

#[test]
fn no_schedule_leaves_it_without_a_timer() {
    let mut seed = 1_u64;
    let mut number = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..300 {
        let mut rig = Rig::new(1000 * number(2), "");
        let (mut connected, mut asked, mut timer) = (true, None, Some(rig.now));
        for generation in 2..200 {
            rig.now += MS * u32::try_from(number(3000)).expect("small");
            let mut out = Vec::new();
            let now = rig.now;
            match number(6) {
                0 => rig.machine.message(generation, now, &mut out),
                1 => rig.machine.heartbeat(Some(generation), None, now, &mut out),
                2 => {
                    connected = !connected;
                    let state = match connected {
                        true => ConnState::Connected(generation),
                        false => ConnState::Disconnected,
                    };
                    rig.machine.connection(state, now, &mut out);
                }
                3 => {
                    if let Some(token) = asked.take() {
                        let error = Error::new(Kind::Timeout, "");
                        rig.machine.consumer_info(token, Err(&error), now, &mut out);
                    }
                }
                _ => {}
            }
            if timer.is_some_and(|at| at <= now) {
                timer = None;
                rig.machine.tick(now, &mut out);
            }
            for action in out {
                match action {
                    Action::SetTimer(at) => {
                        timer = Some(timer.map_or(at, |old: Instant| old.min(at)))
                    }
                    Action::AskConsumer { token } => asked = Some(token),
                    _ => {}
                }
            }
            assert!(!connected || timer.is_some() || asked.is_some(), "nothing would happen");
        }
    }
}
