//! The stream is deleted, made again or emptied: roll calls.

use super::*;

#[test]
fn the_stream_is_deleted() {
    let mut rig = Rig::live(all(), 3);
    rig.pass(1500);
    rig.take();
    rig.answer(Err(error(Kind::StreamNotFound)));
    assert_eq!(rig.discarded, ["C1"]);
    rig.expect(&["ErrStreamNotFound stopped due to stream not found", "Stopped"]);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.pass(60_000);
    rig.expect(&[]);
    assert!(!rig.subscribed);
    // Without the right to ask about streams.
    let mut rig = Rig::live(all(), 3);
    rig.pass(1500);
    rig.answer(Err(error(Kind::Permissions)));
    rig.take();
    rig.create_failed(error(Kind::StreamNotFound));
    rig.expect(&["ErrStreamNotFound stopped due to stream not found", "Stopped"]);
}

/// The reference promises three heartbeats for a stream to be made again.
#[test]
fn a_stream_that_is_not_there_is_waited_for() {
    // After a reconnection the consumer is known to have gone long before heartbeats are missing.
    let mut rig = Rig::live(all(), 3);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.answer(Err(error(Kind::StreamNotFound)));
    assert!(rig.discarded.is_empty(), "there is nothing to delete");
    rig.take();
    let mut asked = 0;
    for _ in 0..14 {
        while !rig.asked.is_empty() {
            rig.answer(Err(error(Kind::StreamNotFound)));
            asked += 1;
        }
        rig.pass(100);
    }
    assert!((3..14).contains(&asked), "{asked}");
    assert!(!rig.take().iter().any(|line| line.starts_with("Err")), "silent");
    rig.pass(100);
    rig.answer_stream("2026-01-01T00:00:12Z", 1);
    rig.expect(&["Recreated", "create by_start_sequence 1", "Resuming"]);
}

#[test]
fn a_late_heartbeat_is_asked_about() {
    let mut rig = Rig::live(watch(), 3);
    rig.pass(749);
    rig.expect(&[]);
    rig.pass(1);
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    // The consumer is there; the heartbeats are what counts.
    let info = rig.info(3, 3, 0);
    rig.answer(Ok(info));
    rig.pass(749);
    rig.expect(&[]);
    rig.pass(1);
    let reset = "ErrConsumerNotActive reset with opt_start_seq = 4 due to ErrConsumerNotActive";
    rig.expect(&[reset, "ask STREAM.INFO.S", "Resuming"]);
    // The stream was there when it was asked about the consumer, and may be made again.
    rig.answer(Err(error(Kind::StreamNotFound)));
    rig.pass(300);
    rig.expect(&["ask STREAM.INFO.S"]);
    rig.answer(Err(error(Kind::StreamNotFound)));
    rig.pass(450);
    rig.take();
    rig.answer(Err(error(Kind::StreamNotFound)));
    rig.expect(&["ErrStreamNotFound stopped due to stream not found", "Stopped"]);
    // It has gone.
    let mut rig = Rig::live(watch(), 3);
    rig.pass(750);
    rig.answer(Err(error(Kind::StreamNotFound)));
    rig.expect(&["ask CONSUMER.INFO.S.C1", reset, "ask STREAM.INFO.S", "Resuming"]);
    rig.answer(Err(error(Kind::StreamNotFound)));
    rig.expect(&[]);
}

#[test]
fn a_shorter_stream_is_another_one() {
    // By the stream itself.
    let mut rig = Rig::live(watch(), 30);
    rig.pass(1500);
    rig.take();
    rig.answer_stream(OLD, 29);
    rig.expect(&["Recreated", "create last_per_subject", "Resuming"]);
    rig.created(0, 1);
    rig.message(1, 1, 0);
    rig.expect(&["created", "Live", "deliver"]);
    // By the reply.
    let mut rig = Rig::live(all(), 30);
    rig.message(99, 99, 0);
    rig.take();
    rig.created(7, 0);
    rig.expect(&["Recreated", "create by_start_sequence 1", "Resuming"]);
    rig.created(0, 7);
    rig.message(1, 1, 6);
    rig.expect(&["created", "Live", "deliver"]);
    // By a message.
    let mut rig = Rig::live(all(), 30);
    rig.message(99, 99, 0);
    rig.take();
    rig.message(8, 1, 0);
    rig.expect(&["Recreated", "create by_start_sequence 1", "Resuming"]);
}

#[test]
fn a_longer_stream_may_be_another_one() {
    for (known, created, another) in [
        (None, OLD, false),
        (None, "2026-01-01T00:00:10.5Z", false),
        (None, "2026-01-01T00:00:12Z", true),
        (Some(OLD), OLD, false),
        (Some(OLD), "2026-01-01T00:00:00.000000001Z", true),
    ] {
        let known = known.map(str::to_owned);
        let mut rig = Rig::live(OrderedConfig { stream_created: known, ..watch() }, 3);
        rig.pass(1500);
        rig.answer_stream(created, 100);
        let recreated = rig.take().iter().any(|line| line == "Recreated");
        assert_eq!(recreated, another, "{created}");
        let policy = if another { "last_per_subject" } else { "by_start_sequence" };
        assert_eq!(rig.request["deliver_policy"], json!(policy));
    }
}

#[test]
fn a_purged_stream_is_the_same_one() {
    let mut rig = Rig::live(all(), 30);
    rig.message(99, 99, 0);
    rig.take();
    rig.created(50, 0);
    rig.expect(&["created", "Live"]);
    rig.message(52, 2, 0);
    assert_eq!(rig.request["opt_start_seq"], json!(51));
}

fn watch_with_roll_call() -> OrderedConfig {
    OrderedConfig { roll_call: true, ..watch() }
}

impl Rig {
    /// The consumer is silent, and the stream says where it begins.
    fn lose_consumer(&mut self, first_seq: u64, last_seq: u64) {
        self.pass(1500);
        self.answer(Ok(json!({"created": OLD,
            "state": {"first_seq": first_seq, "last_seq": last_seq}})));
    }
}

#[test]
fn another_stream_wants_a_roll_call() {
    let mut rig = Rig::live(watch_with_roll_call(), 3);
    rig.pass(1500);
    rig.answer_stream(OLD, 0);
    rig.created(0, 0);
    rig.pass(0);
    assert_eq!(rig.take().last().map(String::as_str), Some("roll call s.>"));
    rig.answer_roll(&[], 0);
    rig.expect(&["roll called"]);
}

#[test]
fn a_roll_call_asks_for_each_filter() {
    for (filters, called) in [(&[][..], "roll call >"), (&["a.>", "b", "c"], "roll call a.> b c")] {
        let mut config = watch_with_roll_call();
        config.config.filters = filters.iter().map(ToString::to_string).collect();
        let mut rig = Rig::live(config, 3);
        rig.lose_consumer(5, 9);
        rig.created(3, 0);
        rig.pass(300);
        assert!(rig.take().contains(&called.to_owned()));
    }
}

#[test]
fn removed_messages_want_a_roll_call_if_they_were_not_delivered() {
    for (spec, first_seq, called) in
        [(watch_with_roll_call(), 4, false), (watch_with_roll_call(), 5, true), (watch(), 5, false)]
    {
        let mut rig = Rig::live(spec, 3);
        rig.lose_consumer(first_seq, 9);
        rig.created(first_seq - 1, 1);
        rig.pass(300);
        let log = rig.take();
        assert_eq!(log.contains(&"roll call s.>".to_owned()), called, "{first_seq} {log:?}");
    }
}

#[test]
fn where_messages_have_lifetimes_any_of_them_may_have_been_removed() {
    for (last_seq, called) in [(3, false), (4, true)] {
        let mut rig = Rig::live(watch_with_roll_call(), 3);
        rig.pass(1500);
        rig.answer(Ok(json!({"created": OLD, "config": {"allow_msg_ttl": true},
            "state": {"first_seq": 1, "last_seq": last_seq}})));
        rig.created(3, 0);
        rig.pass(300);
        let log = rig.take();
        assert_eq!(log.contains(&"roll call s.>".to_owned()), called, "{last_seq} {log:?}");
    }
}

#[test]
fn a_roll_call_that_fails_is_made_again() {
    let mut rig = Rig::live(watch_with_roll_call(), 3);
    rig.lose_consumer(6, 9);
    rig.created(5, 1);
    rig.pass(300);
    rig.take();
    rig.answer_roll_call(Err(error(Kind::Timeout)));
    rig.expect(&[]);
    rig.pass(1000);
    assert!(rig.take().contains(&"roll call s.>".to_owned()));
    // Lost with the connection; the consumer survived.
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.pass(0);
    assert!(rig.take().contains(&"roll call s.>".to_owned()));
    rig.answer_roll_call(Err(error(Kind::StreamNotFound)));
    rig.pass(1000);
    assert!(!rig.take().contains(&"roll call s.>".to_owned()));
}

/// A server that has no leader for the stream says nothing. What would be spent on a consumer that
/// cannot be made either is better spent on asking again.
#[test]
fn a_stream_without_a_leader_is_asked_for_again() {
    let mut rig = Rig::live(all(), 3);
    rig.pass(1500);
    rig.answer_stream(OLD, 3);
    rig.create_failed(error(Kind::Timeout));
    rig.pass(200);
    rig.take();
    for _ in 0..3 {
        rig.answer(Err(error(Kind::Timeout)));
        rig.expect(&["ask STREAM.INFO.S"]);
    }
    // It is there again.
    rig.answer_stream(OLD, 3);
    rig.expect(&["create by_start_sequence 4"]);
    // The user hears of it as of a consumer that could not be made.
    let mut rig = Rig::live(all(), 3);
    rig.pass(1500);
    rig.answer_stream(OLD, 3);
    rig.created(3, 0);
    rig.pass(1500);
    rig.take();
    rig.answer(Err(error(Kind::Timeout)));
    let reset = "ErrConsumerNotActive reset with opt_start_seq = 4 due to ErrConsumerNotActive";
    rig.expect(&["ErrTimeout failed to reset: why", reset, "ask STREAM.INFO.S"]);
    // One that has never answered is perhaps not to be asked.
    let mut rig = Rig::live(all(), 3);
    rig.pass(1500);
    rig.take();
    rig.answer(Err(error(Kind::Timeout)));
    rig.expect(&["create by_start_sequence 4"]);
    // Nor is one that stays silent.
    let mut rig = Rig::live(all(), 3);
    rig.pass(1500);
    rig.answer_stream(OLD, 3);
    rig.create_failed(error(Kind::Timeout));
    rig.pass(200);
    let mut asked = 0;
    while !rig.asked.is_empty() {
        rig.answer(Err(error(Kind::Timeout)));
        asked += 1;
    }
    assert!((10..30).contains(&asked), "{asked}");
    assert!(rig.take().contains(&"create by_start_sequence 4".to_owned()));
}

/// What the question for holes of a consumer that has outlived the connection leads to.
fn after_outliving(spec: OrderedConfig, answer: Result<Value, Kind>) -> Vec<String> {
    let mut rig = Rig::live(spec, 3);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    rig.expect(&["Stale", "ask CONSUMER.INFO.S.C1", "ask STREAM.INFO.S"]);
    // Before the answer comes the last message, which does not say what was in front of it.
    rig.message(4, 4, 0);
    rig.expect(&["Live", "deliver"]);
    rig.answer(answer.map_err(error));
    // What is still there may come.
    rig.expect(&[]);
    rig.pass(300);
    rig.take()
}

#[test]
fn what_expired_while_a_consumer_outlived_the_connection_is_looked_for() {
    let state = |first_seq: u64, last_seq: u64| {
        Ok(json!({"created": OLD, "config": {"allow_msg_ttl": true},
            "state": {"first_seq": first_seq, "last_seq": last_seq}}))
    };
    for (answer, called) in [
        (state(1, 3), false),
        (state(1, 4), true),
        (state(5, 4), true),
        (Err(Kind::Timeout), true),
        // While the server settles.
        (Err(Kind::JetStreamNotEnabled), true),
        (Err(Kind::StreamNotFound), false),
        (Err(Kind::Permissions), false),
    ] {
        let log = after_outliving(watch_with_roll_call(), answer);
        assert_eq!(log.contains(&"roll call s.>".to_owned()), called, "{log:?}");
    }
}

/// A stream that does not say what it has may have lost something, too.
#[test]
fn what_expired_while_the_consumer_was_lost_is_looked_for_whatever_the_stream_says() {
    for (kind, called) in [
        (Kind::Timeout, true),
        (Kind::Server, true),
        // Nobody serves the question, or may ask it.
        (Kind::JetStreamNotEnabled, false),
        (Kind::Permissions, false),
    ] {
        let mut rig = Rig::live(watch_with_roll_call(), 3);
        rig.pass(1500);
        rig.answer(Err(error(kind)));
        rig.created(3, 0);
        rig.pass(300);
        let log = rig.take();
        assert_eq!(log.contains(&"roll call s.>".to_owned()), called, "{kind:?}: {log:?}");
    }
}

#[test]
fn what_comes_between_two_losses_does_not_hide_what_expired_in_the_first() {
    let mut rig = Rig::live(watch_with_roll_call(), 3);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    // The fourth has expired.
    rig.message(5, 4, 0);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(3));
    rig.take();
    rig.answer(Ok(json!({"created": OLD, "config": {"allow_msg_ttl": true},
        "state": {"first_seq": 1, "last_seq": 5}})));
    rig.pass(300);
    assert!(rig.take().contains(&"roll call s.>".to_owned()));
}

#[test]
fn losses_in_the_initial_data_are_asked_about_at_its_end() {
    let mut rig = Rig::new(watch_with_roll_call());
    rig.created(0, 2);
    rig.message(1, 1, 1);
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    assert!(!rig.take().contains(&"ask STREAM.INFO.S".to_owned()));
    rig.message(2, 2, 0);
    let mut log = rig.take();
    if !log.contains(&"end".to_owned()) {
        rig.answer_stream(OLD, 2);
        log = rig.take();
    }
    let end = log.iter().position(|what| what == "end").expect("an end");
    assert!(log[end..].contains(&"ask STREAM.INFO.S".to_owned()), "{log:?}");
}
