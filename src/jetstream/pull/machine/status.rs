//! What the server says of a request, beside messages.

use std::time::Instant;

use serde_json::Value;

use super::books::Pull;
use super::{Action, Machine, Phase};
use crate::error::{Error, Kind};

/// A status message as it came.
#[derive(Clone, Copy, Debug)]
pub struct Status<'a> {
    pub code: u16,
    pub description: &'a str,
    /// Messages and bytes of the request that are not served, if the server says so.
    pub left: Option<(u64, u64)>,
}

impl Machine {
    /// A status about the request of this number, if it is one of the present inbox.
    pub fn status(
        &mut self,
        incarnation: u64,
        id: u64,
        status: Status<'_>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if incarnation != self.incarnation || !self.listening {
            return;
        }
        if status.code != 503 {
            self.heard(now, out);
        }
        if status.code == 100 {
            return self.settle(now, out);
        }
        let pull = self.books.end(id, status.left);
        // Otherwise it is just being asked for anew.
        if matches!(self.phase, Phase::Running) {
            self.ended(status, pull, now, out);
            self.refill(now, out);
        }
        self.settle(now, out);
    }

    /// The server does not allow requests.
    pub fn forbidden(&mut self, error: &Error, now: Instant, out: &mut Vec<Action>) {
        self.give_up(None, &error.message, Some(error.clone()), now, out);
        self.settle(now, out);
    }

    fn ended(
        &mut self,
        status: Status<'_>,
        pull: Option<Pull>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Status { code, description, .. } = status;
        let error = || Error {
            api: Some((u64::from(code), 0)),
            ..Error::new(Kind::JsResponse, description.to_owned())
        };
        match (code, description) {
            (409, "Consumer Deleted") => {
                let error = Error::new(Kind::ConsumerNotFound, description.to_owned());
                match self.config.waits {
                    true => self.missing(&error, now, out),
                    false => self.give_up(Some(code), description, Some(error), now, out),
                }
            }
            (400 | 412, _) | (409, "Consumer is push based") => {
                self.give_up(Some(code), description, Some(error()), now, out);
            }
            // What is said of a request that is over, or was given up with others, is no news.
            _ if pull.is_none() => {}
            (404 | 408, _) | (409, "Batch Completed") => self.expired(pull, now),
            (409, "Message Size Exceeds MaxBytes") => self.too_large(pull, now, out),
            (409, "Leadership Change") => {
                self.warn(Some(code), description, Some(error()), now, out);
                self.start_over(now);
                // One that was sent meanwhile may have reached the new leader.
                self.retire(false, now, out);
            }
            // Each request with this pin is told.
            (423, _) => {
                self.pin = None;
                self.warn(Some(code), description, Some(error()), now, out);
                self.start_over(now);
            }
            (503, _) => self.nobody_there(now, out),
            _ => {
                self.warn(Some(code), description, Some(error()), now, out);
                self.refused(now);
                // It may have other limits now.
                if description.starts_with("Exceeded Max") && !description.ends_with("Waiting") {
                    self.retire(true, now, out);
                }
            }
        }
    }

    /// The end of a request that was not refused. One that ends long before its time, with nothing,
    /// must not be followed by the next one at once.
    fn expired(&mut self, pull: Option<Pull>, now: Instant) {
        let early = |pull: &Pull| now < pull.sent + self.expires() / 2;
        if pull.is_some_and(|pull| pull.received == self.books.received() && early(&pull)) {
            self.refused(now);
        }
    }

    /// The server has given up what it had: it is asked again at once, unless it does so again and
    /// again.
    fn start_over(&mut self, now: Instant) {
        match self.refusals {
            0 => self.refusals = 1,
            _ => self.refused(now),
        }
    }

    /// No consumer of this name, no leader, or no JetStream.
    fn nobody_there(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.refused(now);
        self.ask_consumer(now, out);
    }

    fn too_large(&mut self, pull: Option<Pull>, now: Instant, out: &mut Vec<Action>) {
        let Some(pull) = pull.filter(|pull| pull.received == self.books.received()) else { return };
        let most = self.most_bytes().unwrap_or(u64::MAX);
        if pull.bytes < most {
            // There is more room when the program has dealt with what it has.
            self.least_bytes = most.min(pull.bytes.saturating_mul(2));
            return;
        }
        self.refused(now);
        if !self.size_reported && self.size_question.is_none() {
            let token = self.next_token();
            self.size_question = Some(token);
            match self.may_ask {
                true => out.push(Action::AskConsumer { token }),
                false => self.report_size(None, now, out),
            }
        }
    }

    /// Behind what the consumer has delivered is what does not fit.
    pub(super) fn info_of_unfit(
        &mut self,
        answer: Result<&Value, &Error>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let config = answer.ok().and_then(|info| info.get("config"));
        let filter = |config: &Value| match config.get("filter_subjects") {
            Some(_) => None,
            None => Some(config.get("filter_subject")?.as_str()?.to_owned()),
        };
        let several = config.is_some_and(|config| config.get("filter_subjects").is_some());
        let filter = config.and_then(filter).filter(|filter| !filter.is_empty());
        let delivered = answer.ok().and_then(|info| info.get("delivered"));
        let seq = delivered.and_then(|delivered| delivered.get("stream_seq")?.as_u64());
        match seq.filter(|_| !several) {
            Some(seq) => {
                let token = self.next_token();
                self.size_question = Some(token);
                let filter = filter.unwrap_or_else(|| ">".to_owned());
                out.push(Action::AskMessage { token, seq: seq + 1, filter });
            }
            None => self.report_size(None, now, out),
        }
    }

    /// Sequence and size of the message that was asked for, if there is one.
    pub fn next_message(
        &mut self,
        token: u64,
        message: Option<(u64, u64)>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.size_question == Some(token) {
            self.report_size(message, now, out);
            self.settle(now, out);
        }
    }

    fn report_size(&mut self, message: Option<(u64, u64)>, now: Instant, out: &mut Vec<Action>) {
        self.size_question = None;
        self.size_reported = true;
        let most = self.most_bytes().unwrap_or(0);
        let text = match message.filter(|(_, size)| *size > most) {
            Some((seq, size)) => {
                let stream = &self.config.stream;
                format!(
                    "Message Size Exceeds MaxBytes: message {seq} of the stream {stream} needs {size} \
                     bytes, allowed are {most}"
                )
            }
            None => format!("Message Size Exceeds MaxBytes: allowed are {most}"),
        };
        let error = Error { api: Some((409, 0)), ..Error::new(Kind::JsResponse, text.clone()) };
        self.warn(Some(409), &text, Some(error), now, out);
    }
}
