//! Silence, losses of the connection, and messages that nobody can read.

use super::*;

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
