//! Messages that the engine cannot read.

use super::*;

/// The connection goes and comes back, and the consumer has to be made again.
fn lose_connection(rig: &mut Rig, generation: u64) {
    rig.run(|m, now, out| m.connection(ConnState::Disconnected, now, out));
    rig.run(|m, now, out| m.connection(ConnState::Connected(generation), now, out));
    let (token, _) = rig.asked.pop().expect("a question about the consumer");
    let error = Error::new(Kind::ConsumerNotFound, "consumer not found");
    rig.run(|m, now, out| m.consumer_info(token, Err(&error), now, out));
    let (token, _) = rig.asked.pop().expect("a question about the stream");
    let info = json!({"created": "2026-01-01T00:00:00Z", "state": {"last_seq": 9}});
    rig.run(|m, now, out| m.stream_info(token, Ok(&info), now, out));
}

fn stored(seq: u64) -> StoredMessage {
    let (subject, time) = ("s".to_owned(), "2026-01-01T00:00:00Z".to_owned());
    StoredMessage { subject, seq, time, data: Vec::new(), headers: Vec::new() }
}

#[test]
fn a_message_that_breaks_connections_is_read_in_another_way_and_passed() {
    let mut rig = Rig::live(spec(DeliverPolicy::All, Resume::BySequence), 3);
    for generation in 2..=3 {
        lose_connection(&mut rig, generation);
        assert!(rig.take().contains(&"create by_start_sequence 4".to_owned()), "patience");
        rig.created(3, 6);
    }
    lose_connection(&mut rig, 4);
    assert!(rig.take().contains(&"ask STREAM.MSG.GET.S".to_owned()));
    let (token, _) = rig.asked.pop().expect("a question about the message");
    rig.run(|m, now, out| m.next_message(token, Ok(&stored(5)), now, out));
    rig.expect(&["deliver stored", "create by_start_sequence 6"]);
    // A late answer changes nothing.
    rig.run(|m, now, out| m.next_message(token, Ok(&stored(7)), now, out));
    rig.expect(&[]);
    rig.created(5, 4);
    rig.message(6, 1, 3);
    assert!(rig.take().contains(&"deliver".to_owned()));
}

#[test]
fn losses_without_a_bad_message_cost_one_question() {
    let mut rig = Rig::live(spec(DeliverPolicy::All, Resume::BySequence), 3);
    for generation in 2..=3 {
        lose_connection(&mut rig, generation);
        rig.created(3, 0);
    }
    lose_connection(&mut rig, 4);
    rig.take();
    let (token, _) = rig.asked.pop().expect("a question about the message");
    let error = Error::new(Kind::MsgNotFound, "no message found");
    rig.run(|m, now, out| m.next_message(token, Err(&error), now, out));
    rig.expect(&["create by_start_sequence 4"]);
    rig.created(3, 0);
    lose_connection(&mut rig, 5);
    assert!(rig.take().contains(&"create by_start_sequence 4".to_owned()), "counted anew");
}
