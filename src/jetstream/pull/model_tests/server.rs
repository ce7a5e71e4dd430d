//! The consumer on the server, and what goes wrong on the way to it.

use super::*;

impl World {
    pub(super) fn pull(&mut self, id: u64, body: &str) {
        self.pulls += 1;
        assert!(self.connected, "a request without a connection");
        assert!(!self.paused && !self.ended, "nothing more was wanted");
        let incarnation = self.listening.expect("an inbox");
        let body: Value = serde_json::from_str(body).expect("JSON");
        let number = |name: &str| body.get(name).and_then(Value::as_u64);
        let pin = body.get("id").and_then(Value::as_str).map(str::to_owned);
        let status = |code, text, left| Packet::Status { incarnation, id, code, text, left };
        let refusal = match self.random.below(100) {
            _ if !self.exists => Some(status(503, "", None)),
            _ if pin.as_ref().is_some_and(|pin| *pin != self.pin.to_string()) => {
                Some(status(423, "Nats-Pin-Id mismatch", None))
            }
            _ if self.trouble == 0 => None,
            0 => Some(status(409, "Exceeded MaxWaiting", None)),
            1 => Some(status(409, "Exceeded MaxRequestBatch of 5", None)),
            2 => Some(status(503, "", None)),
            // Nobody says anything.
            3 => return,
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.refusals += 1;
            return self.wire.push_back(refusal);
        }
        let ticks = |ns: u64| ns / u64::try_from(TICK.as_nanos()).expect("small");
        self.requests.push_back(Request {
            incarnation,
            id,
            batch: number("batch").expect("a batch"),
            bytes: number("max_bytes"),
            end: self.tick + ticks(number("expires").expect("an end")),
            beat: ticks(number("idle_heartbeat").expect("a heartbeat")),
            pin,
        });
    }

    /// Everything that is owed or here, as the server and the program see it.
    pub(super) fn check_limits(&self) {
        let owed: u64 = self.requests.iter().map(|request| request.batch).sum();
        let on_wire = self.wire.iter().filter_map(|packet| match packet {
            Packet::Message { size, .. } => Some(*size),
            _ => None,
        });
        let (messages, bytes) = on_wire.fold((0, 0), |(n, bytes), size| (n + 1, bytes + size));
        let here = self.buffer.len() as u64;
        let outstanding = owed + messages + here;
        assert!(outstanding <= self.config.max_messages, "{owed} + {messages} + {here} messages");
        if let Some(most) = self.config.max_bytes {
            let owed: u64 = self.requests.iter().filter_map(|request| request.bytes).sum();
            let here: u64 = self.buffer.iter().map(|(_, _, size)| size).sum();
            assert!(owed + bytes + here <= most, "{owed} + {bytes} + {here} bytes");
        }
    }

    /// The server serves what it can.
    pub(super) fn serve(&mut self) {
        let due: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, (at, _))| *at <= self.tick)
            .map(|(seq, _)| *seq)
            .collect();
        for seq in due {
            if let Some((_, count)) = self.pending.remove(&seq) {
                self.due.push_back((seq, count));
            }
        }
        for _ in 0..self.random.below(6) {
            let Some((seq, count)) = self.due.front().copied() else { break };
            let Some(size) = self.stored.get(&seq).copied() else {
                self.due.pop_front();
                continue;
            };
            let Some(mut request) = self.requests.pop_front() else { break };
            let Request { incarnation, id, .. } = request;
            let status = |text, left| Packet::Status { incarnation, id, code: 409, text, left };
            if request.bytes.is_some_and(|room| room < size) {
                let left = Some((request.batch, request.bytes.unwrap_or(0)));
                self.wire.push_back(status("Message Size Exceeds MaxBytes", left));
                continue;
            }
            self.due.pop_front();
            self.pending.insert(seq, (self.tick + ACK_WAIT, count + 1));
            self.wire.push_back(Packet::Message { seq, count: count + 1, size });
            request.batch -= 1;
            request.bytes = request.bytes.map(|room| room - size);
            if request.batch > 0 && request.bytes != Some(0) {
                self.requests.push_back(request);
            } else if let Some(left) = request.bytes.filter(|left| *left > 0) {
                self.wire.push_back(status("Batch Completed", Some((0, left))));
            }
        }
        let tick = self.tick;
        let mut kept = VecDeque::new();
        for request in std::mem::take(&mut self.requests) {
            let Request { incarnation, id, .. } = request;
            if tick >= request.end {
                let left = Some((request.batch, request.bytes.unwrap_or(0)));
                let text = "Request Timeout";
                self.wire.push_back(Packet::Status { incarnation, id, code: 408, text, left });
                continue;
            }
            if tick.is_multiple_of(request.beat.max(1)) {
                let text = "Idle Heartbeat";
                self.wire.push_back(Packet::Status {
                    incarnation,
                    id,
                    code: 100,
                    text,
                    left: None,
                });
            }
            kept.push_back(request);
        }
        self.requests = kept;
    }

    pub(super) fn end_all(&mut self, code: u16, text: &'static str, says_left: bool) {
        for request in std::mem::take(&mut self.requests) {
            let Request { incarnation, id, batch, bytes, .. } = request;
            let left = says_left.then_some((batch, bytes.unwrap_or(0)));
            self.wire.push_back(Packet::Status { incarnation, id, code, text, left });
        }
    }

    pub(super) fn go_wrong(&mut self) {
        match self.random.below(9) {
            0 | 1 if self.connected => self.disconnect(),
            2 => self.end_all(409, "Leadership Change", false),
            3 => self.end_all(409, "Server Shutdown", true),
            // Nobody hears of that.
            4 => self.requests.clear(),
            5 => {
                self.pin += 1;
                let (right, wrong): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.requests)
                    .into_iter()
                    .partition(|request| request.pin.is_none());
                self.requests = wrong;
                self.end_all(423, "Nats-Wrong-Pin-Id", true);
                self.requests = right;
            }
            6 if self.config.waits => {
                self.exists = !self.exists;
                if !self.exists {
                    self.end_all(409, "Consumer Deleted", false);
                }
            }
            7 => {
                self.paused = !self.paused;
                match self.paused {
                    true => self.run(|machine, now, out| machine.pause(now, out)),
                    false => self.run(|machine, now, out| machine.resume(now, out)),
                }
            }
            _ => {}
        }
    }

    pub(super) fn disconnect(&mut self) {
        self.connected = false;
        // Questions are answered by their timeout.
        self.wire.retain(|packet| matches!(packet, Packet::Info { .. }));
        for packet in &mut self.wire {
            if let Packet::Info { answer, .. } = packet {
                *answer = Err(Error::new(Kind::Timeout, "lost"));
            }
        }
        if self.random.percent(50) {
            self.requests.clear();
        }
        self.run(|machine, now, out| machine.connection(ConnState::Disconnected, now, out));
    }

    pub(super) fn reconnect(&mut self) {
        self.connected = true;
        self.generation += 1;
        let state = ConnState::Connected(self.generation);
        self.run(|machine, now, out| machine.connection(state, now, out));
    }

    pub(super) fn store(&mut self, count: u64) {
        for _ in 0..count {
            self.last += 1;
            let size = 1 + self.random.below(100);
            self.stored.insert(self.last, size);
            self.due.push_back((self.last, 0));
        }
    }
}
