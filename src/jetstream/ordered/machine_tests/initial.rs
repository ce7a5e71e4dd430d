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
    // A key that is just being overwritten is counted as none.
    rig.expect(&["create last_per_subject", "Initial", "created", "ask STREAM.INFO.S"]);
    rig.answer_stream(OLD, 9);
    rig.expect(&["end", "Live"]);
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
        "created",
        "end",
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
    rig.answer_stream(OLD, 4);
    rig.answer_roll(&["s.1", "s.2"], 2);
    rig.message(3, 3, 5);
    rig.expect(&[
        "create all",
        "Initial",
        "created",
        "deliver",
        "deliver",
        "ask STREAM.INFO.S",
        "roll call s.>",
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
    // Nobody knows yet whether that is true.
    rig.expect(&["ask STREAM.INFO.S"]);
    rig.answer_stream(OLD, 3);
    rig.expect(&["roll call s.>"]);
    rig.answer_roll(&["s.1"], 3);
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
    rig.answer_stream(OLD, 3);
    rig.expect(&[
        "create last_per_subject",
        "Initial",
        "created",
        "deliver",
        "ask STREAM.INFO.S",
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
    rig.answer_stream(OLD, 10);
    rig.expect(&["created", "ask STREAM.INFO.S", "Initial", "end", "Live"]);
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

#[test]
fn repeating_is_an_effort_but_not_for_ever() {
    let mut rig = Rig::new(watch());
    rig.created(0, 4);
    rig.message(1, 1, 3);
    rig.message(2, 2, 2);
    for round in 1..=5 {
        rig.message(9, 4, 0);
        rig.created(0, 4);
        rig.message(1, 1, 3);
        rig.message(2, 2, 2);
        assert_eq!(rig.repeated, 2 * round.min(3), "round {round}");
    }
    rig.message(3, 3, 1);
    rig.repeated = 0;
    rig.message(9, 5, 0);
    rig.created(0, 4);
    rig.message(1, 1, 3);
    assert_eq!(rig.repeated, 1);
}

// ------------------------------------------------------------------------- while others write

/// When the consumers of these tests were made, in ns.
const MADE: i64 = 1_767_225_610_000_000_000;

/// A message of a subject that was stored so many ns after the consumer was made.
fn later(rig: &mut Rig, subject: &str, stream_seq: u64, consumer_seq: u64, pending: u64, ns: i64) {
    let incarnation = rig.incarnation;
    rig.stored(incarnation, subject, stream_seq, consumer_seq, pending, MADE + ns);
}

#[test]
fn nobody_wrote_if_all_that_was_counted_is_older_than_the_consumer() {
    for (last, proven) in [(-200_000_000, true), (-100_000_000, true), (-99_999_999, false)] {
        let mut rig = Rig::new(watch());
        rig.created(0, 2);
        rig.message(1, 1, 1);
        rig.take();
        later(&mut rig, "s.2", 2, 2, 0, last);
        let expected = if proven {
            &["deliver", "end", "Live"][..]
        } else {
            &["deliver", "ask STREAM.INFO.S"]
        };
        rig.expect(expected);
    }
}

#[test]
fn a_key_that_moves_to_the_end_is_waited_for() {
    for policy in [DeliverPolicy::LastPerSubject, DeliverPolicy::All] {
        let mut rig = Rig::new(spec(policy, Resume::SnapshotThenSequence));
        rig.created(0, 3);
        later(&mut rig, "s.a", 1, 1, 2, -5);
        rig.take();
        // b and c have moved, a has been written again: three messages, and c is missing.
        later(&mut rig, "s.b", 4, 2, 0, 5);
        later(&mut rig, "s.a", 5, 3, 0, 6);
        rig.expect(&["deliver", "roll call s.>", "deliver"]);
        rig.answer_roll(&["s.a", "s.b", "s.c"], 6);
        later(&mut rig, "s.d", 7, 4, 0, 7);
        rig.expect(&["deliver"]);
        later(&mut rig, "s.c", 8, 5, 3, 8);
        rig.expect(&["deliver", "end", "Live"]);
    }
}

#[test]
fn all_revisions_come_before_the_end() {
    let mut rig = Rig::new(all());
    rig.created(0, 4);
    rig.take();
    later(&mut rig, "s.a", 1, 1, 3, -5);
    later(&mut rig, "s.b", 2, 2, 2, 5);
    rig.answer_roll(&["s.a", "s.b"], 4);
    rig.expect(&["deliver", "deliver", "roll call s.>"]);
    later(&mut rig, "s.a", 3, 3, 1, 5);
    rig.expect(&["deliver"]);
    later(&mut rig, "s.b", 4, 4, 7, 5);
    rig.expect(&["deliver", "end", "Live"]);

    // The end of the stream is that of another subject: the consumer is asked.
    let mut rig = Rig::new(all());
    rig.created(0, 2);
    rig.take();
    later(&mut rig, "s.a", 2, 1, 0, 5);
    rig.answer_roll(&["s.a"], 9);
    rig.expect(&["deliver", "roll call s.>", "ask CONSUMER.INFO.S.C1"]);
    let info = rig.info(1, 2, 0);
    rig.answer(Ok(info));
    rig.expect(&["end", "Live"]);
}

#[test]
fn a_key_that_vanishes_is_not_waited_for() {
    let mut rig = Rig::new(watch());
    rig.created(0, 2);
    later(&mut rig, "s.a", 3, 1, 0, 5);
    rig.answer_roll(&["s.a", "s.b"], 3);
    rig.take();
    rig.pass(249);
    rig.expect(&[]);
    rig.pass(1);
    rig.expect(&["roll call s.>"]);
    rig.answer_roll(&["s.a", "s.new"], 9);
    assert_eq!(rig.take()[..2], ["end", "Live"]);
}

#[test]
fn what_vanished_after_the_roll_was_called_is_found_when_nothing_is_pending() {
    let mut rig = Rig::new(watch());
    rig.created(0, 3);
    later(&mut rig, "s.a", 1, 1, 2, 5);
    rig.answer_roll(&["s.a", "s.b", "s.c"], 3);
    rig.take();
    // Both have been purged, and no message says so.
    rig.pass(500);
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    let info = rig.info(1, 3, 0);
    rig.answer(Ok(info));
    rig.pass(250);
    rig.expect(&["roll call s.>"]);
    rig.answer_roll(&["s.a"], 3);
    assert_eq!(rig.take()[..2], ["end", "Live"]);
}

#[test]
fn the_end_of_nothing_comes_before_what_is_written_then() {
    for (first, ends) in [(true, true), (false, false)] {
        let mut rig = Rig::new(OrderedConfig { end_before_news: first, ..watch() });
        let mut info = rig.info(0, 9, 0);
        info["ts"] = json!("2026-01-01T00:00:10.000000100Z");
        let incarnation = rig.incarnation;
        rig.run(|machine, now, out| machine.create_reply(incarnation, &info, now, out));
        rig.take();
        later(&mut rig, "s.a", 10, 1, 0, 101);
        rig.expect(match ends {
            true => &["end", "Live", "deliver"][..],
            false => &["deliver", "roll call s.>"],
        });
    }
    // It was being written when the server said so.
    let mut rig = Rig::new(watch());
    let mut info = rig.info(0, 9, 0);
    info["ts"] = json!("2026-01-01T00:00:10.000000100Z");
    let incarnation = rig.incarnation;
    rig.run(|machine, now, out| machine.create_reply(incarnation, &info, now, out));
    rig.take();
    later(&mut rig, "s.a", 10, 1, 0, 99);
    rig.expect(&["deliver", "roll call s.>"]);
    rig.answer_roll(&["s.a"], 10);
    rig.expect(&["end", "Live"]);
}

#[test]
fn what_the_stream_has_and_never_sends_does_not_put_off_the_end_for_ever() {
    let mut rig = Rig::new(watch());
    rig.created(0, 2);
    later(&mut rig, "s.a", 3, 1, 0, 5);
    rig.answer_roll(&["s.a", "s.b"], 3);
    let mut calls = 0;
    for tenth in 0..300_u64 {
        rig.pass(100);
        later(&mut rig, "s.a", 4 + tenth, 2 + tenth, 0, 6);
        for what in rig.take() {
            calls += u32::from(what.starts_with("roll call"));
            if what == "end" {
                assert!((8..=9).contains(&calls), "{calls}");
                return;
            }
        }
        if rig.asked.last().is_some_and(|(_, what)| what == "s.>") {
            rig.answer_roll(&["s.a", "s.b"], 99);
        }
    }
    panic!("no end after {calls} roll calls");
}

#[test]
fn replicas_and_mirrors_are_not_believed() {
    let mut rig = Rig::new(OrderedConfig { behind: true, ..watch() });
    rig.created(0, 1);
    rig.message(1, 1, 0);
    rig.expect(&["create last_per_subject", "Initial", "created", "deliver", "ask STREAM.INFO.S"]);
    // The leader has one more.
    rig.answer_stream(OLD, 2);
    rig.expect(&["roll call s.>"]);
    rig.answer_roll(&["s.1", "s.2"], 2);
    rig.expect(&[]);
    rig.message(2, 2, 0);
    rig.expect(&["deliver", "end", "Live"]);
}

#[test]
fn two_clocks_in_a_cluster() {
    for (ns, proven) in [(-1_000_000_001, true), (-999_999_999, false)] {
        let mut rig = Rig::new(watch());
        let mut info = rig.info(0, 0, 1);
        info["cluster"] = json!({"name": "c", "leader": "n1"});
        let incarnation = rig.incarnation;
        rig.run(|machine, now, out| machine.create_reply(incarnation, &info, now, out));
        rig.take();
        later(&mut rig, "s.1", 1, 1, 0, ns);
        assert_eq!(rig.take().contains(&"end".to_owned()), proven, "{ns}");
    }
}

#[test]
fn a_roll_that_cannot_be_called() {
    for kind in [Kind::Timeout, Kind::Permissions] {
        let mut rig = Rig::new(watch());
        rig.created(0, 2);
        later(&mut rig, "s.a", 3, 1, 0, 5);
        rig.answer_roll_call(Err(error(kind)));
        later(&mut rig, "s.a", 4, 2, 0, 5);
        assert!(!rig.take().contains(&"end".to_owned()));
        // As many keys as were counted.
        later(&mut rig, "s.b", 5, 3, 1, 5);
        rig.expect(&["deliver"]);
        later(&mut rig, "s.b", 6, 4, 0, 5);
        rig.expect(&["deliver", "end", "Live"]);
    }
    let mut rig = Rig::new(watch());
    rig.created(0, 2);
    later(&mut rig, "s.a", 3, 1, 0, 5);
    for _ in 0..3 {
        rig.answer_roll_call(Err(error(Kind::JsResponse)));
        for _ in 0..3 {
            rig.pass(300);
            rig.heartbeat(Some(1), None);
        }
    }
    rig.take();
    rig.answer_roll(&["s.a"], 3);
    assert_eq!(rig.take()[0], "end");
}

#[test]
fn a_roll_call_that_is_lost_with_the_connection_is_made_again() {
    let mut rig = Rig::new(watch());
    rig.created(0, 2);
    later(&mut rig, "s.a", 3, 1, 0, 5);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.pass(0);
    assert_eq!(rig.take().last().map(String::as_str), Some("roll call s.>"));
    rig.answer_roll(&["s.a"], 3);
    assert_eq!(rig.take()[0], "end");
}

#[test]
fn the_last_message_of_the_initial_data_need_not_be_consumed_for_flow_control() {
    let mut rig = Rig::new(watch());
    rig.created(0, 3);
    rig.message(1, 1, 2);
    rig.message(2, 2, 1);
    rig.take();
    rig.flow_control("fc.1");
    rig.expect(&[]);
    rig.consumed(1);
    rig.expect(&["publish fc.1"]);
}

#[test]
fn a_stream_that_stands_still() {
    let stream = |last_seq: u64, last_ts: &str| {
        Ok(json!({"created": OLD, "state": {"last_seq": last_seq, "last_ts": last_ts}}))
    };
    let (older, younger) = ("2026-01-01T00:00:10Z", "2026-01-01T00:00:10.000000001Z");
    for (behind, last_seq, last_ts, still) in [
        // Another subject's message is the last one, and is older than the consumer.
        (false, 9, older, true),
        (false, 9, younger, false),
        // The consumer has come to the end.
        (false, 2, younger, true),
        (true, 2, younger, true),
        // A replica may have counted before it got what the leader has had for long.
        (true, 9, older, false),
    ] {
        let mut rig = Rig::new(OrderedConfig { behind, ..watch() });
        rig.created(0, 2);
        rig.message(1, 1, 1);
        later(&mut rig, "s.2", 2, 2, 0, -5);
        rig.take();
        rig.answer(stream(last_seq, last_ts));
        let expected = if still { &["end", "Live"][..] } else { &["roll call s.>"] };
        assert_eq!(rig.take(), expected, "{behind} {last_seq} {last_ts}");
    }
    // It is asked again when the answer got lost.
    let mut rig = Rig::new(watch());
    rig.created(0, 0);
    rig.answer(Err(error(Kind::Timeout)));
    assert_eq!(rig.take().last().map(String::as_str), Some("roll call s.>"));
}
