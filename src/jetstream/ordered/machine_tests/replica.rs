//! Replicas that know less than the leader, at the end of the initial data.

use super::*;

/// A replica that has just come back has the first of two messages and says that this is all. Both are
/// of the same subject, and the second is older than the consumer by more than all clocks differ.
fn lagging(last_seq: u64) -> Rig {
    let mut rig = Rig::new(OrderedConfig { behind: true, ..watch() });
    rig.created(0, 1);
    rig.message(1, 1, 0);
    rig.answer_stream(OLD, last_seq);
    rig.take();
    let marks = [mark("s.1")].into_iter().collect();
    rig.answer_roll_call(Ok(Roll { marks, first_seq: 1, last_seq, fresh: false }));
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    rig
}

fn says(rig: &mut Rig, consumer_seq: u64, stream_seq: u64) {
    let info = rig.info(consumer_seq, stream_seq, 0);
    rig.answer(Ok(info));
}

#[test]
fn a_replica_that_has_just_come_back_is_not_believed() {
    let mut rig = lagging(2);
    says(&mut rig, 1, 1);
    rig.expect(&["ask STREAM.MSG.GET.S"]);
    rig.answer_message(Ok(2));
    rig.expect(&[]);
    // It comes.
    rig.stored(rig.incarnation, "s.1", 2, 2, 0, 0);
    rig.expect(&["deliver", "end", "Live"]);
}

#[test]
fn what_a_replica_lacked_may_vanish() {
    let mut rig = lagging(2);
    says(&mut rig, 1, 1);
    rig.answer_message(Ok(2));
    rig.take();
    rig.pass(300);
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    says(&mut rig, 1, 1);
    rig.expect(&["ask STREAM.MSG.GET.S"]);
    rig.answer_message(Err(Kind::MsgNotFound));
    rig.expect(&["end", "Live"]);
}

#[test]
fn what_a_replica_lacked_may_be_superseded() {
    let mut rig = lagging(2);
    says(&mut rig, 1, 1);
    // The value of before the start is not believed.
    rig.answer_message(Ok(3));
    rig.expect(&["ask STREAM.MSG.GET.S"]);
    rig.stored(rig.incarnation, "s.1", 3, 2, 0, 0);
    rig.expect(&["deliver", "end", "Live"]);
}

#[test]
fn a_replica_has_come_to_the_end() {
    // As it says itself.
    let mut rig = lagging(9);
    says(&mut rig, 1, 9);
    rig.expect(&["end", "Live"]);
    // As the leader says: what is there is not wanted. Nobody else is asked if he may not be.
    for kind in [Kind::MsgNotFound, Kind::Permissions] {
        let mut rig = lagging(9);
        says(&mut rig, 1, 8);
        rig.expect(&["ask STREAM.MSG.GET.S"]);
        rig.answer_message(Err(kind));
        rig.expect(&["end", "Live"]);
    }
}

#[test]
fn a_leader_that_does_not_answer_is_asked_again() {
    let mut rig = lagging(2);
    says(&mut rig, 1, 1);
    rig.answer_message(Err(Kind::Timeout));
    rig.take();
    rig.pass(300);
    says(&mut rig, 1, 1);
    rig.expect(&["ask CONSUMER.INFO.S.C1", "ask STREAM.MSG.GET.S"]);
    // And if nothing comes at all.
    rig.asked.clear();
    let mut rounds = 0;
    while rig.asked.is_empty() {
        rig.heartbeat(Some(1), None);
        rig.pass(100);
        if rig.asked.last().is_some_and(|(_, op)| op.starts_with("CONSUMER")) {
            says(&mut rig, 1, 1);
        }
        rounds += 1;
        assert!((1..60).contains(&rounds));
    }
    assert!(rounds > 15, "{rounds}");
    rig.answer_message(Err(Kind::MsgNotFound));
    assert_eq!(rig.take().last().map(String::as_str), Some("Live"));
}

#[test]
fn a_replica_that_comes_no_further_is_believed_in_the_end() {
    // Whatever the leader says, and if he says nothing that helps.
    for answer in [Ok(7), Err(Kind::JetStreamNotEnabled)] {
        let mut rig = lagging(9);
        let (mut questions, mut ms) = (0, 0);
        while !rig.take().contains(&"Live".to_owned()) {
            match rig.asked.last().map(|(_, op)| op.starts_with("CONSUMER")) {
                // What is not wanted comes for three seconds.
                Some(true) => says(&mut rig, 1, 2 + ms.min(3000) / 1000),
                Some(false) => {
                    rig.answer_message(answer);
                    questions += 1;
                }
                None => {
                    rig.heartbeat(Some(1), None);
                    rig.pass(100);
                    ms += 100;
                }
            }
            assert!(ms < 30_000);
        }
        assert!((12_000..16_000).contains(&ms) && questions < 60, "{questions} in {ms} ms");
    }
}

#[test]
fn a_replica_that_never_gets_a_subject_is_believed_in_the_end() {
    let mut rig = Rig::new(OrderedConfig { behind: true, ..watch() });
    rig.created(0, 1);
    rig.message(1, 1, 0);
    rig.answer_stream(OLD, 9);
    let (mut log, mut ms) = (Vec::new(), 0);
    while !log.contains(&"end".to_owned()) {
        match rig.asked.last().map(|(_, op)| op.clone()).as_deref() {
            Some("s.>") => rig.answer_roll(&["s.1", "s.2"], 9),
            Some("STREAM.MSG.GET.S") => rig.answer_message(Err(Kind::MsgNotFound)),
            Some(_) => says(&mut rig, 1, 1),
            None => {
                rig.heartbeat(Some(1), None);
                rig.pass(100);
                ms += 100;
            }
        }
        log.extend(rig.take());
        assert!(ms < 60_000, "{log:?}");
    }
    let rolls = log.iter().filter(|line| line.starts_with("roll call")).count();
    assert!(rolls == 9 && log.contains(&"ask STREAM.MSG.GET.S".to_owned()), "{log:?}");
}

/// Others write what is not wanted, all the time.
fn beside_writers() -> Rig {
    let mut rig = Rig::new(OrderedConfig { behind: true, ..watch() });
    rig.created(0, 1);
    rig.message(1, 1, 0);
    rig.answer_stream(OLD, 9);
    rig.take();
    let marks = [mark("s.1")].into_iter().collect();
    rig.answer_roll_call(Ok(Roll { marks, first_seq: 1, last_seq: 9, fresh: true }));
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    rig
}

#[test]
fn beside_writers_of_other_subjects_the_leader_is_asked_at_once() {
    let mut rig = beside_writers();
    says(&mut rig, 1, 1);
    rig.expect(&["ask STREAM.MSG.GET.S"]);
    rig.answer_message(Err(Kind::MsgNotFound));
    rig.expect(&["end", "Live"]);
}

#[test]
fn who_may_not_ask_the_leader_waits_for_what_was_stored_just_now() {
    let mut rig = beside_writers();
    says(&mut rig, 1, 1);
    rig.answer_message(Err(Kind::Permissions));
    rig.take();
    let mut ms = 0;
    while !rig.take().contains(&"Live".to_owned()) {
        if rig.asked.last().is_some_and(|(_, op)| op.starts_with("CONSUMER")) {
            says(&mut rig, 1, 1);
        }
        rig.heartbeat(Some(1), None);
        rig.pass(50);
        ms += 50;
        assert!(ms < 10_000);
    }
    assert!((2000..3000).contains(&ms), "{ms}");
}
