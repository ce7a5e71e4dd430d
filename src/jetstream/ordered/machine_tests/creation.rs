//! Creations that fail, get lost or are late.

use super::*;

#[test]
fn the_first_creation_fails_for_its_caller() {
    let mut rig = Rig::new(all());
    rig.create_failed(error(Kind::StreamNotFound));
    rig.expect(&["create all", "Initial", "failed StreamNotFound"]);
    assert!(!rig.subscribed);
    rig.connection(ConnState::Closed);
    rig.pass(60_000);
    rig.expect(&[]);
}

#[test]
fn a_failed_reset_is_tried_again_after_ten_seconds() {
    let mut rig = Rig::live(all(), 3);
    rig.message(9, 9, 0);
    rig.take();
    rig.create_failed(error(Kind::Protocol));
    rig.expect(&["ErrProtocol failed to reset: why"]);
    rig.pass(9_999);
    rig.expect(&[]);
    rig.pass(1_001);
    assert_eq!(
        rig.take(),
        [
            "ErrConsumerSequenceMismatch reset with opt_start_seq = 4 due to \
         ErrConsumerSequenceMismatch",
            "create by_start_sequence 4",
        ]
    );
}

/// The user sees the same sequence as if it were tried every ten seconds.
#[test]
fn what_passes_is_tried_again_soon() {
    let busy = Error { api: Some((503, 10008)), ..error(Kind::JsResponse) };
    let full = Error { api: Some((400, 10026)), ..error(Kind::JsResponse) };
    let mismatch = "ErrConsumerSequenceMismatch reset with opt_start_seq = 4 due to \
                    ErrConsumerSequenceMismatch";
    for (failure, code) in [
        (error(Kind::Timeout), "ErrTimeout"),
        (error(Kind::JetStreamNotEnabled), "ErrJetStreamNotEnabled"),
        (busy, "ErrJSResponse"),
        (full, "ErrJSResponse"),
    ] {
        let mut rig = Rig::live(all(), 3);
        rig.message(9, 9, 0);
        let (mut attempts, mut pause, mut longest) = (0, 0, 0);
        for _ in 0..1200 {
            if rig.subscribed {
                attempts += 1;
                rig.create_failed(failure.clone());
                pause = 0;
            }
            rig.pass(10);
            pause += 10;
            longest = longest.max(pause);
        }
        assert!((10..30).contains(&attempts), "{attempts}");
        assert!((800..=1510).contains(&longest), "{longest}");
        let report = format!("{code} failed to reset: why");
        let reports: Vec<_> = rig.take().into_iter().filter(|l| l.starts_with("Err")).collect();
        assert_eq!(reports, [mismatch, &report, mismatch, &report, mismatch]);
    }
}

#[test]
fn attempts_are_given_more_and_more_time() {
    let mut around = surroundings(ConnState::Connected(1));
    around.timeout = Some(Duration::from_secs(3));
    let mut rig = Rig::with(all(), around);
    assert_eq!(rig.timeout, Some(Duration::from_secs(3)));
    rig.created(0, 0);
    rig.message(9, 9, 0);
    let mut given = Vec::new();
    for _ in 0..5 {
        given.extend(rig.timeout.map(|timeout| timeout.as_millis()));
        rig.create_failed(error(Kind::Timeout));
        rig.pass(1500);
    }
    assert_eq!(given, [1000, 1500, 2250, 3000, 3000]);
}

#[test]
fn retries_do_not_come_all_at_once() {
    let mut times: Vec<_> = (0..20)
        .map(|seed| {
            let around = Surroundings { seed, ..surroundings(ConnState::Connected(1)) };
            let mut rig = Rig::with(all(), around);
            rig.created(0, 0);
            rig.message(9, 9, 0);
            rig.create_failed(error(Kind::Timeout));
            let failed = rig.now;
            while !rig.subscribed {
                rig.pass(1);
            }
            rig.now - failed
        })
        .collect();
    times.sort();
    times.dedup();
    assert!(times.len() > 10, "{times:?}");
}

#[test]
fn a_create_request_lost_with_the_connection_is_made_again() {
    let mut rig = Rig::live(all(), 3);
    rig.message(9, 9, 0);
    rig.connection(ConnState::Disconnected);
    rig.take();
    rig.connection(ConnState::Connected(2));
    rig.expect(&["ask STREAM.INFO.S", "Resuming"]);
    rig.answer_stream(OLD, 9);
    rig.expect(&["create by_start_sequence 4"]);
    rig.created(3, 0);
    rig.expect(&["created", "Live"]);
}

#[test]
fn a_nameless_reply_is_a_failure() {
    let mut rig = Rig::new(all());
    let incarnation = rig.incarnation;
    rig.run(|machine, now, out| machine.create_reply(incarnation, &json!({}), now, out));
    rig.expect(&["create all", "Initial", "failed Protocol"]);
}

#[test]
fn a_request_kept_until_the_connection_is_up() {
    let mut rig = Rig::with(all(), surroundings(ConnState::Disconnected));
    rig.expect(&["create all", "Initial"]);
    // The request was kept by the connection and has just been sent.
    rig.connection(ConnState::Connected(1));
    rig.expect(&[]);
    rig.created(0, 0);
    rig.expect(&["created", "ask STREAM.INFO.S"]);
}

#[test]
fn a_first_creation_lost_with_the_connection() {
    for (policy, from, repeats) in [
        (DeliverPolicy::All, json!(5), false),
        (DeliverPolicy::New, json!(5), false),
        (DeliverPolicy::LastPerSubject, Value::Null, true),
    ] {
        let mut rig = Rig::new(spec(policy, Resume::SnapshotThenSequence));
        rig.message(4, 1, 1);
        rig.take();
        rig.connection(ConnState::Disconnected);
        rig.pass(300);
        rig.connection(ConnState::Connected(2));
        assert_eq!(rig.timeout, Some(Duration::from_millis(700)));
        assert_eq!(rig.request["opt_start_seq"], from);
        rig.take();
        if repeats {
            rig.message(4, 1, 1);
        }
        rig.message(5, 1 + u64::from(repeats), 1);
        rig.created(4, 3);
        assert_eq!(rig.take()[..2], ["deliver", "created"]);
        rig.message(9, 9, 0);
        assert_eq!(rig.timeout, Some(Duration::from_secs(1)));
    }
    // Nothing has come yet: as if it had never been tried.
    let mut rig = Rig::new(spec(DeliverPolicy::New, Resume::BySequence));
    rig.connection(ConnState::Connected(2));
    rig.created(8, 0);
    rig.expect(&["create new", "Initial", "create new", "created", "end", "Live"]);
}

#[test]
fn a_create_reply_that_waits_behind_the_data() {
    let mut rig = Rig::new(all());
    rig.message(1, 1, 9);
    rig.pass(900);
    rig.message(2, 2, 8);
    rig.pass(100);
    rig.take();
    rig.create_failed(error(Kind::Timeout));
    rig.expect(&["late CONSUMER.INFO.S.C1"]);
    rig.message(3, 3, 7);
    let (incarnation, info) = (rig.incarnation, rig.info(5, 5, 5));
    rig.run(|machine, now, out| machine.create_reply(incarnation, &info, now, out));
    // Such a reply comes too late to count what was there at the start.
    rig.expect(&["deliver", "created", "roll call s.>"]);
    rig.answer_roll(&["s.1", "s.10"], 10);
    for seq in 4..=10 {
        rig.message(seq, seq, 10 - seq);
    }
    assert!(rig.take().contains(&"end".to_owned()));
    // Without data it is just late.
    let mut rig = Rig::new(all());
    rig.message(1, 1, 9);
    rig.pass(1000);
    rig.create_failed(error(Kind::Timeout));
    assert!(rig.take().contains(&"failed Timeout".to_owned()));
}

#[test]
fn the_first_creation_ends_in_time_however_often_the_connection_is_lost() {
    let mut rig = Rig::new(spec(DeliverPolicy::LastPerSubject, Resume::SnapshotThenSequence));
    for generation in 2..1000 {
        rig.now += Duration::from_millis(10);
        rig.run(|machine, now, out| machine.connection(ConnState::Disconnected, now, out));
        rig.run(|machine, now, out| machine.connection(ConnState::Connected(generation), now, out));
        if rig.machine.is_stopped() {
            break;
        }
    }
    assert_eq!(rig.log.last().map(String::as_str), Some("failed Timeout"));
    assert!(rig.machine.is_stopped() && !rig.subscribed);
}
