use super::action::{Action, Event, Kind, Reason};
use super::hold_tests::{Run, conflict, failed, gone, other, ours};
use super::machine::Machine;
use crate::error::{Error, Kind as ErrorKind};
use crate::transport::ConnState;
use std::time::{Duration, Instant};

const ACQUIRED: Action = Action::Tell(Event::Acquired(20));

fn refused(actions: &[Action]) -> Option<ErrorKind> {
    match actions.last() {
        Some(Action::Tell(Event::Refused(error))) => Some(error.kind),
        _ => None,
    }
}

/// A lock that waits for somebody who has the revision 10 for two seconds; watch 3.
fn waiting() -> Run {
    let mut run = Run::new(Kind::Wait);
    run.written(1, conflict(10)).looked(2, Ok(other(10, 2000)));
    assert_eq!(
        run.take(),
        [
            Action::Write { number: 1, expected: 0 },
            Action::Look { number: 2 },
            Action::Watch { number: 3 }
        ]
    );
    run.seen(other(10, 2000));
    assert!(run.take().is_empty());
    run
}

#[test]
fn a_lease_over_what_was_deleted() {
    let mut run = Run::new(Kind::Once);
    run.written(1, conflict(10)).looked(2, Ok(gone(10)));
    assert_eq!(run.take()[2..], [Action::Write { number: 3, expected: 10 }]);
    run.written(3, Ok(20));
    assert_eq!(run.take(), [ACQUIRED]);
}

#[test]
fn a_lease_that_somebody_has() {
    let mut run = Run::new(Kind::Once);
    run.written(1, conflict(10)).looked(2, Ok(other(10, 2000)));
    assert_eq!(refused(&run.take()), Some(ErrorKind::WrongLastSequence));
    assert!(run.machine.is_over());
}

#[test]
fn a_lease_that_cannot_be() {
    for kind in [ErrorKind::BucketNotFound, ErrorKind::Permissions, ErrorKind::NotSupported] {
        let mut run = Run::new(Kind::Once);
        run.written(1, failed(kind));
        assert_eq!(refused(&run.take()), Some(kind));
    }
}

#[test]
fn a_lease_whose_answer_got_lost() {
    let mut run = Run::new(Kind::Once);
    run.disconnected().take();
    run.at(100).connected(2);
    assert_eq!(run.take(), [Action::Look { number: 2 }]);
    // It was stored, and is written again: nobody knows how much of its time is left.
    run.looked(2, Ok(ours(10, 1)));
    assert_eq!(run.take(), [Action::Write { number: 3, expected: 10 }]);
    run.written(3, Ok(20));
    assert_eq!(run.take(), [ACQUIRED]);
    assert!(run.valid());
}

#[test]
fn an_acknowledgement_that_is_late_is_not_believed() {
    let mut run = Run::new(Kind::Once);
    run.take();
    run.at(1600).written(1, Ok(10));
    assert_eq!(run.take(), [Action::Write { number: 2, expected: 10 }]);
    run.at(1601).written(2, Ok(20));
    assert_eq!(run.take(), [ACQUIRED]);
}

#[test]
fn a_lock_is_woken_by_a_deletion() {
    let mut run = waiting();
    run.seen(gone(11));
    assert_eq!(run.take(), [Action::Write { number: 4, expected: 11 }]);
    run.written(4, Ok(20));
    assert_eq!(run.take(), [Action::Unwatch, ACQUIRED]);
}

#[test]
fn who_is_too_late_waits_on_with_one_request() {
    let mut run = waiting();
    run.seen(gone(11)).take();
    run.written(4, conflict(12));
    assert!(run.take().is_empty());
    run.seen(other(12, 2000));
    assert!(run.take().is_empty());
    // The other way round.
    run.seen(gone(13)).seen(other(14, 2000)).take();
    run.written(5, conflict(14));
    assert!(run.take().is_empty());
    run.seen(gone(15));
    assert_eq!(run.take(), [Action::Write { number: 6, expected: 15 }]);
}

#[test]
fn a_watch_that_is_silent_about_what_a_write_has_met() {
    let mut run = waiting();
    run.seen(gone(11)).take();
    run.at(10).written(4, conflict(12));
    assert_eq!(run.due(), Some(1010));
    run.at(1010).tick();
    assert_eq!(run.take(), [Action::Look { number: 5 }]);
    run.looked(5, Ok(gone(13)));
    assert_eq!(run.take(), [Action::Write { number: 6, expected: 13 }]);
}

#[test]
fn a_marker_that_has_gone_meanwhile() {
    let mut run = waiting();
    run.seen(gone(11)).take();
    run.written(4, conflict(0));
    assert_eq!(run.take(), [Action::Write { number: 5, expected: 0 }]);
}

#[test]
fn a_deletion_that_nobody_tells() {
    let mut run = waiting();
    // Two seconds and what a server may take.
    assert_eq!(run.due(), Some(2750));
    run.at(2000).seen(other(11, 2000));
    assert_eq!(run.due(), Some(4750));
    run.at(4749).tick();
    assert!(run.take().is_empty());
    run.at(4750).tick();
    assert_eq!(run.take(), [Action::Write { number: 4, expected: 11 }]);
    // The watch has missed something, and is not waited for.
    run.written(4, conflict(12));
    assert_eq!(run.take(), [Action::Look { number: 5 }]);
    // He who has it for ever is waited for.
    let mut run = waiting();
    run.seen(other(11, 0));
    assert_eq!(run.due(), None);
}

#[test]
fn a_lock_that_comes_back_to_a_connection() {
    let mut run = waiting();
    run.disconnected();
    assert_eq!(run.due(), None);
    run.at(9000).connected(2);
    assert_eq!(run.take(), [Action::Write { number: 4, expected: 10 }]);
    // The answer is lost again.
    run.disconnected().connected(3);
    assert_eq!(run.take(), [Action::Look { number: 5 }]);
}

#[test]
fn the_time_of_a_lock_is_over() {
    let now = Instant::now();
    let mut machine = Machine::new(Kind::Wait, Duration::from_secs(3), Some(now));
    let mut out = Vec::new();
    machine.connection(ConnState::Connected(1), now, &mut out);
    assert_eq!(machine.due(), Some(now));
    machine.tick(now, &mut out);
    assert_eq!(refused(&out), Some(ErrorKind::Timeout));
    // What is on its way is given back.
    out.clear();
    assert!(!machine.is_over());
    machine.written(1, Ok(10), now, &mut out);
    assert_eq!(out, [Action::Delete { number: 2, expected: 10 }]);
    machine.written(2, Ok(11), now, &mut out);
    assert!(machine.is_over());
}

#[test]
fn given_up_while_it_waits() {
    let mut run = waiting();
    run.destroy();
    assert_eq!(run.take(), [Action::Unwatch]);
    assert!(run.machine.is_over());
    let mut run = Run::new(Kind::Once);
    run.destroy().take();
    run.written(1, conflict(10));
    assert!(run.take().is_empty() && run.machine.is_over());
}

#[test]
fn a_watch_that_ends_under_a_lock() {
    let mut run = waiting();
    run.machine.watch_ended(
        3,
        Error::new(ErrorKind::BucketNotFound, ""),
        Instant::now(),
        &mut run.out,
    );
    assert_eq!(refused(&run.take()), Some(ErrorKind::BucketNotFound));
    let mut run = waiting();
    // An older one.
    run.machine.watch_ended(
        2,
        Error::new(ErrorKind::BucketNotFound, ""),
        Instant::now(),
        &mut run.out,
    );
    assert!(run.take().is_empty());
}

// ------------------------------------------------------------------------------------ candidates

/// One that has watched from the beginning; watch 1.
fn candidate() -> Run {
    let mut run = Run::new(Kind::Forever);
    run.machine.watch_started(1, Ok(()), Instant::now(), &mut run.out);
    assert_eq!(run.take(), [Action::Watch { number: 1 }, Action::Tell(Event::Watching)]);
    run
}

fn led() -> Action {
    Action::Tell(Event::Led(b"you".to_vec()))
}

#[test]
fn the_first_candidate() {
    let mut run = candidate();
    run.end_of_data();
    assert_eq!(run.take(), [Action::Write { number: 2, expected: 0 }]);
    run.written(2, Ok(20));
    assert_eq!(run.take(), [ACQUIRED]);
    // What the watch tells of it is no news.
    run.seen(ours(20, 2));
    assert!(run.take().is_empty() && run.valid());
}

#[test]
fn followers_hear_of_each_leader_once() {
    let mut run = candidate();
    run.seen(other(10, 2000));
    assert_eq!(run.take(), [led()]);
    run.seen(other(11, 2000));
    assert!(run.take().is_empty());
    assert_eq!(run.machine.other(), Some(&b"you"[..]));
    run.seen(gone(12)).take();
    assert_eq!(run.machine.other(), None);
    run.written(2, conflict(13)).seen(other(13, 2000));
    assert_eq!(run.take(), [led()]);
}

#[test]
fn a_leader_who_lost_it_follows() {
    let mut run = candidate();
    run.end_of_data();
    run.written(2, Ok(20)).take();
    run.at(100).seen(other(21, 2000));
    assert_eq!(run.take(), [Action::Tell(Event::Lost(Reason::Conflict)), led()]);
    run.at(200).seen(gone(22));
    assert_eq!(run.take(), [Action::Write { number: 3, expected: 22 }]);
}

#[test]
fn who_resigns_lets_others_try() {
    let mut run = candidate();
    run.end_of_data();
    run.written(2, Ok(20)).take();
    run.at(100).release().written(3, Ok(21)).seen(gone(21));
    assert_eq!(
        run.take(),
        [
            Action::Delete { number: 3, expected: 20 },
            Action::Tell(Event::Lost(Reason::Resigned)),
            Action::Tell(Event::Released(Ok(true)))
        ]
    );
    // Nobody wants it.
    assert_eq!(run.due(), Some(3100));
    run.at(3100).tick();
    assert_eq!(run.take(), [Action::Write { number: 4, expected: 21 }]);
    // Somebody has had it.
    let mut run = candidate();
    run.end_of_data();
    run.written(2, Ok(20)).release().written(3, Ok(21)).take();
    run.at(200).seen(gone(21)).seen(other(22, 2000)).seen(gone(23));
    assert_eq!(run.take(), [led(), Action::Write { number: 4, expected: 23 }]);
}

#[test]
fn a_bucket_that_goes_and_comes_back() {
    let mut run = candidate();
    run.seen(other(10, 2000)).take();
    let now = Instant::now();
    run.machine.watch_ended(1, Error::new(ErrorKind::BucketNotFound, ""), now, &mut run.out);
    assert_eq!(run.take(), [Action::Unwatch]);
    assert_eq!(run.machine.other(), None);
    run.at(3000).tick();
    assert_eq!(run.take(), [Action::Watch { number: 2 }]);
    run.end_of_data();
    assert_eq!(run.take(), [Action::Write { number: 3, expected: 0 }]);
}

#[test]
fn a_bucket_that_is_made_again() {
    let mut run = candidate();
    run.seen(other(10, 2000)).take();
    run.machine.recreated();
    run.seen(other(2, 2000));
    assert!(run.take().is_empty());
    assert_eq!(run.machine.other(), Some(&b"you"[..]));
    run.machine.vanished(2, Instant::now(), &mut run.out);
    assert_eq!(run.take(), [Action::Write { number: 2, expected: 0 }]);
}

#[test]
fn what_vanished_without_a_word() {
    let mut run = candidate();
    run.seen(other(10, 0)).take();
    // Before it was written.
    run.machine.vanished(9, Instant::now(), &mut run.out);
    assert!(run.take().is_empty());
    run.machine.vanished(10, Instant::now(), &mut run.out);
    assert_eq!(run.take(), [Action::Write { number: 2, expected: 0 }]);
}

#[test]
fn a_candidate_over_another_connection() {
    let mut run = candidate();
    run.end_of_data();
    run.written(2, Ok(20)).take();
    run.machine.leave(Instant::now(), &mut run.out);
    assert_eq!(
        run.take(),
        [
            Action::Unwatch,
            Action::Delete { number: 3, expected: 20 },
            Action::Tell(Event::Lost(Reason::Closed))
        ]
    );
    assert!(!run.machine.is_over());
    run.connected(1);
    assert_eq!(run.take(), [Action::Watch { number: 4 }]);
}

#[test]
fn faults_of_a_candidate() {
    let mut run = candidate();
    run.end_of_data();
    run.take();
    run.at(0).written(2, failed(ErrorKind::Permissions));
    assert!(run.take().is_empty());
    let mut at = 0;
    for (number, pause) in (3..).zip([250, 500, 1000, 2000, 4000, 5000, 5000]) {
        at += pause;
        assert_eq!(run.due(), Some(at));
        run.at(at).tick();
        assert_eq!(run.take(), [Action::Look { number }]);
        run.looked(number, failed(ErrorKind::Permissions));
        assert!(run.take().is_empty());
    }
}
