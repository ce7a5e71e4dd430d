//! Servers that pass over messages, and say so by nothing but the sequence of the stream.

use super::*;

/// Ten seconds after the start of 2026, when consumers are made; see `Rig::info`.
const MADE_NS: i64 = 1_767_225_610_000_000_000;

/// A machine that is live after three messages of a server before 2.10.
fn live() -> Rig {
    let around =
        Surroundings { keeps_place: Box::new(|| false), ..surroundings(ConnState::Connected(1)) };
    let mut rig = Rig::with(all(), around);
    rig.created(0, 3);
    (1..=3).for_each(|n| rig.message(n, n, 3 - n));
    rig.take();
    rig
}

fn young(rig: &mut Rig, stream_seq: u64, consumer_seq: u64) {
    rig.stored(rig.incarnation, "s.x", stream_seq, consumer_seq, 0, MADE_NS);
}

fn heartbeat(rig: &mut Rig, last: u64, come_to: u64) {
    let incarnation = rig.incarnation;
    rig.run(|machine, now, out| {
        machine.heartbeat(incarnation, Some(last), Some(come_to), None, now, out);
    });
}

const RESET: [&str; 3] = [
    "ErrConsumerSequenceMismatch reset with opt_start_seq = 4 due to ErrConsumerSequenceMismatch",
    "create by_start_sequence 4",
    "Resuming",
];

#[test]
fn what_was_passed_over_is_consumed_again() {
    let mut rig = live();
    young(&mut rig, 7, 4);
    assert!(rig.machine.keeps_back());
    rig.expect(&["ask STREAM.MSG.GET.S"]);
    rig.answer_message(Ok(5));
    assert!(!rig.machine.keeps_back());
    rig.expect(&RESET);
}

#[test]
fn a_leap_over_what_is_not_wanted_costs_a_question() {
    // Another message is the next one, this one has just been removed, or all have.
    for found in [Ok(7), Ok(9), Err(Kind::MsgNotFound)] {
        let mut rig = live();
        young(&mut rig, 7, 4);
        rig.take();
        rig.answer_message(found);
        assert!(!rig.machine.keeps_back());
        young(&mut rig, 7, 4);
        young(&mut rig, 8, 5);
        rig.expect(&["deliver", "deliver"]);
        // The next one is another one.
        young(&mut rig, 10, 6);
        rig.expect(&["ask STREAM.MSG.GET.S"]);
    }
}

#[test]
fn what_was_there_before_the_consumer_is_not_asked_about() {
    let mut rig = live();
    let moment = 100_000_000;
    rig.stored(rig.incarnation, "s.x", 7, 4, 0, MADE_NS - moment - 1);
    rig.expect(&["deliver"]);
    // Its rollup may take effect yet.
    rig.stored(rig.incarnation, "s.x", 9, 5, 0, MADE_NS - moment);
    rig.expect(&["ask STREAM.MSG.GET.S"]);
}

#[test]
fn a_server_that_passes_over_nothing_is_not_asked() {
    let mut rig = Rig::live(all(), 3);
    young(&mut rig, 7, 4);
    heartbeat(&mut rig, 4, 9);
    rig.expect(&["deliver"]);
}

#[test]
fn a_heartbeat_tells_what_was_passed_over_at_the_end() {
    let mut rig = live();
    heartbeat(&mut rig, 3, 3);
    rig.expect(&[]);
    heartbeat(&mut rig, 3, 6);
    assert!(!rig.machine.keeps_back(), "nothing waits for it");
    // It is asked once.
    heartbeat(&mut rig, 3, 6);
    rig.expect(&["ask STREAM.MSG.GET.S"]);
    // Stored since.
    rig.answer_message(Ok(7));
    heartbeat(&mut rig, 3, 6);
    rig.expect(&[]);
    heartbeat(&mut rig, 3, 7);
    rig.expect(&["ask STREAM.MSG.GET.S"]);
    rig.answer_message(Ok(7));
    rig.expect(&RESET);
}

#[test]
fn what_has_come_meanwhile_was_not_passed_over() {
    let mut rig = live();
    heartbeat(&mut rig, 3, 4);
    rig.take();
    young(&mut rig, 4, 4);
    rig.answer_message(Ok(4));
    rig.expect(&["deliver"]);
}

#[test]
fn without_an_answer_another_consumer_is_safer() {
    let mut rig = live();
    young(&mut rig, 7, 4);
    rig.take();
    rig.answer_message(Err(Kind::Timeout));
    rig.expect(&RESET);
    // After a heartbeat there will be another one.
    let mut rig = live();
    heartbeat(&mut rig, 3, 6);
    rig.take();
    rig.answer_message(Err(Kind::Timeout));
    heartbeat(&mut rig, 3, 6);
    rig.expect(&["ask STREAM.MSG.GET.S"]);
}

#[test]
fn who_is_never_answered_does_not_ask_for_ever() {
    let mut rig = live();
    for n in 0..3 {
        if n > 0 {
            rig.created(0, 0);
        }
        young(&mut rig, 7, if n > 0 { 1 } else { 4 });
        assert!(rig.machine.keeps_back());
        rig.answer_message(Err(Kind::JetStreamNotEnabled));
    }
    rig.take();
    young(&mut rig, 7, 1);
    young(&mut rig, 9, 2);
    rig.expect(&["deliver", "deliver"]);
}

#[test]
fn who_may_not_ask_goes_on_without() {
    let mut rig = live();
    young(&mut rig, 7, 4);
    rig.answer_message(Err(Kind::Permissions));
    rig.take();
    young(&mut rig, 7, 4);
    young(&mut rig, 9, 5);
    heartbeat(&mut rig, 5, 12);
    rig.expect(&["deliver", "deliver"]);
}

#[test]
fn an_answer_about_an_earlier_consumer_means_nothing() {
    let mut rig = live();
    young(&mut rig, 7, 4);
    let question = rig.asked.pop().expect("a question");
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    assert!(!rig.machine.keeps_back());
    rig.take();
    rig.asked.push(question);
    rig.answer_message(Ok(5));
    rig.expect(&[]);
}

#[test]
fn before_the_reply_it_waits_for_the_reply() {
    let mut rig = live();
    young(&mut rig, 7, 4);
    rig.answer_message(Ok(5));
    rig.take();
    // The second consumer was moved as well, and is faster than the reply.
    young(&mut rig, 7, 1);
    rig.expect(&["ask STREAM.MSG.GET.S"]);
    rig.answer_message(Ok(5));
    rig.expect(&[]);
    rig.created(3, 2);
    assert!(rig.take().contains(&"create by_start_sequence 4".to_owned()));
}

#[test]
fn one_question_at_a_time() {
    // The server passes over messages, and is perhaps one that has just come back.
    let around =
        Surroundings { keeps_place: Box::new(|| false), ..surroundings(ConnState::Connected(1)) };
    let mut rig = Rig::with(OrderedConfig { behind: true, ..all() }, around);
    rig.created(0, 1);
    rig.message(1, 1, 0);
    rig.answer_stream(OLD, 9);
    let marks = [mark("s.1")].into_iter().collect();
    rig.answer_roll_call(Ok(Roll { marks, first_seq: 1, last_seq: 9, fresh: false }));
    rig.take();
    heartbeat(&mut rig, 1, 7);
    rig.expect(&["ask STREAM.MSG.GET.S"]);
    // What the consumer has come to does not count here.
    let (info, passed) = (rig.info(1, 9, 0), rig.asked.pop());
    rig.answer(Ok(info));
    rig.expect(&[]);
    rig.asked.extend(passed);
    rig.answer_message(Err(Kind::MsgNotFound));
    rig.pass(300);
    let info = rig.info(1, 9, 0);
    rig.answer(Ok(info));
    rig.expect(&["ask CONSUMER.INFO.S.C1", "ask STREAM.MSG.GET.S"]);
    rig.answer_message(Err(Kind::MsgNotFound));
    rig.expect(&["end", "Live"]);
}
