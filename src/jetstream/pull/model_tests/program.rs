//! The client's side: what arrives, and the program that gets it.

use super::*;

impl World {
    pub(super) fn is_unreadable(&self, seq: u64) -> bool {
        self.unreadable.is_some_and(|part| seq.is_multiple_of(part))
    }

    /// What a search finds, of which the program gets each once, until it would come again.
    pub(super) fn find(&mut self) {
        let due = |(seq, _): &(&u64, &(u64, u64))| {
            let known = self.known.get(seq);
            self.is_unreadable(**seq) && known.is_none_or(|at| self.tick >= at + ACK_WAIT)
        };
        let found = self
            .pending
            .iter()
            .filter(due)
            .filter_map(|(seq, (_, count))| Some((*seq, *count, *self.stored.get(seq)?)));
        self.found = found.collect();
        let sizes = self.found.iter().map(|(_, _, size)| *size).collect();
        self.run(|machine, now, out| machine.found(sizes, now, out));
    }

    pub(super) fn receive(&mut self) {
        match self.wire.pop_front() {
            None => {}
            Some(Packet::Message { seq, .. }) if self.is_unreadable(seq) => self.disconnect(),
            Some(Packet::Found) => self.find(),
            Some(Packet::Message { seq, count, size }) => {
                let pin = self.config.group.as_ref().map(|_| self.pin.to_string());
                let fate =
                    self.run(|machine, now, out| machine.message(size, pin.as_deref(), now, out));
                match fate {
                    Fate::Deliver => {
                        assert!(self.seen.insert((seq, count)), "{seq} came twice");
                        self.accepted += 1;
                        self.buffer.push_back((seq, count, size));
                    }
                    Fate::GiveBack => self.pending.get_mut(&seq).expect("pending").0 = self.tick,
                }
            }
            Some(Packet::Status { incarnation, id, code, text, left }) => {
                let status = Status { code, description: text, left };
                self.run(|machine, now, out| machine.status(incarnation, id, status, now, out));
            }
            Some(Packet::Retired { token }) => {
                self.run(|machine, now, out| machine.retired(token, now, out));
            }
            Some(Packet::Info { token, answer }) => self.run(|machine, now, out| {
                machine.consumer_info(token, answer.as_ref(), now, out);
            }),
        }
    }

    /// The program deals with some, and acknowledges; what it has not got yet is kept alive.
    pub(super) fn consume(&mut self) {
        for _ in 0..self.random.below(4) {
            if self.paused {
                break;
            }
            let Some((seq, _, size)) = self.buffer.pop_front() else { break };
            if self.connected {
                self.stored.remove(&seq);
                self.pending.remove(&seq);
            }
            self.consumed.0 += 1;
            self.consumed.1 += size;
        }
        if self.connected {
            for (seq, _, _) in &self.buffer {
                if let Some((at, _)) = self.pending.get_mut(seq) {
                    *at = self.tick + ACK_WAIT;
                }
            }
        }
    }

    /// As the driver does it after each input.
    pub(super) fn settle_credit(&mut self) {
        let (messages, bytes) = self.consumed;
        let (least, least_bytes) = self.machine.waits_for();
        if messages >= least && bytes >= least_bytes {
            self.run(|machine, now, out| machine.consumed(messages, bytes, 0, now, out));
        }
    }
}
