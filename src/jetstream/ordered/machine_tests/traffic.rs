//! Gaps, heartbeats and flow control.

use super::*;

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
        domain: "",
        pending: 0,
    };
    let incarnation = rig.incarnation;
    rig.run(|machine, now, out| machine.message(incarnation, "s.9", &meta, 100, now, out));
    let meta = Metadata { stream: "T", consumer: "C1", ..meta };
    rig.run(|machine, now, out| machine.message(incarnation, "s.9", &meta, 100, now, out));
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
fn silence_resets() {
    let mut rig = Rig::live(all(), 3);
    rig.pass(1400);
    rig.heartbeat(Some(3), None);
    rig.pass(1499);
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    rig.pass(1);
    let text = "ErrConsumerNotActive reset with opt_start_seq = 4 due to ErrConsumerNotActive";
    rig.expect(&[text, "ask STREAM.INFO.S", "Resuming"]);
    rig.answer_stream(OLD, 3);
    rig.expect(&["create by_start_sequence 4"]);
    rig.created(3, 0);
    rig.expect(&["created", "Live"]);
}

#[test]
fn no_heartbeats_no_supervision() {
    let mut spec = all();
    spec.config.idle_heartbeat = Duration::ZERO;
    let mut rig = Rig::live(spec, 3);
    rig.pass(600_000);
    rig.expect(&[]);
}
