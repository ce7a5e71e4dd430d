//! Pauses and ends.

use super::*;

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
