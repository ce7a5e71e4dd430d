//! From step to step: connections that come and go, what is written meanwhile, and a slow program.

use super::{Packet, TICK, World};
use crate::error::{Error, Kind};
use crate::transport::ConnState;

impl World {
    pub(super) fn set_connected(&mut self, connected: bool) {
        if connected == self.connected {
            return;
        }
        self.connected = connected;
        if connected {
            self.generation += 1;
            let connection = ConnState::Connected(self.generation);
            self.run(|machine, now, out| machine.connection(connection, now, out));
        } else {
            // Replies that are on their way are lost as well.
            for packet in &mut self.wire {
                match packet {
                    Packet::CreateReply { answer, .. }
                    | Packet::ConsumerInfo { answer, .. }
                    | Packet::StreamInfo { answer, .. } => {
                        *answer = Err(Error::new(Kind::Timeout, "lost"));
                    }
                    Packet::NextMessage { answer, .. } => {
                        *answer = Err(Error::new(Kind::Timeout, "lost"));
                    }
                    _ => {}
                }
            }
            let started = self.started;
            self.wire.retain(|packet| match packet {
                Packet::Message { .. }
                | Packet::Heartbeat { .. }
                | Packet::FlowControl { .. }
                | Packet::Roll { .. } => false,
                Packet::CreateReply { .. } => started,
                Packet::ConsumerInfo { .. }
                | Packet::StreamInfo { .. }
                | Packet::NextMessage { .. } => true,
            });
            self.run(|machine, now, out| machine.connection(ConnState::Disconnected, now, out));
        }
    }

    pub(super) fn step(&mut self, turbulent: bool) {
        self.now += TICK;
        if let Some(at) = self.timer
            && at <= self.now
        {
            self.timer = None;
            self.run(|machine, now, out| machine.tick(now, out));
        }
        if turbulent {
            match self.random.below(40) {
                0..4 => self.write(),
                4 => {
                    let seq = self.random.below(self.last_seq) + 1;
                    self.delete(seq);
                }
                5 if self.random.percent(20) => self.consumer = None,
                6 if self.random.percent(20) => self.set_connected(false),
                7..10 => self.set_connected(true),
                _ => {}
            }
        }
        if let Some(replica) = self.replica
            && self.random.percent(10)
        {
            self.replica = Some(self.last_seq.min(replica + 1 + self.random.below(3)));
        }
        if self.random.percent(50) {
            self.signalled = self.last_seq;
        }
        for _ in 0..self.random.below(4) {
            self.serve();
        }
        self.ticks += 1;
        if self.ticks.is_multiple_of(10) {
            self.heartbeat();
        }
        for _ in 0..self.random.below(6) {
            self.receive();
        }
        let delivered = u64::try_from(self.delivered.len()).expect("small");
        if self.random.percent(60) {
            self.consumed += self.random.below(delivered - self.consumed + 1);
            let total = self.consumed;
            self.run(|machine, now, out| machine.consumed(total, now, out));
        }
    }

    /// The weather clears up; everything has to arrive now.
    pub(super) fn calm_down(&mut self) {
        self.loss = 0;
        self.set_connected(true);
        for _ in 0..4000 {
            self.step(false);
        }
        let total = u64::try_from(self.delivered.len()).expect("small");
        self.run(|machine, now, out| machine.consumed(total, now, out));
        for _ in 0..400 {
            self.step(false);
        }
    }
}
