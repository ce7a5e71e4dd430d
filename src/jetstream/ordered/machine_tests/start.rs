//! Where a consumer begins, when that may lie behind the end of the stream; and one whose user never
//! lets the server wait.

use super::*;

fn from(revision: u64) -> OrderedConfig {
    spec(DeliverPolicy::ByStartSequence(revision), Resume::SnapshotThenSequence)
}

#[test]
fn a_start_behind_the_end_of_the_stream_is_its_end() {
    for (start, last_seq, asked) in [(4, 9, 4), (9, 9, 9), (10, 9, 10), (99, 9, 10), (5, 0, 1)] {
        let mut rig = Rig::new(from(start));
        rig.expect(&["ask STREAM.INFO.S", "Initial"]);
        rig.answer_stream(OLD, last_seq);
        rig.expect(&[&format!("create by_start_sequence {asked}")]);
    }
}

#[test]
fn without_an_answer_it_is_what_was_asked() {
    for kind in [Kind::Timeout, Kind::Permissions] {
        let mut rig = Rig::new(from(99));
        rig.take();
        rig.answer(Err(error(kind)));
        rig.expect(&["create by_start_sequence 99"]);
    }
    let mut rig = Rig::new(from(99));
    rig.take();
    rig.answer(Err(error(Kind::StreamNotFound)));
    rig.expect(&["failed StreamNotFound"]);
}

#[test]
fn a_connection_that_goes_meanwhile() {
    let mut rig = Rig::new(from(99));
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.expect(&["ask STREAM.INFO.S", "Initial", "ask STREAM.INFO.S"]);
    rig.answer_stream(OLD, 9);
    rig.expect(&["create by_start_sequence 10"]);
}

#[test]
fn only_revisions_are_waited_for() {
    let mut rig = Rig::new(from(8));
    rig.answer_stream(OLD, 9);
    rig.created(7, 2);
    rig.message(8, 1, 1);
    rig.take();
    // Somebody writes, so the roll is called; most of its subjects are before the start.
    rig.stored(rig.incarnation, "s.9", 9, 2, 0, i64::MAX);
    rig.expect(&["deliver", "roll call s.>"]);
    rig.answer_roll(&["s.1", "s.2", "s.3", "s.8", "s.9"], 9);
    rig.expect(&["end", "Live"]);
}

#[test]
fn a_server_that_need_not_wait_is_answered_at_once() {
    let mut rig = Rig::new(OrderedConfig { never_waits: true, ..watch() });
    rig.created(0, 2);
    rig.message(1, 1, 1);
    rig.take();
    rig.flow_control("FC.1");
    rig.expect(&["publish FC.1"]);
}
