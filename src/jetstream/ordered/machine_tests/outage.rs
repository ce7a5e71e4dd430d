//! The connection is lost, and comes back or does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

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
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
}

/// A machine that is live after three messages, of a server that is as the flag says.
fn by_server(keeps_place: &Arc<AtomicBool>) -> Rig {
    let flag = keeps_place.clone();
    let around = Surroundings {
        keeps_place: Box::new(move || flag.load(Ordering::SeqCst)),
        ..surroundings(ConnState::Connected(1))
    };
    let mut rig = Rig::with(all(), around);
    rig.created(0, 3);
    (1..=3).for_each(|n| rig.message(n, n, 3 - n));
    rig.take();
    rig
}

#[test]
fn a_consumer_that_may_have_passed_over_something_is_replaced() {
    // Before and after the loss. In a cluster the old one may have the consumer in any case.
    for (before, after) in [(false, false), (true, false), (false, true)] {
        let keeps_place = Arc::new(AtomicBool::new(before));
        let mut rig = by_server(&keeps_place);
        rig.connection(ConnState::Disconnected);
        rig.expect(&["Stale"]);
        keeps_place.store(after, Ordering::SeqCst);
        rig.connection(ConnState::Connected(2));
        rig.expect(&[
            "ErrConsumerNotActive reset with opt_start_seq = 4 due to ErrConsumerNotActive",
            "ask STREAM.INFO.S",
            "Resuming",
        ]);
    }
    // Of a new one on both sides nothing is feared.
    let mut rig = by_server(&Arc::new(AtomicBool::new(true)));
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.expect(&["Stale", "ask CONSUMER.INFO.S.C1"]);
}

#[test]
fn what_comes_before_the_word_of_a_new_connection_is_not_believed() {
    let mut rig = by_server(&Arc::new(AtomicBool::new(false)));
    rig.connection(ConnState::Disconnected);
    rig.take();
    // The fourth was passed over.
    rig.message(5, 4, 0);
    rig.expect(&[]);
    rig.connection(ConnState::Connected(2));
    assert_eq!(
        rig.take()[0],
        "ErrConsumerNotActive reset with opt_start_seq = 4 due to ErrConsumerNotActive"
    );
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
    for _ in 0..5 {
        if rig.subscribed {
            rig.create_failed(busy.clone());
        }
        while !rig.asked.is_empty() {
            rig.answer(Err(busy.clone()));
        }
        rig.pass(100);
    }
    let reported: Vec<_> = rig.take().into_iter().filter(|l| l.starts_with("Err")).collect();
    assert_eq!(reported[0], "ErrJSResponse failed to reset: why");
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
