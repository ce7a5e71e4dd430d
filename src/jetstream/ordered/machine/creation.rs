//! Making the consumer.

use std::time::Instant;

use serde_json::Value;

use super::probe::Delivered;
use super::resume::{SHORTEST_PATIENCE, SHORTEST_PAUSE};
use super::standstill::Standstill;
use super::watchdog::QUIET;
use super::{Action, Machine, Phase, created};
use crate::error::{Error, Kind};
use crate::jetstream::api::{Op, request_error};
use crate::jetstream::ordered::Resume;
use crate::jetstream::ordered::create::DeliverPolicy;
use crate::transport::RequestError;

impl Machine {
    /// Listens before it asks: messages may be faster than the reply.
    pub(super) fn create(&mut self, now: Instant, out: &mut Vec<Action>) {
        let snapshot = self.spec.resume == Resume::SnapshotThenSequence
            && self.spec.policy == DeliverPolicy::LastPerSubject
            && self.catching_up
            && !self.goes_on_by_sequence()
            && !self.unreadable.has_passed();
        let begun = !self.first || self.stream_seq > 0;
        self.asked_from = (begun && !snapshot).then_some(self.stream_seq + 1);
        self.repeating = begun && snapshot;
        self.repetitions += u32::from(self.repeating);
        self.sent = self.connected;
        self.incarnation += 1;
        self.listening = true;
        self.consumer_seq = 0;
        self.received = 0;
        self.expected = None;
        self.list_end = None;
        self.initial.begin();
        self.standstill = Standstill::NotAsked;
        self.gap = false;
        self.windows.forget_answers();
        self.seen.clear();
        self.phase = Phase::Creating;
        let inbox = (self.around.new_inbox)();
        self.form.window = self.next_window();
        let (config, form) = (&self.spec.config, self.form);
        let request = match self.asked_from {
            Some(from) => {
                config.create_request(&DeliverPolicy::ByStartSequence(from), &inbox, form)
            }
            None => config.create_request(&self.spec.policy, &inbox, form),
        };
        self.asked_name.clone_from(&request.name);
        let incarnation = self.incarnation;
        out.push(Action::Subscribe { incarnation, inbox });
        let timeout = match self.deadline {
            _ if !self.first => Some(self.next_patience()),
            Some(deadline) => Some(deadline.saturating_duration_since(now)),
            None => None,
        };
        out.push(Action::Create { incarnation, request, timeout });
    }

    pub(super) fn timed_out(&self) -> Error {
        let op = Op::ConsumerCreate { stream: self.stream(), name: None, filter: None };
        request_error(&op.subject(&self.around.api_prefix), RequestError::Timeout)
    }

    /// The reply to the create request, times not converted.
    pub fn create_reply(
        &mut self,
        incarnation: u64,
        info: &Value,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !self.is_creating(incarnation) {
            return;
        }
        let Some(name) = info.get("name").and_then(Value::as_str).filter(|name| !name.is_empty())
        else {
            let error = Error::new(Kind::Protocol, "Consumer without a name");
            return self.create_failed(incarnation, error, now, out);
        };
        let delivered = Delivered::of(info);
        self.name = name.to_owned();
        self.phase = Phase::Running;
        self.last_traffic = now;
        self.quiet_since = now;
        self.quiet_pause = QUIET;
        self.pause = SHORTEST_PAUSE;
        self.patience = SHORTEST_PATIENCE;
        self.reported = None;
        self.refused = None;
        self.stream_seen = now;
        self.check_stream = false;
        self.consumer_created = created(info);
        self.leaps.made(info);
        let expected = delivered.consumer_seq + delivered.pending;
        self.expected = Some(expected);
        let untouched = self.consumer_seq == 0 && delivered.consumer_seq == 0;
        match self.asked_from {
            // The server begins behind the end of the stream when asked for more.
            Some(from) if untouched && delivered.stream_seq + 1 < from => {
                return self.recreated(now, out);
            }
            Some(_) if untouched => self.stream_seq = self.stream_seq.max(delivered.stream_seq),
            // The first consumer tells where the stream is before it says anything.
            None if self.first && self.consumer_seq == 0 => {
                let before = delivered.stream_seq.saturating_sub(delivered.consumer_seq);
                self.stream_seq = self.stream_seq.max(before);
            }
            _ => {}
        }
        self.first = false;
        out.push(Action::Created);
        if self.catching_up {
            if self.spec.policy == DeliverPolicy::New {
                self.finish_initial(out);
            }
            self.initial.counted(info, &delivered);
            self.seek_end(false, now, out);
        }
        if self.gap {
            return self.reset(Kind::ConsumerSequenceMismatch, now, out);
        }
        self.ask_why_unheard(out);
        self.check_window(now, out);
        self.settle(now, out);
    }

    /// The create request failed.
    pub fn create_failed(
        &mut self,
        incarnation: u64,
        error: Error,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !self.is_creating(incarnation) {
            return;
        }
        // On a slow link the reply waits behind the data, which is as good as a reply.
        let timeout = self.around.timeout.filter(|_| error.kind == Kind::Timeout);
        if let Some(timeout) = timeout.filter(|timeout| self.last_message + *timeout > now)
            && !self.seen.is_empty()
        {
            let consumer = self.seen.clone();
            out.push(Action::AskCreated { incarnation, consumer, timeout });
            return;
        }
        if self.first && self.form.named && self.asked_name.is_some() && may_be_the_name(&error) {
            self.consumer_is_gone();
            self.forget_consumer(out);
            self.form.named = false;
            self.refused = Some(error);
            self.create(now, out);
            return self.settle(now, out);
        }
        // It was not the name.
        let error = self.refused.take().unwrap_or(error);
        self.attempt_failed(error, now, out);
    }
}

/// Whether this can mean that the account or the user may ask for consumers in the old form only,
/// `CONSUMER.CREATE.<stream>`, or that the server knows no other.
fn may_be_the_name(error: &Error) -> bool {
    matches!(error.kind, Kind::Permissions | Kind::JetStreamNotEnabled)
}
