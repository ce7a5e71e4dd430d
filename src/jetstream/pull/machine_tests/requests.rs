//! What is asked for, and when.

use super::*;

#[test]
fn refills_below_half_when_the_program_has_dealt_with_it() {
    let mut rig = Rig::new(config());
    assert_eq!(rig.pulls.len(), 0, "before it is known that the consumer is there");
    rig.info(Ok(info()));
    assert_eq!(rig.take(), ["started ", "created"]);
    let request = json!({"batch": 10, "expires": 4_000_000_000_u64,
        "idle_heartbeat": 1_000_000_000});
    assert_eq!(rig.pulls[0].1, request);
    for _ in 0..10 {
        assert_eq!(rig.message(100), Fate::Deliver);
    }
    assert_eq!(rig.take(), ["live "]);
    rig.consumed(5, 500);
    assert_eq!(rig.batches(), [10]);
    rig.consumed(6, 600);
    assert_eq!(rig.batches(), [10, 6]);
    assert_eq!(rig.machine.waits_for().0, u64::MAX, "it is the turn of the server");
}

#[test]
fn one_means_one() {
    let mut rig = Rig::running(PullConfig { max_messages: 1, ..config() });
    rig.message(1);
    assert_eq!(rig.batches(), [1]);
    assert_eq!(rig.machine.waits_for(), (1, 0));
    rig.consumed(1, 1);
    assert_eq!(rig.batches(), [1, 1]);
}

#[test]
fn what_is_left_of_a_request_is_asked_for_again() {
    let mut rig = Rig::running(config());
    rig.message(1);
    rig.now += Duration::from_secs(4);
    rig.status(408, "Request Timeout", Some((9, 0)));
    assert_eq!(rig.batches(), [10, 9]);
    assert_eq!(rig.take(), ["live "]);
}

#[test]
fn requests_that_end_at_once_are_not_made_at_once() {
    for (code, text) in [
        (408, "Request Timeout"),
        (404, "No Messages"),
        (409, "Exceeded MaxWaiting"),
        (409, "Server Shutdown"),
        (499, "Something New"),
    ] {
        let mut rig = Rig::running(config());
        let mut seen = 0;
        for _ in 0..10_000 {
            if rig.pulls.len() > seen {
                seen = rig.pulls.len();
                rig.status(code, text, Some((10, 0)));
            }
            rig.pass(MS);
        }
        assert!((5..15).contains(&seen), "{text}: {seen} requests in 10 s");
        let warnings = rig.take().iter().filter(|line| line.starts_with("warning")).count();
        assert!(warnings <= 1, "{text}: said {warnings} times");
    }
}

#[test]
fn limits_are_asked_for_when_one_is_exceeded() {
    let mut rig = Rig::running(config());
    rig.status(409, "Exceeded MaxRequestBatch of 3", None);
    assert_eq!(rig.take(), ["live ", "warning Exceeded MaxRequestBatch of 3"]);
    rig.over();
    let mut answer = info();
    answer["config"]["max_batch"] = json!(3);
    answer["config"]["max_expires"] = json!(1_000_000_000);
    rig.info(Ok(answer));
    rig.pass(MS * 200);
    assert_eq!(rig.batches(), [10, 3]);
    assert_eq!(rig.pulls[1].1["expires"], 1_000_000_000);
    assert_eq!(rig.pulls[1].1["idle_heartbeat"], 500_000_000);
}

#[test]
fn a_new_leader_is_asked_at_once() {
    let mut rig = Rig::running(config());
    for _ in 0..6 {
        rig.message(1);
    }
    rig.consumed(6, 6);
    assert_eq!(rig.batches(), [10, 6]);
    let old = rig.pulls[0].0;
    rig.status(409, "Leadership Change", None);
    rig.over();
    assert_eq!(rig.batches(), [10, 6, 10]);
    // The other request is over with it.
    rig.status_of(old, 409, "Leadership Change", None);
    assert_eq!(rig.batches(), [10, 6, 10]);
    assert_eq!(rig.take(), ["live ", "warning Leadership Change"]);
    rig.status(409, "Leadership Change", None);
    rig.over();
    assert_eq!(rig.batches(), [10, 6, 10], "again, so it waits");
    rig.pass(MS * 1000);
    assert_eq!(rig.batches(), [10, 6, 10, 10]);
}

#[test]
fn a_pin_is_sent_until_it_is_lost() {
    let group =
        Group { name: "g".into(), min_pending: None, min_ack_pending: None, priority: Some(0) };
    let mut rig = Rig::running(PullConfig { group: Some(group), ..config() });
    assert_eq!(rig.pulls[0].1["group"], "g");
    assert_eq!(rig.pulls[0].1["priority"], 0);
    assert_eq!(rig.pulls[0].1.get("id"), None);
    rig.run(|machine, now, out| machine.message(1, Some("pin"), now, out));
    rig.now += Duration::from_secs(4);
    rig.status(408, "Request Timeout", Some((9, 0)));
    assert_eq!(rig.pulls[1].1["id"], "pin");
    rig.status(423, "Nats-Pin-Id mismatch", None);
    assert_eq!(rig.pulls.len(), 3);
    assert_eq!(rig.pulls[2].1.get("id"), None);
}

/// A message brings the header along that it had when it was stored.
#[test]
fn no_pin_is_sent_to_a_consumer_that_has_none() {
    let group =
        Group { name: "g".into(), min_pending: Some(1), min_ack_pending: None, priority: None };
    let mut rig = Rig::new(PullConfig { group: Some(group), ..config() });
    let mut answer = info();
    answer["config"]["priority_policy"] = json!("overflow");
    rig.info(Ok(answer));
    rig.run(|machine, now, out| machine.message(1, Some("pin"), now, out));
    rig.now += Duration::from_secs(4);
    rig.status(408, "Request Timeout", Some((9, 0)));
    assert_eq!((rig.pulls.len(), rig.pulls[1].1.get("id")), (2, None));
}

#[test]
fn exactly_its_bytes_are_the_end_of_a_request_of_which_nothing_is_said() {
    let mut rig = Rig::running(PullConfig { max_bytes: Some(1000), ..config() });
    rig.message(600);
    rig.message(400);
    rig.consumed(2, 1000);
    assert_eq!(rig.batches(), [10, 10]);
    assert_eq!(rig.pulls[1].1["max_bytes"], 1000);
}

#[test]
fn bytes() {
    let mut rig = Rig::running(PullConfig { max_bytes: Some(1000), ..config() });
    assert_eq!(rig.pulls[0].1["max_bytes"], 1000);
    rig.message(600);
    rig.status(409, "Message Size Exceeds MaxBytes", Some((9, 400)));
    assert_eq!(rig.batches(), [10], "more than half is here");
    assert_eq!(rig.machine.waits_for().1, 101);
    rig.consumed(1, 600);
    assert_eq!(rig.batches(), [10, 10]);
    assert_eq!(rig.pulls[1].1["max_bytes"], 1000);
    // What is in the buffer leaves too little room for the next one.
    rig.message(400);
    rig.now += Duration::from_secs(4);
    rig.status(408, "Request Timeout", Some((9, 600)));
    assert_eq!(rig.pulls[2].1["max_bytes"], 600);
    rig.status(409, "Message Size Exceeds MaxBytes", Some((9, 600)));
    assert_eq!(rig.pulls.len(), 3);
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.pulls.len(), 3, "nothing has changed");
    rig.consumed(2, 1000);
    assert_eq!(rig.pulls[3].1["max_bytes"], 1000);
    rig.take();
    // It fits nowhere.
    rig.status(409, "Message Size Exceeds MaxBytes", Some((10, 1000)));
    let mut answer = info();
    answer["delivered"] = json!({"stream_seq": 2});
    rig.info(Ok(answer));
    assert_eq!(rig.take(), ["ask 3 >"]);
    let token = rig.asked.pop().expect("a question");
    rig.run(|machine, now, out| machine.next_message(token, Some((3, 2000)), now, out));
    let said = rig.take();
    assert!(
        said.len() == 1 && said[0].contains("message 3") && said[0].contains("2000"),
        "{said:?}"
    );
}
