//! Flow control that does not reach the server.

use super::*;

const WITHOUT: &str = "ErrPermissions reset with opt_start_seq = 4 and without flow control: \
                       publishing to $JS.FC.>: ";

impl Rig {
    fn refuse(&mut self, reason: Kind) {
        let incarnation = self.incarnation;
        self.run(|machine, now, out| machine.answer_refused(incarnation, reason, now, out));
    }

    fn limit(&self) -> Value {
        assert!(self.request.get("flow_control").is_none(), "{}", self.request);
        self.request["max_ack_pending"].clone()
    }

    fn answer_history(&mut self, history: u64) {
        self.answer(Ok(json!({"created": OLD, "state": {"last_seq": 1 << 20},
            "config": {"max_msgs_per_subject": history}})));
    }
}

/// Three messages of a MB each have come, and the server has been answered.
fn stalled(spec: OrderedConfig) -> Rig {
    let mut rig = Rig::new(spec);
    rig.size = 1 << 20;
    rig.created(0, 100);
    for seq in 1..=3 {
        rig.message(seq, seq, 100 - seq);
    }
    rig.flow_control("fc.1");
    rig.consumed(3);
    rig.take();
    rig
}

#[test]
fn a_refused_answer_is_known_at_once() {
    let mut rig = stalled(all());
    rig.refuse(Kind::Permissions);
    let text = format!("{WITHOUT}it is not permitted");
    rig.expect(&[&text, "ask STREAM.INFO.S", "Resuming"]);
    assert_eq!(rig.discarded, ["C1"]);
    rig.answer_history(64);
    rig.expect(&["create by_start_sequence 4"]);
    assert_eq!(rig.limit(), json!(16));
    // Nobody listens: is the consumer still there?
    let mut rig = stalled(all());
    rig.refuse(Kind::NoResponders);
    rig.expect(&["ask CONSUMER.INFO.S.C1"]);
    let info = rig.info(3, 3, 97);
    rig.answer(Ok(info));
    assert!(rig.take()[0].starts_with(&format!("{WITHOUT}nobody listens")));
    // The same if that is heard before the reply to the creation.
    let mut rig = Rig::new(all());
    rig.message(1, 1, 99);
    rig.flow_control("fc.1");
    rig.consumed(1);
    rig.refuse(Kind::NoResponders);
    rig.take();
    rig.created(0, 100);
    rig.expect(&["created", "ask CONSUMER.INFO.S.C1"]);
    let mut rig = stalled(all());
    rig.refuse(Kind::NoResponders);
    rig.answer(Err(error(Kind::ConsumerNotFound)));
    assert!(rig.take()[1].starts_with("ErrConsumerNotActive"));
}

#[test]
fn an_answer_without_effect_is_found_out() {
    // During a snapshot, by questions.
    let mut rig = stalled(all());
    for _ in 0..2 {
        rig.pass(1000);
        rig.heartbeat(Some(3), None);
        while !rig.asked.is_empty() {
            let info = rig.info(3, 3, 97);
            rig.answer(Ok(info));
        }
    }
    assert!(rig.take().contains(&format!("{WITHOUT}it has no effect")));
    // Later on, by heartbeats.
    let mut rig = stalled(all());
    for _ in 0..2 {
        rig.heartbeat(Some(3), Some("fc.1"));
    }
    assert!(rig.take().contains(&format!("{WITHOUT}it has no effect")));
}

#[test]
fn one_window_after_the_other() {
    let mut rig = stalled(all());
    rig.refuse(Kind::Permissions);
    rig.answer_history(64);
    rig.created(3, 97);
    rig.take();
    for seq in 1..=16 {
        rig.message(3 + seq, seq, 97 - seq);
    }
    assert_eq!(rig.take().last().map(String::as_str), Some("count"));
    assert!(!rig.subscribed && rig.machine.owes());
    assert_eq!(rig.discarded, ["C1", "C2"]);
    // What came before this window was consumed, so the next one may come.
    rig.consumed(3);
    rig.expect(&["create by_start_sequence 20", "Resuming"]);
    rig.created(19, 81);
    for seq in 1..=16 {
        rig.message(19 + seq, seq, 81 - seq);
    }
    rig.take();
    rig.consumed(18);
    rig.pass(60_000);
    rig.expect(&[]);
    rig.consumed(19);
    rig.expect(&["create by_start_sequence 36", "Resuming"]);
}

#[test]
fn large_messages_after_small_ones_end_a_window_early() {
    let mut rig = stalled(all());
    rig.size = 10;
    rig.refuse(Kind::Permissions);
    rig.answer_history(64);
    rig.created(3, 97);
    rig.size = 9 << 20;
    rig.message(4, 1, 96);
    assert!(rig.subscribed);
    rig.message(5, 2, 95);
    assert!(!rig.subscribed);
}

#[test]
fn a_snapshot_goes_on_in_the_middle_if_there_is_no_history() {
    for (history, asked, limit) in
        [(1, "create by_start_sequence 4", 16), (5, "create last_per_subject", 19)]
    {
        let mut rig = stalled(watch());
        rig.refuse(Kind::Permissions);
        rig.take();
        rig.answer_history(history);
        rig.expect(&[asked]);
        assert_eq!(rig.limit(), json!(limit));
    }
}

#[test]
fn the_connection_while_a_window_is_full() {
    let mut rig = stalled(all());
    rig.refuse(Kind::Permissions);
    rig.answer_history(64);
    rig.created(3, 97);
    for seq in 1..=16 {
        rig.message(3 + seq, seq, 97 - seq);
    }
    rig.take();
    rig.connection(ConnState::Disconnected);
    rig.expect(&["Stale"]);
    rig.pass(60_000);
    rig.connection(ConnState::Connected(2));
    rig.expect(&["Initial"]);
    rig.consumed(19);
    rig.expect(&["ask STREAM.INFO.S", "Resuming"]);
    rig.connection(ConnState::Closed);
    assert!(rig.take().contains(&"ErrConnectionClosed stopped".to_owned()));
}
