//! Whether the consumer is there, and what it wants.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::{Report, State};
use super::request::check;
use super::{Action, Limits, Machine, OnItsWay, Phase};
use crate::error::{Error, Kind};

impl Machine {
    pub(super) fn ask_consumer(&mut self, now: Instant, out: &mut Vec<Action>) {
        if !self.may_ask {
            return self.run(now, out);
        }
        let token = self.next_token();
        self.phase = Phase::Asking { token };
        out.push(Action::AskConsumer { token });
    }

    /// What the server says of the consumer.
    pub fn consumer_info(
        &mut self,
        token: u64,
        answer: Result<&Value, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.size_question == Some(token) {
            return self.info_of_unfit(answer, now, out);
        }
        if !matches!(self.phase, Phase::Asking { token: t } if t == token) {
            return;
        }
        match answer {
            Ok(info) => self.present(info, now, out),
            Err(error) => match error.kind {
                Kind::ConsumerNotFound | Kind::StreamNotFound => self.missing(error, now, out),
                // Who may not ask does without the answer.
                Kind::Permissions => {
                    self.may_ask = false;
                    self.run(now, out);
                }
                _ if self.first && !self.config.waits => self.fail(error.clone(), out),
                _ => {
                    self.stale(None, &error.message, Some(error.clone()), out);
                    self.wait(now, out);
                }
            },
        }
        self.settle(now, out);
    }

    fn present(&mut self, info: &Value, now: Instant, out: &mut Vec<Action>) {
        let config = info.get("config").unwrap_or(&Value::Null);
        if let Err(text) = check(config, &self.config) {
            let error = Error::invalid(text);
            return match self.first {
                true => self.fail(error, out),
                false => self.give_up(None, &error.message.clone(), Some(error), now, out),
            };
        }
        let was_absent = std::mem::take(&mut self.absent);
        self.limits = Limits::of(config);
        // Messages may have the header from elsewhere, and would be the end of it with other policies.
        let policy = config.get("priority_policy").and_then(Value::as_str);
        self.has_pins = policy == Some("pinned_client");
        self.pin = self.pin.take().filter(|_| self.has_pins);
        out.push(Action::AckWait(ack_wait(config)));
        let number = |name: &str| info.get(name).and_then(Value::as_u64).unwrap_or(0);
        let most = config.get("max_waiting").and_then(Value::as_u64).unwrap_or(u64::MAX);
        if !self.first && number("num_waiting") >= most {
            // Requests with a heartbeat are not told.
            self.warn(Some(409), "Exceeded MaxWaiting", None, now, out);
            self.refused(now);
        }
        // It may have got a request already when it was made again.
        match was_absent && self.listening {
            true => self.retire(false, now, out),
            false => self.run(now, out),
        }
    }

    /// Listens and asks for messages, or waits until it is wanted.
    pub(super) fn run(&mut self, now: Instant, out: &mut Vec<Action>) {
        if !self.listening {
            self.listening = true;
            self.incarnation += 1;
            let inbox = (self.around.new_inbox)();
            out.push(Action::Subscribe { incarnation: self.incarnation, inbox });
        }
        self.phase = Phase::Running;
        self.last_traffic = self.last_traffic.max(now);
        if !std::mem::replace(&mut self.started, true) {
            self.change_state(Report::new(State::Started, ""), out);
        } else if self.state == Some(State::Stale) {
            self.change_state(Report::new(State::Resumed, ""), out);
        }
        self.made(out);
        self.refill(now, out);
        self.settle(now, out);
    }

    /// Whoever makes the consumer has it.
    fn made(&mut self, out: &mut Vec<Action>) {
        if std::mem::take(&mut self.first) {
            out.push(Action::Created);
        }
    }

    /// There is no such consumer, or no stream.
    pub(super) fn missing(&mut self, error: &Error, now: Instant, out: &mut Vec<Action>) {
        self.books.forget();
        self.pin = None;
        self.absent = true;
        if self.config.waits {
            self.stale(None, &error.message, Some(error.clone()), out);
            return self.wait(now, out);
        }
        match self.first {
            true => self.fail(error.clone(), out),
            false => self.give_up(None, &error.message, Some(error.clone()), now, out),
        }
    }

    /// Asks for the consumer again, later.
    pub(super) fn wait(&mut self, now: Instant, out: &mut Vec<Action>) {
        /// A consumer that is made again is soon found.
        const LONGEST: Duration = Duration::from_secs(1);
        self.phase = Phase::Waiting { until: now + self.next_pause().min(LONGEST) };
        self.made(out);
    }

    /// It is not known when the next message can come.
    pub(super) fn stale(
        &mut self,
        status: Option<u16>,
        text: &str,
        error: Option<Error>,
        out: &mut Vec<Action>,
    ) {
        let report = Report { status, error, ..Report::new(State::Stale, text.to_owned()) };
        self.change_state(report, out);
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Action>) {
        self.phase = Phase::Stopped;
        out.push(Action::Failed(error));
    }

    /// The server will never serve it again. What it has sent is still delivered.
    pub(super) fn give_up(
        &mut self,
        status: Option<u16>,
        text: &str,
        error: Option<Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let report = Report { status, error, ..Report::new(State::Stopped, text.to_owned()) };
        self.end(report, OnItsWay::Taken, now, out);
    }
}

/// How long the consumer waits for an acknowledgement at least; `None` if it wants none.
fn ack_wait(config: &Value) -> Option<Duration> {
    if config.get("ack_policy").and_then(Value::as_str) == Some("none") {
        return None;
    }
    let ns = |value: &Value| value.as_u64().filter(|ns| *ns > 0).map(Duration::from_nanos);
    let steps = config.get("backoff").and_then(Value::as_array);
    let shortest = steps.and_then(|steps| steps.iter().filter_map(ns).min());
    shortest.or_else(|| config.get("ack_wait").and_then(ns)).or(Some(Duration::from_secs(30)))
}
