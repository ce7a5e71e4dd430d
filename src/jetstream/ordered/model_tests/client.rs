//! The machine: its inputs, what it asks for, and what it must have delivered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::{Consumer, Packet, World, subject};
use crate::error::{Error, Kind};
use crate::jetstream::metadata::Metadata;
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::jetstream::ordered::machine::{Action, Machine};
use crate::jetstream::roll::{Roll, mark};
use crate::jetstream::stored::StoredMessage;

impl World {
    pub(super) fn run(&mut self, input: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>)) {
        self.run_with(None, input);
    }

    /// Feeds an input, that of a message with its sequence, and does what is asked.
    pub(super) fn run_with(
        &mut self,
        message: Option<u64>,
        input: impl FnOnce(&mut Machine, Instant, &mut Vec<Action>),
    ) {
        let mut out = Vec::new();
        input(&mut self.machine, self.now, &mut out);
        for action in out {
            match action {
                Action::Subscribe { incarnation, .. } => self.subscribed = Some(incarnation),
                Action::Unsubscribe => {
                    self.subscribed = None;
                    self.kept_back.clear();
                }
                Action::Discard { consumer } => {
                    let present = |c: &mut Consumer| format!("C{}", c.incarnation) == consumer;
                    if self.arrives() {
                        self.consumer.take_if(present);
                    }
                }
                Action::Create { incarnation, request, .. } => {
                    self.create(incarnation, &request.body)
                }
                Action::AskCreated { incarnation, .. } => {
                    let answer = self.present_info();
                    self.wire.push_back(Packet::CreateReply { incarnation, answer });
                }
                Action::AskConsumer { token, .. } => self.consumer_info(token),
                Action::AskStream { token, .. } => {
                    let last = self.stored[&self.last_seq];
                    let info = json!({"created": "2026-01-01T00:00:00Z",
                        "state": {"last_seq": self.last_seq,
                            "last_ts": format!("2026-01-01T00:00:00.{last:09}Z")}});
                    let answer = self.request(info);
                    self.wire.push_back(Packet::StreamInfo { token, answer });
                }
                Action::AskMessage { token, seq, .. } => {
                    let found = self.stream.range(seq..).next().map(|(seq, _)| *seq);
                    let found = found.ok_or_else(|| Error::new(Kind::MsgNotFound, "none"));
                    self.waited += usize::from(self.replica.is_some() && found.is_ok());
                    let answer = self.request(found).and_then(|found| found);
                    self.wire.push_back(Packet::NextMessage { token, answer });
                }
                Action::Repeated => {}
                Action::CallRoll { token, report, .. } => {
                    assert!(!report, "nobody wants to know");
                    let roll = Roll {
                        marks: self.stream.values().map(|key| mark(&subject(*key))).collect(),
                        first_seq: self.stream.keys().next().copied().unwrap_or(1),
                        last_seq: self.last_seq,
                        fresh: self.replica.is_none(),
                    };
                    let answer = self.request(Arc::new(roll));
                    self.rolls += 1;
                    self.roll_failed |= answer.is_err();
                    self.wire.push_back(Packet::Roll { token, answer });
                }
                Action::RollCalled => panic!("nobody wants to know"),
                Action::Count => {}
                Action::Publish { subject, .. } => {
                    if self.arrives()
                        && let Some(consumer) = &mut self.consumer
                        && consumer.flow.as_deref() == Some(&subject)
                    {
                        consumer.flow = None;
                        consumer.unanswered = 0;
                    }
                }
                Action::Deliver | Action::DeliverStored => {
                    self.delivered.push(message.expect("a message at hand"))
                }
                Action::EndOfData => {
                    self.ends += 1;
                    self.check_initial();
                }
                Action::Created => self.started = true,
                Action::Failed(error) => {
                    assert!(error.kind == Kind::Timeout && self.machine.is_stopped(), "{error}");
                    self.failed = true;
                }
                Action::LastError(kind, _) => self.errors.push(kind),
                Action::State(state) => {
                    assert_ne!(self.state.replace(state), Some(state), "state repeated");
                }
                Action::SetTimer(at) => self.timer = Some(at),
            }
        }
    }

    /// The initial data is over.
    pub(super) fn check_initial(&self) {
        // What was passed over behind the last message is noticed by a heartbeat, perhaps after the end.
        if self.policy == DeliverPolicy::New || self.roll_failed || self.moves {
            return;
        }
        let keys: BTreeSet<u64> = self.delivered.iter().map(|seq| self.written[seq]).collect();
        let missing: Vec<_> = self.keys_before.difference(&keys).collect();
        assert!(missing.is_empty(), "{missing:?} are missing at the end, {:?}", self.policy);
        let is_there = |(key, latest): &(&u64, &u64)| {
            self.delivered.iter().any(|seq| self.written[seq] == **key && seq >= latest)
        };
        let kept = self.latest_before.iter().filter(|(key, _)| self.keys_before.contains(key));
        let stale: Vec<_> = kept.filter(|kept| !is_there(kept)).collect();
        assert!(stale.is_empty(), "{stale:?} are too old at the end, seed {}", self.seed);
        if self.policy == DeliverPolicy::All {
            let delivered: BTreeSet<u64> = self.delivered.iter().copied().collect();
            let missing: Vec<_> = self.revisions_before.difference(&delivered).collect();
            assert!(missing.is_empty(), "revisions {missing:?} are missing at the end");
        }
    }

    pub(super) fn receive(&mut self) {
        let Some(packet) = self.wire.pop_front() else { return };
        let of_consumer = matches!(
            packet,
            Packet::Message { .. } | Packet::Heartbeat { .. } | Packet::FlowControl { .. }
        );
        if of_consumer && self.machine.keeps_back() {
            self.kept_back.push_back(packet);
        } else if of_consumer {
            self.take(packet);
        } else {
            self.hand_over(packet);
            while !self.machine.keeps_back()
                && let Some(packet) = self.kept_back.pop_front()
            {
                self.take(packet);
            }
        }
    }

    fn take(&mut self, packet: Packet) {
        self.hand_over(packet.clone());
        if self.machine.keeps_back() {
            self.kept_back.push_front(packet);
        }
    }

    fn hand_over(&mut self, packet: Packet) {
        match packet {
            Packet::Message { incarnation, stream_seq, consumer_seq, pending } => {
                // 2026-01-01
                let timestamp_ns = 1_767_225_600_000_000_000 + self.stored[&stream_seq];
                let subject = subject(self.written[&stream_seq]);
                let meta = Metadata {
                    stream: "S",
                    consumer: &format!("C{incarnation}"),
                    delivered: 1,
                    stream_seq,
                    consumer_seq,
                    timestamp_ns,
                    domain: "",
                    pending,
                };
                self.run_with(Some(stream_seq), |machine, now, out| {
                    machine.message(incarnation, &subject, &meta, 1 << 20, now, out);
                });
            }
            Packet::Heartbeat { incarnation, last, come_to, stalled } => {
                let (last, come_to) = (Some(last), Some(come_to));
                self.run(|machine, now, out| {
                    machine.heartbeat(incarnation, last, come_to, stalled.as_deref(), now, out);
                });
            }
            Packet::FlowControl { incarnation, reply } => {
                self.run(|machine, now, out| machine.flow_control(incarnation, &reply, now, out));
            }
            Packet::CreateReply { incarnation, answer } => {
                self.run(|machine, now, out| match answer {
                    Ok(info) => machine.create_reply(incarnation, &info, now, out),
                    Err(error) => machine.create_failed(incarnation, error, now, out),
                })
            }
            Packet::ConsumerInfo { token, answer } => self.run(|machine, now, out| {
                machine.consumer_info(token, answer.as_ref(), now, out);
            }),
            Packet::StreamInfo { token, answer } => self.run(|machine, now, out| {
                machine.stream_info(token, answer.as_ref(), now, out);
            }),
            Packet::Roll { token, answer } => self.run(|machine, now, out| {
                machine.roll_called(token, answer.as_deref(), now, out);
            }),
            Packet::NextMessage { token, answer } => {
                let at_hand = answer.as_ref().ok().copied();
                let answer = answer.map(|seq| {
                    let time = format!("2026-01-01T00:00:00.{:09}Z", self.stored[&seq]);
                    let subject = subject(self.written[&seq]);
                    StoredMessage { subject, seq, time, data: Vec::new(), headers: Vec::new() }
                });
                self.run_with(at_hand, |machine, now, out| {
                    machine.next_message(token, answer.as_ref(), now, out);
                });
            }
        }
    }
}
