//! The data that was there at the start: its end, its snapshots, what vanishes from it.

use super::*;

#[test]
fn delivers_and_ends_the_initial_data_once() {
    let mut rig = Rig::new(all());
    rig.expect(&["create all", "Initial"]);
    rig.created(0, 2);
    assert_eq!(rig.machine.name(), "C1");
    rig.message(3, 1, 1);
    rig.message(5, 2, 0);
    rig.message(6, 3, 0);
    rig.expect(&["created", "deliver", "deliver", "end", "Live", "deliver"]);
}

#[test]
fn the_end_of_nothing() {
    let mut rig = Rig::new(watch());
    rig.created(9, 0);
    rig.expect(&["create last_per_subject", "Initial", "created", "end", "Live"]);
}

#[test]
fn new_ends_right_after_the_creation() {
    let mut rig = Rig::new(spec(DeliverPolicy::New, Resume::SnapshotThenSequence));
    rig.created(9, 3);
    rig.expect(&["create new", "Initial", "created", "end", "Live"]);
    let mut rig = Rig::new(spec(DeliverPolicy::New, Resume::SnapshotThenSequence));
    rig.message(10, 1, 4);
    rig.created(9, 0);
    rig.expect(&["create new", "Initial", "end", "deliver", "created", "Live"]);
}

#[test]
fn messages_before_the_create_reply() {
    let mut rig = Rig::new(all());
    rig.message(4, 1, 1);
    rig.message(5, 2, 0);
    rig.created(3, 2);
    rig.message(6, 3, 0);
    rig.expect(&[
        "create all",
        "Initial",
        "deliver",
        "deliver",
        "end",
        "created",
        "Live",
        "deliver",
    ]);
}

#[test]
fn a_gap_before_the_create_reply_waits_for_it() {
    let mut rig = Rig::new(all());
    rig.message(5, 2, 0);
    rig.message(6, 3, 0);
    rig.take();
    rig.created(3, 3);
    rig.expect(&[
        "created",
        "ErrConsumerSequenceMismatch reset with opt_start_seq = 4 due to \
         ErrConsumerSequenceMismatch",
        "create by_start_sequence 4",
        "Resuming",
    ]);
}

#[test]
fn writers_cannot_put_off_the_end_for_ever() {
    let mut rig = Rig::new(all());
    rig.created(0, 2);
    rig.message(1, 1, 5);
    rig.message(2, 2, 5);
    rig.message(3, 3, 5);
    rig.expect(&[
        "create all",
        "Initial",
        "created",
        "deliver",
        "deliver",
        "end",
        "Live",
        "deliver",
    ]);
}

#[test]
fn the_end_when_pending_messages_vanish() {
    let mut rig = Rig::new(watch());
    rig.created(0, 3);
    rig.message(1, 1, 2);
    rig.take();
    rig.pass(499);
    rig.expect(&[]);
    rig.heartbeat(Some(1), None);
    rig.pass(1);
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    let info = rig.info(1, 1, 2);
    rig.answer(Ok(info));
    rig.expect(&[]);
    rig.pass(400);
    rig.heartbeat(Some(1), None);
    rig.pass(200);
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    let info = rig.info(1, 3, 0);
    rig.answer(Ok(info));
    // The server still has a list of what has vanished, and would step through it.
    rig.expect(&["end", "Live", "ask STREAM.INFO.S", "Resuming"]);
    rig.answer_stream(OLD, 3);
    rig.created(3, 0);
    rig.expect(&["create by_start_sequence 2", "created", "Live"]);
    for _ in 0..20 {
        rig.pass(500);
        rig.heartbeat(Some(0), None);
    }
    rig.expect(&[]);
}

#[test]
fn the_last_message_says_that_others_have_vanished() {
    let mut rig = Rig::new(watch());
    rig.created(0, 3);
    rig.message(3, 1, 0);
    rig.expect(&[
        "create last_per_subject",
        "Initial",
        "created",
        "deliver",
        "end",
        "Live",
        "ask STREAM.INFO.S",
        "Resuming",
    ]);
}

#[test]
fn a_snapshot_that_makes_no_progress_is_taken_again() {
    let mut rig = Rig::new(watch());
    rig.created(0, 3);
    rig.message(1, 1, 2);
    rig.take();
    let mut rounds = Vec::new();
    for tenth in 1..=300 {
        rig.pass(100);
        if rig.request["opt_start_seq"].is_null() && rig.subscribed {
            rig.heartbeat(Some(u64::from(rounds.is_empty())), None);
        }
        if let Some((_, op)) = rig.asked.last() {
            if op.starts_with("CONSUMER") {
                let info = rig.info(u64::from(rounds.is_empty()), 1, 2);
                rig.answer(Ok(info));
            } else {
                rig.answer_stream(OLD, 3);
                rig.created(0, 3);
                rounds.push(tenth);
            }
        }
    }
    assert!(rig.take().contains(&"create last_per_subject".to_owned()));
    // Soon at first, then ever more seldom.
    assert!(rounds[0] <= 20 && (3..=8).contains(&rounds.len()), "{rounds:?}");
}

#[test]
fn messages_lost_at_the_end_of_the_initial_data() {
    let mut rig = Rig::new(all());
    rig.created(0, 2);
    rig.message(1, 1, 1);
    rig.pass(500);
    rig.take();
    let info = rig.info(2, 2, 0);
    rig.answer(Ok(info));
    rig.expect(&["Stale"]);
    rig.pass(499);
    rig.expect(&[]);
    rig.pass(2);
    rig.expect(&[
        "ErrConsumerSequenceMismatch reset with opt_start_seq = 2 due to \
         ErrConsumerSequenceMismatch",
        "create by_start_sequence 2",
        "Resuming",
    ]);
}

#[test]
fn an_unfinished_snapshot_is_taken_again() {
    let mut rig = Rig::new(watch());
    rig.created(9, 3);
    rig.message(10, 1, 2);
    rig.message(30, 3, 0);
    assert_eq!(rig.request["deliver_policy"], json!("last_per_subject"));
    rig.take();
    // 10 again, 20 is superseded by 40.
    rig.created(9, 3);
    rig.message(10, 1, 2);
    rig.expect(&["created", "Initial"]);
    rig.message(30, 2, 1);
    rig.message(40, 3, 0);
    rig.expect(&["deliver", "deliver", "end", "Live"]);
    rig.message(50, 5, 0);
    assert_eq!(rig.request["opt_start_seq"], json!(41));
}

#[test]
fn a_repeated_snapshot_without_news_ends_too() {
    let mut rig = Rig::new(watch());
    rig.created(9, 2);
    rig.message(10, 1, 1);
    rig.message(30, 3, 0);
    rig.take();
    rig.created(9, 1);
    rig.message(10, 1, 0);
    rig.expect(&["created", "Initial", "end", "Live"]);
}

#[test]
fn by_sequence_leaves_the_snapshot_behind() {
    let mut rig = Rig::new(spec(DeliverPolicy::LastPerSubject, Resume::BySequence));
    rig.created(9, 3);
    rig.message(10, 1, 2);
    rig.message(30, 3, 0);
    assert_eq!(rig.request["opt_start_seq"], json!(11));
    rig.take();
    rig.created(10, 0);
    rig.expect(&["created", "end", "Live"]);
}

#[test]
fn new_resumes_at_the_place_of_its_creation() {
    let mut rig = Rig::new(spec(DeliverPolicy::New, Resume::BySequence));
    rig.created(41, 0);
    rig.heartbeat(Some(1), None);
    assert_eq!(
        rig.take()[5],
        "ErrConsumerSequenceMismatch reset with opt_start_seq = 42 due to ErrConsumerSequenceMismatch"
    );
    assert_eq!(rig.request["opt_start_seq"], json!(42));
}
