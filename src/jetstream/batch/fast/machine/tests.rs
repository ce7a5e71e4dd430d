//! The machine by itself, and against a model of a server that loses messages and connections.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const PATIENCE: Duration = Duration::from_secs(6);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn hear(machine: &mut Machine, body: &str) -> Option<Effect> {
    machine.receive(None, body.as_bytes(), ms(0))
}

/// One that has sent so many messages, of which the server acknowledges each tenth.
fn sending(strict: bool, count: u64) -> Machine {
    let mut machine = Machine::new(strict, Some(PATIENCE));
    for _ in 0..count {
        machine.add(ms(0)).expect("open");
        hear(&mut machine, r#"{"type":"ack","seq":0,"msgs":10}"#);
    }
    machine
}

#[test]
fn the_second_message_waits_for_the_first_answer_and_others_for_acknowledgements() {
    let mut machine = Machine::new(true, None);
    assert_eq!(machine.room(), Room::Free);
    assert_eq!(machine.add(ms(0)), Ok((1, Operation::Start)));
    assert_eq!(machine.room(), Room::Later);
    hear(&mut machine, r#"{"type":"ack","seq":0,"msgs":2}"#);
    for seq in 2..=4 {
        assert_eq!(machine.room(), Room::Free, "{seq}");
        assert_eq!(machine.add(ms(0)), Ok((seq, Operation::Append)));
    }
    assert_eq!(machine.room(), Room::Later);
    hear(&mut machine, r#"{"type":"ack","seq":2,"msgs":4}"#);
    assert_eq!(machine.room(), Room::Free);
    // One that comes late takes nothing back, and none is believed that is of the future.
    hear(&mut machine, r#"{"type":"ack","seq":1,"msgs":4}"#);
    assert_eq!(machine.acknowledged, 2);
    hear(&mut machine, r#"{"type":"ack","seq":99,"msgs":0}"#);
    assert_eq!((machine.acknowledged, machine.every), (4, 1));
}

#[test]
fn the_last_word() {
    let ack = r#"{"stream":"S","seq":9,"batch":"b","count":3}"#;
    let value: Value = serde_json::from_str(ack).expect("JSON");
    let mut machine = sending(true, 2);
    assert_eq!(machine.commit(true, ms(0)), Ok(Some((3, Operation::Commit))));
    assert!(machine.add(ms(0)).is_err() && machine.commit(true, ms(0)).is_err());
    assert_eq!(machine.outcome(), None);
    hear(&mut machine, ack);
    assert_eq!(machine.outcome(), Some(Ok(value.clone())));
    // Nothing follows it.
    hear(&mut machine, r#"{"error":{"code":400,"err_code":10208}}"#);
    machine.end(Error::connection_closed());
    assert_eq!((machine.outcome(), machine.sent()), (Some(Ok(value)), 3));
    assert_eq!(machine.tick(ms(100_000)), None);

    let mut machine = sending(true, 2);
    assert_eq!(machine.commit(false, ms(0)), Ok(Some((3, Operation::End))));
    assert_eq!(machine.sent(), 2);
    assert!(Machine::new(true, None).commit(false, ms(0)).is_err());
}

#[test]
fn what_ends_a_batch() {
    let gap = r#"{"type":"gap","last_seq":3,"seq":5}"#;
    let told = Some(Effect::Tell(News::Gap { first: 3, last: 4 }));
    let mut machine = sending(false, 5);
    assert_eq!(hear(&mut machine, gap), told);
    assert!(machine.add(ms(0)).is_ok());
    let mut machine = sending(true, 5);
    assert_eq!(hear(&mut machine, gap), told);
    let Room::Never(error) = machine.room() else { panic!("open") };
    assert_eq!(error.kind, Kind::BatchIncomplete);
    // There is nothing to send: the last word comes by itself.
    assert_eq!(machine.commit(true, ms(0)), Ok(None));
    hear(&mut machine, r#"{"stream":"S","seq":2,"batch":"b","count":2}"#);
    let error = machine.outcome().expect("over").expect_err("some are missing");
    assert_eq!((error.kind, error.api), (Kind::BatchIncomplete, Some((2, 5))));

    let mut machine = sending(true, 5);
    let refused =
        r#"{"type":"err","seq":4,"error":{"code":400,"err_code":10071,"description":"d"}}"#;
    let Some(Effect::Tell(News::Refused { seq, error })) = hear(&mut machine, refused) else {
        panic!("not told")
    };
    assert_eq!((seq, error.kind), (4, Kind::WrongLastSequence));
    assert!(matches!(machine.room(), Room::Never(_)));

    for (status, body, kind) in [
        (Some(503), "", Kind::NoResponders),
        (None, "", Kind::InvalidJsAck),
        (None, "+OK", Kind::InvalidJsAck),
        (None, "{}", Kind::InvalidJsAck),
        (None, r#"{"type":"new"}"#, Kind::InvalidJsAck),
        (Some(503), r#"{"error":{"code":400,"err_code":10208}}"#, Kind::FastBatch),
    ] {
        let mut machine = sending(true, 1);
        machine.receive(status, body.as_bytes(), ms(0));
        assert_eq!(machine.outcome().expect("over").expect_err(body).kind, kind, "{body}");
        assert_eq!(machine.add(ms(0)).expect_err("over").kind, kind);
    }
}

#[test]
fn an_acknowledgement_of_less_than_was_sent_is_none() {
    let outcome = |strict: bool, last: bool, before: &[&str], count: u64| {
        let mut machine = sending(strict, 3);
        machine.commit(last, ms(0)).expect("open");
        before.iter().for_each(|body| drop(hear(&mut machine, body)));
        hear(&mut machine, &format!(r#"{{"stream":"S","seq":9,"batch":"b","count":{count}}}"#));
        machine.outcome().expect("over").map(drop).map_err(|error| (error.kind, error.api))
    };
    let incomplete = |stored, sent| Err((Kind::BatchIncomplete, Some((stored, sent))));
    assert_eq!(outcome(true, true, &[], 4), Ok(()));
    assert_eq!(outcome(true, false, &[], 3), Ok(()));
    // The last messages were lost, the one that commits among them.
    assert_eq!(
        outcome(true, true, &[r#"{"type":"gap","last_seq":3,"seq":5}"#], 2),
        incomplete(2, 4)
    );
    assert_eq!(outcome(true, true, &[], 2), incomplete(2, 4));
    assert_eq!(outcome(true, false, &[], 2), incomplete(2, 3));
    // The one that was refused may count.
    let refused = r#"{"type":"err","seq":4,"error":{"code":400,"err_code":10071}}"#;
    assert_eq!(outcome(true, true, &[refused], 4), incomplete(4, 4));
    assert_eq!(outcome(false, true, &[refused], 2), Ok(()));
    // One that nobody has asked for: what comes behind it is not stored.
    let mut machine = sending(true, 1);
    hear(&mut machine, r#"{"stream":"S","seq":1}"#);
    assert!(machine.commit(true, ms(0)).is_err());
    assert_eq!(machine.commit(false, ms(0)), Ok(None));
}

#[test]
fn silence_is_asked_about_and_ends() {
    let mut machine = Machine::new(true, Some(PATIENCE));
    assert_eq!(machine.tick(ms(100_000)), None);
    machine.add(ms(1000)).expect("open");
    assert_eq!(machine.tick(ms(2999)), None);
    assert_eq!(machine.tick(ms(3000)), Some(Effect::Ping(1)));
    assert_eq!(machine.tick(ms(3200)), None);
    assert_eq!(machine.tick(ms(5000)), Some(Effect::Ping(1)));
    machine.receive(None, br#"{"type":"ack","seq":0,"msgs":1}"#, ms(5500));
    assert_eq!(machine.tick(ms(7500)), Some(Effect::Ping(1)));
    // Without a connection nobody is asked; with the next one at once.
    assert_eq!(machine.connected(false, ms(8000)), None);
    assert_eq!(machine.tick(ms(11_000)), None);
    assert_eq!(machine.connected(true, ms(11_000)), Some(Effect::Ping(1)));
    assert_eq!(machine.connected(true, ms(11_000)), None);
    assert_eq!(machine.tick(ms(11_500)), None);
    assert_eq!(machine.outcome().expect("over").expect_err("late").kind, Kind::Timeout);
}

#[test]
fn an_end_that_was_lost_is_sent_again() {
    let ack = r#"{"type":"ack","seq":0,"msgs":10}"#;
    let mut machine = sending(false, 3);
    machine.commit(true, ms(0)).expect("open");
    // That comes from before.
    assert_eq!(hear(&mut machine, ack), None);
    assert_eq!(machine.connected(false, ms(10)), None);
    assert_eq!(machine.connected(true, ms(20)), Some(Effect::Ping(4)));
    assert!(hear(&mut machine, r#"{"type":"gap","last_seq":4,"seq":5}"#).is_some());
    assert_eq!(machine.acknowledged, 4);
    assert_eq!(hear(&mut machine, ack), Some(Effect::End(5)));
    assert_eq!(hear(&mut machine, ack), None);
}

/// What a server makes of what comes to it, in order.
#[derive(Default)]
struct Server {
    known: bool,
    last: u64,
    stored: u64,
    every: u64,
    strict: bool,
}

impl Server {
    fn take(&mut self, seq: u64, operation: Operation, out: &mut VecDeque<String>) {
        let ack = |seq, every| format!(r#"{{"type":"ack","seq":{seq},"msgs":{every}}}"#);
        if !self.known && operation != Operation::Start {
            let error = r#"{"error":{"code":400,"err_code":10208,"description":"unknown"}}"#;
            return out.push_back(error.to_owned());
        }
        self.known = true;
        let expected = if operation == Operation::Ping { self.last } else { self.last + 1 };
        if seq > expected {
            let first = self.last + 1;
            let next = if operation == Operation::Ping { seq + 1 } else { seq };
            out.push_back(format!(r#"{{"type":"gap","last_seq":{first},"seq":{next}}}"#));
            if self.strict {
                return self.finish(out);
            }
        }
        if seq <= self.last && operation == Operation::End {
            return self.finish(out);
        }
        self.last = self.last.max(seq);
        self.stored += u64::from(matches!(
            operation,
            Operation::Start | Operation::Append | Operation::Commit
        ));
        match operation {
            Operation::Commit | Operation::End => self.finish(out),
            Operation::Start => out.push_back(ack(0, self.every)),
            // The last acknowledgement again.
            Operation::Ping => out.push_back(ack(self.last / self.every * self.every, self.every)),
            Operation::Append if self.last.is_multiple_of(self.every) => {
                out.push_back(ack(self.last, self.every));
            }
            Operation::Append => {}
        }
    }

    fn finish(&mut self, out: &mut VecDeque<String>) {
        self.known = false;
        out.push_back(format!(r#"{{"stream":"S","seq":{0},"count":{0}}}"#, self.stored));
    }
}

/// Random schedules of losses: a batch always comes to an end, what a whole acknowledgement counts was
/// stored, and no more is under way than allowed.
#[test]
fn always_an_end() {
    for seed in 0..2000 {
        let mut random = StdRng::seed_from_u64(seed);
        let strict = random.random_bool(0.5);
        let every = random.random_range(1..8);
        let (loss, goal) = (random.random_range(0.0..0.1), random.random_range(1..60));
        let mut server = Server { strict, every, ..Server::default() };
        let mut machine = Machine::new(strict, Some(PATIENCE));
        let (mut there, mut back) = (VecDeque::new(), VecDeque::new());
        let (mut now, mut added, mut up) = (ms(0), 0, true);
        let mut gaps = 0;
        let mut steps = 0;
        while !machine.is_over() {
            steps += 1;
            assert!(steps < 20_000, "no end with seed {seed}");
            now += ms(random.random_range(0..20));
            let effect = match random.random_range(0..6) {
                0 | 1 if added < goal => {
                    if machine.room() == Room::Free {
                        assert!(machine.sent() < machine.acknowledged + 2 * every.max(1) + 1);
                        there.extend(machine.add(now));
                        added += 1;
                    } else if matches!(machine.room(), Room::Never(_)) {
                        added = goal;
                    }
                    None
                }
                0 | 1 => {
                    there.extend(machine.commit(random.random_bool(0.5), now).ok().flatten());
                    None
                }
                2 | 3 => {
                    if let Some((seq, operation)) = there.pop_front()
                        && !random.random_bool(loss)
                    {
                        server.take(seq, operation, &mut back);
                    }
                    None
                }
                4 => match back.pop_front() {
                    Some(body) if !random.random_bool(loss) => {
                        machine.receive(None, body.as_bytes(), now)
                    }
                    _ => None,
                },
                _ if random.random_bool(0.02) => {
                    up = !up;
                    machine.connected(up, now)
                }
                _ => machine.tick(now),
            };
            match effect {
                Some(Effect::Ping(seq)) => there.push_back((seq, Operation::Ping)),
                Some(Effect::End(seq)) => there.push_back((seq, Operation::End)),
                Some(Effect::Tell(News::Gap { first, last })) => {
                    assert!(first <= last, "seed {seed}");
                    gaps += 1;
                }
                _ => {}
            }
        }
        if let Some(Ok(ack)) = machine.outcome() {
            let count = ack.get("count").and_then(Value::as_u64).expect("a count");
            assert_eq!(count, server.stored);
            if strict || (loss == 0.0 && gaps == 0) {
                assert_eq!(count, machine.sent(), "seed {seed}");
            }
        }
    }
}
