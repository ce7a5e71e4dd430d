//! Consumers have names, and are deleted when they are not needed any more.

use super::*;

fn named() -> OrderedConfig {
    let mut spec = all();
    spec.config.name_prefix = Some("p".into());
    spec
}

impl Rig {
    /// The reply to a create request that has named the consumer.
    fn created_as(&mut self, name: &str) {
        let (incarnation, mut info) = (self.incarnation, self.info(0, 0, 0));
        info["name"] = json!(name);
        self.run(|machine, now, out| machine.create_reply(incarnation, &info, now, out));
    }
}

#[test]
fn the_predecessor_goes_before_the_next_one_is_made() {
    let mut rig = Rig::live(all(), 3);
    rig.message(9, 9, 0);
    assert_eq!(rig.discarded, ["C1"]);
    // Its reply got lost, and the name is known.
    let mut rig = Rig::new(named());
    assert_eq!(rig.named, (Some("p__INBOX.1".into()), Some("s.>".into())));
    rig.created_as("p__INBOX.1");
    rig.heartbeat(Some(9), None);
    rig.create_failed(error(Kind::Timeout));
    assert_eq!(rig.discarded, ["p__INBOX.1", "p__INBOX.2"]);
    // Nothing was made.
    rig.pass(1500);
    rig.create_failed(Error { api: Some((400, 10026)), ..error(Kind::JsResponse) });
    assert_eq!(rig.discarded.len(), 2);
}

#[test]
fn a_stopped_consumer_is_deleted() {
    let mut rig = Rig::live(all(), 3);
    rig.run(|machine, _, out| machine.stop(out));
    assert_eq!(rig.discarded, ["C1"]);
    // Before the reply has come.
    let mut rig = Rig::new(named());
    rig.run(|machine, _, out| machine.stop(out));
    assert_eq!(rig.discarded, ["p__INBOX.1"]);
}

#[test]
fn without_a_connection_it_is_deleted_later() {
    let mut rig = Rig::live(all(), 3);
    rig.connection(ConnState::Disconnected);
    rig.pass(1500);
    assert!(rig.discarded.is_empty());
    rig.connection(ConnState::Connected(2));
    assert_eq!(rig.discarded, ["C1"]);
    // A request that went with the connection may have got through.
    let mut rig = Rig::new(named());
    rig.connection(ConnState::Disconnected);
    rig.connection(ConnState::Connected(2));
    assert_eq!(rig.discarded, ["p__INBOX.1"]);
    assert_eq!(rig.named.0.as_deref(), Some("p__INBOX.2"));
}

#[test]
fn a_limit_that_others_have_just_left_is_waited_for() {
    let full = Error { api: Some((400, 10026)), ..error(Kind::JsResponse) };
    let left = || Surroundings {
        just_discarded: Box::new(|| true),
        ..surroundings(ConnState::Connected(1))
    };
    let mut rig = Rig::with(all(), left());
    let mut attempts = 0;
    for _ in 0..100 {
        if rig.subscribed {
            attempts += 1;
            rig.create_failed(full.clone());
        }
        rig.pass(10);
    }
    assert!((3..10).contains(&attempts), "{attempts}");
    rig.pass(1500);
    assert_eq!(rig.timeout, Some(Duration::ZERO));
    rig.create_failed(full.clone());
    assert_eq!(rig.take().last().map(String::as_str), Some("failed JsResponse"));
    // Nobody hears of it.
    let mut rig = Rig::with(all(), left());
    rig.created(0, 0);
    rig.message(9, 9, 0);
    rig.take();
    rig.create_failed(full);
    rig.pass(200);
    rig.expect(&["create by_start_sequence 1"]);
}

#[test]
fn who_may_not_ask_by_name_asks_without() {
    for kind in [Kind::Permissions, Kind::JetStreamNotEnabled] {
        let mut rig = Rig::new(named());
        rig.create_failed(error(kind));
        assert_eq!(rig.named, (None, None));
        assert!(rig.discarded.is_empty());
        rig.created(0, 0);
        rig.expect(&["create all", "Initial", "create all", "created", "ask STREAM.INFO.S"]);
        // And goes on like that.
        rig.message(9, 9, 0);
        assert_eq!(rig.named, (None, None));
        // It was not the name.
        let mut rig = Rig::new(named());
        rig.create_failed(error(kind));
        rig.create_failed(error(Kind::Timeout));
        assert_eq!(rig.take().last(), Some(&format!("failed {kind:?}")));
    }
    let mut rig = Rig::new(named());
    rig.create_failed(error(Kind::StreamNotFound));
    assert_eq!(rig.take().last().map(String::as_str), Some("failed StreamNotFound"));
}
