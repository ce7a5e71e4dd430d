//! The server: consumers, answers to requests, and what it sends, some of which is lost.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::{Consumer, Packet, World};
use crate::error::{Error, Kind};

impl World {
    pub(super) fn arrives(&mut self) -> bool {
        self.connected && !self.random.percent(self.loss)
    }

    /// The answer to a request that may get lost.
    pub(super) fn request<T>(&mut self, reply: T) -> Result<T, Error> {
        if self.arrives() { Ok(reply) } else { Err(Error::new(Kind::Timeout, "lost")) }
    }

    pub(super) fn create(&mut self, incarnation: u64, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        let config = &body["config"];
        // The first creation is allowed to fail, but that is not what is tested here.
        if self.started && !self.arrives() {
            let answer = Err(Error::new(Kind::Timeout, "lost"));
            self.wire.push_back(Packet::CreateReply { incarnation, answer });
            return;
        }
        let created = self.made_at();
        let mut snapshot = VecDeque::new();
        let next = match config["deliver_policy"].as_str().expect("a policy") {
            "all" => 1,
            "new" => {
                self.new_from = self.last_seq;
                self.last_seq + 1
            }
            // Such a server waits for it.
            "by_start_sequence" if self.replica.is_some() => {
                config["opt_start_seq"].as_u64().expect("a start")
            }
            "by_start_sequence" => {
                config["opt_start_seq"].as_u64().expect("a start").min(self.last_seq + 1)
            }
            // With one revision of each key there is no need for a list.
            "last_per_subject" if !self.history => 1,
            "last_per_subject" => {
                let mut latest = BTreeMap::new();
                for (seq, key) in self.stream.range(..=self.served()) {
                    latest.insert(*key, *seq);
                }
                let mut latest: Vec<_> = latest.into_values().collect();
                latest.sort_unstable();
                snapshot.extend(latest);
                self.served() + 1
            }
            other => panic!("policy {other}"),
        };
        let first = snapshot.front().copied().unwrap_or(next);
        let consumer = Consumer {
            incarnation,
            snapshot,
            next,
            counted: self.served(),
            sent: 0,
            unanswered: 0,
            flow: None,
            window: config.get("max_ack_pending").and_then(Value::as_u64),
            quiet_ticks: 0,
        };
        let pending = self.pending(&consumer);
        self.consumer = Some(consumer);
        let info = json!({"name": format!("C{incarnation}"), "num_pending": pending,
            "created": created,
            "delivered": {"consumer_seq": 0, "stream_seq": first - 1}});
        let answer = if self.started { self.request(info) } else { Ok(info) };
        // Some messages may come before the reply.
        for _ in 0..self.random.below(4) {
            self.serve();
        }
        self.wire.push_back(Packet::CreateReply { incarnation, answer });
    }

    pub(super) fn pending(&self, consumer: &Consumer) -> u64 {
        let snapshot = consumer.snapshot.iter().filter(|seq| self.stream.contains_key(seq)).count();
        let known = self.signalled.max(consumer.counted).min(self.served());
        let behind = self.stream.range(consumer.next..).filter(|(seq, _)| **seq <= known).count();
        u64::try_from(snapshot + behind).expect("small")
    }

    pub(super) fn consumer_info(&mut self, token: u64) {
        let answer = self.present_info();
        self.wire.push_back(Packet::ConsumerInfo { token, answer });
    }

    pub(super) fn present_info(&mut self) -> Result<Value, Error> {
        let tells = self.replica.is_some() && self.random.percent(50);
        let info = self.consumer.as_ref().map(|consumer| {
            let nothing = consumer.snapshot.is_empty()
                && self.served() >= consumer.next
                && self.stream.range(consumer.next..=self.served()).next().is_none();
            // It has come to the end of what it knows.
            let come_to = if tells && nothing { self.served() } else { 0 };
            json!({"name": format!("C{}", consumer.incarnation),
                "num_pending": self.pending(consumer),
                "delivered": {"consumer_seq": consumer.sent, "stream_seq": come_to}})
        });
        match info {
            Some(info) => self.request(info),
            None => Err(Error::new(Kind::ConsumerNotFound, "gone")),
        }
    }

    /// The server sends one thing, if it may.
    pub(super) fn serve(&mut self) {
        let Some(mut consumer) = self.consumer.take() else { return };
        let gone = self.subscribed != Some(consumer.incarnation);
        if gone || !self.connected {
            consumer.quiet_ticks += 1;
            // The inactive threshold, 2 s.
            if consumer.quiet_ticks < 40 {
                self.consumer = Some(consumer);
            }
            return;
        }
        consumer.quiet_ticks = 0;
        let incarnation = consumer.incarnation;
        let may = match consumer.window {
            Some(window) => consumer.sent < window,
            None => consumer.unanswered < 10,
        };
        if may {
            while consumer.snapshot.front().is_some_and(|seq| !self.stream.contains_key(seq)) {
                consumer.snapshot.pop_front();
            }
            let seq = match consumer.snapshot.pop_front() {
                Some(seq) => Some(seq),
                None => self.stream.range(consumer.next..).next().map(|(seq, _)| *seq),
            };
            let seq = match seq {
                Some(seq) if seq > self.served() => None,
                seq => seq,
            };
            if let Some(stream_seq) = seq {
                consumer.next = consumer.next.max(stream_seq + 1);
                consumer.sent += 1;
                consumer.unanswered += 1;
                let pending = self.pending(&consumer);
                let consumer_seq = consumer.sent;
                self.send(Packet::Message { incarnation, stream_seq, consumer_seq, pending });
                let flow_control = consumer.window.is_none() && consumer.unanswered == 5;
                if flow_control && consumer.flow.is_none() {
                    let reply = format!("fc.{incarnation}.{consumer_seq}");
                    consumer.flow = Some(reply.clone());
                    self.send(Packet::FlowControl { incarnation, reply });
                }
            }
        }
        self.consumer = Some(consumer);
    }

    pub(super) fn heartbeat(&mut self) {
        let Some(consumer) = &self.consumer else { return };
        if self.subscribed == Some(consumer.incarnation) && self.connected {
            let stalled = consumer.flow.clone().filter(|_| consumer.unanswered >= 10);
            let (incarnation, last) = (consumer.incarnation, consumer.sent);
            // What is in a snapshot is not counted.
            let come_to = consumer.next - 1;
            self.send(Packet::Heartbeat { incarnation, last, come_to, stalled });
        }
    }

    pub(super) fn send(&mut self, packet: Packet) {
        if self.arrives() {
            self.wire.push_back(packet);
        }
    }
}
