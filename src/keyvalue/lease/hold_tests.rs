use super::action::{Action, Event, Kind, Reason};
use super::machine::Machine;
use super::seen::{Content, Holder, Seen};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::transport::ConnState;
use std::time::{Duration, Instant};

const TTL: Duration = Duration::from_millis(3000);

/// A machine and its clock.
pub struct Run {
    pub machine: Machine,
    start: Instant,
    now: Instant,
    pub out: Vec<Action>,
}

impl Run {
    pub fn new(kind: Kind) -> Run {
        let start = Instant::now();
        let machine = Machine::new(kind, TTL, None);
        let mut run = Run { machine, start, now: start, out: Vec::new() };
        run.connected(1);
        run
    }

    /// With the key, by the write 1 at 0 ms; the revision is 10.
    fn holding() -> Run {
        let mut run = Run::new(Kind::Once);
        assert_eq!(run.take(), [Action::Write { number: 1, expected: 0 }]);
        run.written(1, Ok(10));
        assert_eq!(run.take(), [Action::Tell(Event::Acquired(10))]);
        run
    }

    pub fn at(&mut self, ms: u64) -> &mut Run {
        self.now = self.start + Duration::from_millis(ms);
        self
    }

    pub fn connected(&mut self, generation: u64) -> &mut Run {
        self.machine.connection(ConnState::Connected(generation), self.now, &mut self.out);
        self
    }

    pub fn disconnected(&mut self) -> &mut Run {
        self.machine.connection(ConnState::Disconnected, self.now, &mut self.out);
        self
    }

    pub fn written(&mut self, number: u64, outcome: Result<u64>) -> &mut Run {
        self.machine.written(number, outcome, self.now, &mut self.out);
        self
    }

    pub fn looked(&mut self, number: u64, seen: Result<Seen>) -> &mut Run {
        self.machine.looked(number, seen, self.now, &mut self.out);
        self
    }

    pub fn seen(&mut self, seen: Seen) -> &mut Run {
        self.machine.seen(&seen, self.now, &mut self.out);
        self
    }

    pub fn tick(&mut self) -> &mut Run {
        self.machine.tick(self.now, &mut self.out);
        self
    }

    fn change(&mut self, version: u64) -> &mut Run {
        self.machine.change(version, self.now, &mut self.out);
        self
    }

    pub fn end_of_data(&mut self) -> &mut Run {
        self.machine.end_of_data(self.now, &mut self.out);
        self
    }

    pub fn release(&mut self) -> &mut Run {
        self.machine.release(self.now, &mut self.out);
        self
    }

    pub fn destroy(&mut self) -> &mut Run {
        self.machine.destroy(self.now, &mut self.out);
        self
    }

    pub fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }

    pub fn valid(&self) -> bool {
        self.machine.is_valid(self.now)
    }

    /// In ms.
    pub fn due(&self) -> Option<u64> {
        let due = self.machine.due()?;
        Some(due.saturating_duration_since(self.start).as_millis() as u64)
    }
}

pub fn conflict(met: u64) -> Result<u64> {
    let text = format!("wrong last sequence: {met}");
    Err(Error { api: Some((400, 10071)), ..Error::new(ErrorKind::WrongLastSequence, text) })
}

pub fn failed<T>(kind: ErrorKind) -> Result<T> {
    Err(Error::new(kind, "no"))
}

pub fn other(revision: u64, ttl: u64) -> Seen {
    let ttl = (ttl > 0).then(|| Duration::from_millis(ttl));
    let holder = Holder { writer: Some("you".into()), value: b"you".to_vec(), ttl };
    Seen { revision, content: Content::Others(holder) }
}

pub fn gone(revision: u64) -> Seen {
    Seen { revision, content: Content::Gone { expired: false } }
}

pub fn ours(revision: u64, number: u64) -> Seen {
    Seen { revision, content: Content::Ours(number) }
}

fn lost(reason: Reason) -> Action {
    Action::Tell(Event::Lost(reason))
}

#[test]
fn renewed_every_third_under_the_last_revision() {
    let mut run = Run::holding();
    for n in 1..10 {
        assert_eq!(run.due(), Some(n * 1000));
        run.at(n * 1000).tick();
        assert_eq!(run.take(), [Action::Write { number: n + 1, expected: 9 + n }]);
        run.at(n * 1000 + 5).written(n + 1, Ok(10 + n));
        assert!(run.take().is_empty());
        run.at(n * 1000 + 2999);
        assert!(run.valid());
        run.at(n * 1000 + 3000);
        assert!(!run.valid());
    }
    assert_eq!(run.machine.token(), 10);
}

#[test]
fn valid_is_counted_from_the_sending_of_what_was_acknowledged() {
    let mut run = Run::holding();
    run.at(1000).tick();
    // Not acknowledged: it counts for nothing.
    run.at(2999);
    assert!(run.valid());
    run.at(3000);
    assert!(!run.valid());
    // However late the acknowledgement is.
    run.at(2900).written(2, Ok(11));
    run.at(3999);
    assert!(run.valid());
    run.at(4000);
    assert!(!run.valid());
}

#[test]
fn expired_without_answers() {
    let mut run = Run::holding();
    run.at(1000).tick();
    run.at(2000).tick();
    assert_eq!(run.take().len(), 2);
    assert_eq!(run.due(), Some(3000));
    run.at(3000).tick();
    assert_eq!(run.take(), [lost(Reason::Expired)]);
    assert!(!run.valid() && run.machine.hold().is_none());
    assert_eq!(run.machine.token(), 10);
    // Nobody has it any more.
    run.written(2, failed(ErrorKind::Timeout)).written(3, failed(ErrorKind::Timeout));
    assert!(run.take().is_empty() && run.machine.is_over());
}

#[test]
fn what_was_not_valid_once_never_is_again() {
    // A process that stood still: answers come before the clock is looked at.
    let late: [fn(&mut Run) -> &mut Run; 6] = [
        |run| run.written(2, Ok(11)),
        |run| run.looked(4, Ok(ours(11, 2))),
        |run| run.seen(ours(11, 2)),
        |run| run.disconnected().connected(2),
        |run| run.change(1),
        |run| run.release(),
    ];
    for late in late {
        let mut run = Run::holding();
        run.at(1000).tick();
        run.at(2000).tick();
        run.at(2001).written(3, conflict(11));
        run.take();
        run.at(3000);
        assert!(!run.valid());
        late(&mut run);
        let told = run.take();
        assert_eq!(told.first(), Some(&lost(Reason::Expired)), "{told:?}");
        run.at(3001).written(2, Ok(11));
        assert!(!run.valid());
    }
}

#[test]
fn what_is_stored_too_late_is_given_back() {
    let mut run = Run::holding();
    run.at(1000).tick();
    run.at(2000).tick();
    run.at(3000).tick().take();
    run.at(3001).written(2, conflict(12));
    assert!(run.take().is_empty() && !run.machine.is_over());
    run.written(3, Ok(13));
    assert_eq!(run.take(), [Action::Delete { number: 4, expected: 13 }]);
    assert_eq!(run.due(), None);
    run.written(4, Ok(14));
    assert!(run.take().is_empty() && run.machine.is_over());

    // Somebody else has it.
    let mut run = Run::holding();
    run.at(2900).tick();
    run.at(3000).tick().take();
    run.written(2, conflict(12));
    assert!(run.take().is_empty() && run.machine.is_over());

    // Without a connection nothing can be done, nor over another one.
    for offline in [true, false] {
        let mut run = Run::holding();
        run.at(1000).tick();
        if offline {
            run.disconnected().at(3000).tick();
        } else {
            run.at(3000).tick().disconnected().connected(2);
        }
        assert_eq!(run.take()[1..], [lost(Reason::Expired)]);
        assert!(run.machine.is_over());
    }
}

#[test]
fn offline_nothing_is_sent_and_the_end_comes_in_time() {
    let mut run = Run::holding();
    run.at(500).disconnected();
    assert_eq!(run.due(), Some(3000));
    run.at(1500).tick();
    assert!(run.take().is_empty());
    run.at(2500).connected(2);
    assert_eq!(run.take(), [Action::Write { number: 2, expected: 10 }]);
    run.disconnected().at(3000).tick();
    assert_eq!(run.take(), [lost(Reason::Expired)]);
}

#[test]
fn an_answer_that_got_lost() {
    let mut run = Run::holding();
    run.at(1000).tick();
    run.at(1100).disconnected();
    run.at(1200).connected(2);
    assert_eq!(
        run.take(),
        [Action::Write { number: 2, expected: 10 }, Action::Write { number: 3, expected: 10 }]
    );
    // The first one was stored.
    run.at(1210).written(3, conflict(11));
    assert_eq!(run.take(), [Action::Look { number: 4 }]);
    run.at(1220).looked(4, Ok(ours(11, 2)));
    assert_eq!(run.take(), [Action::Write { number: 5, expected: 11 }]);
    // Sent at 1000.
    run.at(3999);
    assert!(run.valid());
    run.at(4000);
    assert!(!run.valid());
    run.at(1230).written(5, Ok(12));
    run.at(4219);
    assert!(run.valid());
    assert!(run.take().is_empty());
}

#[test]
fn answers_that_are_late() {
    let mut run = Run::holding();
    run.at(1000).tick();
    run.at(2000).tick();
    run.take();
    // The second one was sent under the old revision.
    run.at(2100).written(2, Ok(11)).written(3, conflict(11));
    assert!(run.take().is_empty());
    assert_eq!(run.due(), Some(3000));
    run.at(3000).tick();
    assert_eq!(run.take(), [Action::Write { number: 4, expected: 11 }]);
}

#[test]
fn somebody_else_has_it() {
    for (seen, reason) in [
        (other(12, 1000), Reason::Conflict),
        (gone(12), Reason::Deleted),
        (Seen { revision: 12, content: Content::Gone { expired: true } }, Reason::Expired),
        (Seen::NOTHING, Reason::Deleted),
        // The bucket was made again.
        (other(2, 1000), Reason::Conflict),
    ] {
        let mut run = Run::holding();
        run.at(1000).tick();
        run.at(1001).written(2, conflict(12));
        assert_eq!(run.take()[1..], [Action::Look { number: 3 }]);
        assert!(run.valid());
        run.looked(3, Ok(seen));
        assert_eq!(run.take(), [lost(reason)]);
        assert!(!run.valid() && run.machine.is_over());
    }
    let mut run = Run::holding();
    run.at(1000).tick();
    run.written(2, conflict(0));
    assert_eq!(run.take()[1..], [lost(Reason::Deleted)]);
}

#[test]
fn the_bucket_is_deleted() {
    let mut run = Run::holding();
    run.at(1000).tick();
    run.written(2, failed(ErrorKind::BucketNotFound));
    assert_eq!(run.take()[1..], [lost(Reason::BucketDeleted)]);
}

#[test]
fn errors_that_decide_nothing() {
    let mut run = Run::holding();
    run.at(1000).tick();
    run.take();
    run.at(1001).written(2, failed(ErrorKind::Permissions));
    assert!(run.take().is_empty() && run.valid());
    run.at(2000).tick();
    assert_eq!(run.take(), [Action::Write { number: 3, expected: 10 }]);
    run.at(2001).written(3, conflict(11));
    assert_eq!(run.take(), [Action::Look { number: 4 }]);
    // The next write tells.
    run.looked(4, failed(ErrorKind::Timeout));
    assert!(run.take().is_empty() && run.valid());
}

#[test]
fn released() {
    let mut run = Run::holding();
    run.at(500).release();
    assert_eq!(run.take(), [Action::Delete { number: 2, expected: 10 }]);
    assert!(!run.valid());
    // Twice is once, and time does not matter any more.
    run.release().at(3500).tick();
    assert!(run.take().is_empty());
    run.written(2, Ok(11));
    assert_eq!(run.take(), [Action::Tell(Event::Released(Ok(true)))]);
    assert!(run.machine.is_over());

    let mut run = Run::holding();
    run.release().take();
    run.written(2, conflict(12));
    assert_eq!(run.take(), [Action::Tell(Event::Released(Ok(false)))]);
}

#[test]
fn released_while_it_is_renewed() {
    let mut run = Run::holding();
    run.at(1000).tick();
    run.at(1001).release();
    assert_eq!(run.take(), [Action::Write { number: 2, expected: 10 }]);
    run.written(2, Ok(11));
    assert_eq!(run.take(), [Action::Delete { number: 3, expected: 11 }]);

    // Without a connection it expires by itself.
    let mut run = Run::holding();
    run.disconnected().release();
    assert_eq!(run.take(), [Action::Tell(Event::Released(Ok(false)))]);
    assert!(run.machine.is_over());

    let mut run = Run::holding();
    run.at(1000).tick();
    run.release().disconnected();
    run.at(1100).connected(2);
    assert_eq!(run.take()[1..], [Action::Delete { number: 3, expected: 10 }]);
}

#[test]
fn other_values() {
    let mut run = Run::holding();
    run.at(100).change(1);
    assert_eq!(run.take(), [Action::Write { number: 2, expected: 10 }]);
    // One at a time: the next follows under the new revision.
    run.at(101).change(2);
    assert!(run.take().is_empty());
    run.written(2, Ok(11));
    let stored = |version| Action::Tell(Event::Stored(version));
    assert_eq!(run.take(), [stored(1), Action::Write { number: 3, expected: 11 }]);
    run.written(3, Ok(12));
    assert_eq!(run.take(), [stored(2)]);
    assert_eq!(run.due(), Some(1101));
}

#[test]
fn a_value_that_is_refused_does_not_cost_the_key() {
    let mut run = Run::holding();
    run.at(100).change(1);
    run.take();
    run.written(2, failed(ErrorKind::JsResponse));
    let refused = run.take();
    assert!(matches!(refused[..], [Action::Tell(Event::Unstored(1, _))]), "{refused:?}");
    run.at(1100).tick();
    assert_eq!(run.take(), [Action::Write { number: 3, expected: 10 }]);
    run.written(3, Ok(11));
    assert!(run.take().is_empty() && run.valid());
    // It may be stored: the next one tells, and does not wait for its time.
    run.at(1200).change(2);
    assert_eq!(run.take(), [Action::Write { number: 4, expected: 11 }]);
    run.at(1300).written(4, failed(ErrorKind::Timeout));
    assert_eq!(run.take(), [Action::Write { number: 5, expected: 11 }]);
    run.written(5, conflict(12));
    assert_eq!(run.take(), [Action::Look { number: 6 }]);
    run.looked(6, Ok(ours(12, 4)));
    assert_eq!(run.take(), [Action::Write { number: 7, expected: 12 }]);
}

#[test]
fn a_value_that_waits_behind_a_renewal_that_fails() {
    let mut run = Run::holding();
    run.at(1000).tick();
    run.at(1001).change(1);
    assert_eq!(run.take(), [Action::Write { number: 2, expected: 10 }]);
    run.at(1002).written(2, failed(ErrorKind::Permissions));
    assert_eq!(run.take(), [Action::Write { number: 3, expected: 10 }]);
    run.at(1003).written(3, failed(ErrorKind::Permissions));
    assert!(matches!(run.take()[..], [Action::Tell(Event::Unstored(1, _))]));
}

#[test]
fn values_that_are_refused_again_and_again_do_not_put_off_the_renewal() {
    let mut run = Run::holding();
    for n in 1..20 {
        run.at(n * 100).change(n);
        let Some(Action::Write { number, .. }) = run.take().pop() else { panic!() };
        run.written(number, failed(ErrorKind::JsResponse));
        run.take();
        assert_eq!(run.due().map(|due| due.max(n * 100)), Some((n * 100).max(1000)), "{n}");
        if n * 100 >= 1000 {
            run.tick();
            assert!(matches!(run.take()[..], [Action::Write { expected: 10, .. }]));
            return;
        }
    }
    panic!("never renewed");
}

#[test]
fn disconnected_by_the_program() {
    let mut run = Run::holding();
    run.machine.leave(run.now, &mut run.out);
    assert_eq!(run.take(), [Action::Delete { number: 2, expected: 10 }, lost(Reason::Closed)]);
    assert!(run.machine.is_over());

    // What is stored is not known: it expires by itself.
    let mut run = Run::holding();
    run.at(1000).tick().take();
    run.machine.leave(run.now, &mut run.out);
    assert_eq!(run.take(), [lost(Reason::Closed)]);

    let mut run = Run::holding();
    run.machine.connection(ConnState::Closed, run.now, &mut run.out);
    assert_eq!(run.take(), [lost(Reason::Closed)]);
}
