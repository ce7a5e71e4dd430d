//! Going on where the answers to flow control do not reach the server.
//!
//! A user may lack the permission for `$JS.FC.>`, an account the import of it. Then the server sends
//! one window, some 2 MB, and stops for ever. What helps needs no other right than to make
//! consumers: one after the other, each of which the server lets send so many messages and no more,
//! because nobody acknowledges them. The next one begins when what came before the last one has
//! been consumed, so memory is bounded as it is by flow control.

use std::time::Instant;

use super::probe::Reason;
use super::{Action, Machine, Phase};
use crate::error::Kind;

/// What a window is to hold, as far as sizes can be foretold; one that holds twice as much is given
/// up.
const BYTES: u64 = 8 << 20;
const LEAST: u64 = 16;
/// The server's own limit for consumers that do not set one.
const MOST: u64 = 1000;

/// What has been delivered, in sizes.
#[derive(Default)]
pub(super) struct Windows {
    /// There is no flow control.
    used: bool,
    bytes: u64,
    messages: u64,
    /// `bytes` at the beginning of the present window.
    begin: u64,
    /// Messages delivered before the present window. They must have been consumed before the next
    /// one begins.
    before: u64,
    /// Where the consumer was when flow control was answered last.
    paid_at: Option<u64>,
    /// Nobody listens to the answers, and it is not known yet whether there is a consumer.
    unheard: bool,
    /// The stream keeps one message for each subject: the latest ones are all there are.
    single: bool,
}

impl Windows {
    pub fn delivered(&mut self, size: usize) {
        self.bytes += size as u64;
        self.messages += 1;
    }

    /// Another consumer is made, which has asked for nothing yet.
    pub fn forget_answers(&mut self) {
        self.paid_at = None;
        self.unheard = false;
    }

    pub fn paid(&mut self, consumer_seq: u64) {
        self.paid_at = Some(consumer_seq);
    }

    /// Begins a window: how many messages it is to have.
    fn open(&mut self) -> u64 {
        self.before = self.messages;
        self.begin = self.bytes;
        let average = self.bytes / self.messages.max(1);
        (BYTES / average.max(1)).clamp(LEAST, MOST)
    }

    fn overflows(&self) -> bool {
        self.bytes - self.begin > 2 * BYTES
    }
}

impl Machine {
    /// What the answer to a flow control request has come to, where that is known.
    pub fn answer_refused(
        &mut self,
        incarnation: u64,
        reason: Kind,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !self.is_current(incarnation) || self.windows.used {
            return;
        }
        match reason {
            Kind::Permissions => {
                self.without_flow_control("it is not permitted", now, out);
            }
            // Nobody listens: the consumer has gone, or the account does not import this.
            _ if matches!(self.phase, Phase::Running) => {
                self.ask_consumer(Reason::Unheard, out);
                self.settle(now, out);
            }
            _ => self.windows.unheard = true,
        }
    }

    /// The consumer is there now, and answers to its requests have reached nobody.
    pub(super) fn ask_why_unheard(&mut self, out: &mut Vec<Action>) {
        if std::mem::take(&mut self.windows.unheard) {
            self.ask_consumer(Reason::Unheard, out);
        }
    }

    /// Whether the server goes on waiting for what it has been told.
    pub(super) fn is_unheard(&self, stalled: &str) -> bool {
        self.credit.paid() == Some(stalled) && self.credit.times_paid() > 1
    }

    /// Whether the consumer has stopped because of flow control: nothing has come since that was
    /// answered, or it is not the first one that stops after it.
    pub(super) fn stopped_when_paid(&self) -> bool {
        let again = self.credit.paid().is_some() && self.renewals.are_in_vain();
        !self.windows.used && (again || self.windows.paid_at == Some(self.consumer_seq))
    }

    pub(super) fn has_flow_control(&self) -> bool {
        !self.windows.used
    }

    pub(super) fn without_flow_control(&mut self, why: &str, now: Instant, out: &mut Vec<Action>) {
        self.windows.used = true;
        self.windows.unheard = false;
        self.forget_consumer(out);
        let next = self.stream_seq + 1;
        let text = format!(
            "reset with opt_start_seq = {next} and without flow control: \
             publishing to $JS.FC.>: {why}"
        );
        out.push(Action::LastError(Kind::Permissions, text));
        // For how many messages it keeps of each subject.
        self.check_stream = true;
        self.attempt(now, out);
        self.settle(now, out);
    }

    /// A stream is known by its info.
    pub(super) fn learn_history(&mut self, info: &serde_json::Value) {
        let config = info.get("config").unwrap_or(&serde_json::Value::Null);
        let kept = config.get("max_msgs_per_subject").and_then(serde_json::Value::as_u64);
        self.windows.single = kept == Some(1);
    }

    /// Whether a snapshot can go on in the middle.
    pub(super) fn goes_on_by_sequence(&self) -> bool {
        self.windows.used && self.windows.single
    }

    /// How many messages the next consumer may send; all of them with flow control.
    pub(super) fn next_window(&mut self) -> Option<u64> {
        let messages = self.windows.used.then(|| self.windows.open())?;
        // A snapshot that is repeated brings again what has been delivered.
        let repeated = if self.repeating { self.windows.messages } else { 0 };
        Some(messages + repeated)
    }

    /// Makes the next consumer when the present one has sent what it may.
    pub(super) fn check_window(&mut self, now: Instant, out: &mut Vec<Action>) {
        let Some(limit) = self.form.window else { return };
        let over = self.received >= limit || self.windows.overflows();
        if over && matches!(self.phase, Phase::Running) {
            self.forget_consumer(out);
            self.phase = Phase::Full;
            out.push(Action::Count);
            self.settle(now, out);
        }
    }

    pub(super) fn open_window(&mut self, now: Instant, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Full) && self.credit.has_consumed(self.windows.before) {
            self.stream_seen = now;
            self.attempt(now, out);
            self.settle(now, out);
        }
    }
}
