//! What comes for the program: messages to its callback, reports to its `-state`.

use super::Report;
use super::consumer::PullConsumer;
use super::object::Pull;
use crate::bridge::Rest;
use crate::error_code::error_code;
use crate::jetstream::delivery::Delivered;
use crate::message::Batch;
use crate::tcl::coroutine::{self, Busy};
use crate::tcl::{Dict, Interp, List, Obj, Prefix};
use crate::transport::Outgoing;
use std::rc::Rc;

/// How many messages are taken from the buffer at once for a list.
const STEP: usize = 64;

/// What happens to a consumer, in order.
pub enum PullEvent {
    /// There are messages in the buffer.
    Messages,
    Report(Report),
    /// Somebody has left without it, and nobody else will come.
    Unwanted(Delivered),
}

impl Pull {
    pub(super) fn event(&self, event: PullEvent, rest: &Rest<'_, PullEvent>) {
        if let (PullEvent::Unwanted(message), Some(consumer)) = (&event, self.running()) {
            return consumer.give_back(std::slice::from_ref(message));
        }
        // Destroyed in a callback further up the stack: nothing more comes.
        if !self.handle.is_alive() {
            return;
        }
        let (Some(guard), Some(consumer)) = (self.interp_handle.enter(), self.running()) else {
            return;
        };
        let interp = guard.interp();
        match event {
            PullEvent::Messages => {
                let Some(callback) = &self.callback else { return };
                let words = callback.words();
                let Some(PullEvent::Messages) =
                    rest.admit(interp, &self.lane, words, PullEvent::Messages)
                else {
                    return;
                };
                match self.batch {
                    true => self.deliver_list(interp, consumer, callback, rest),
                    false => self.deliver_one(interp, consumer, callback, rest),
                }
                rest.delivered(&self.lane);
            }
            PullEvent::Report(report) => self.report(interp, report, rest),
            PullEvent::Unwanted(_) => {}
        }
    }

    fn deliver_one(
        &self,
        interp: Interp<'_>,
        consumer: &PullConsumer,
        callback: &Prefix,
        rest: &Rest<'_, PullEvent>,
    ) {
        let mut taken = self.taken.take();
        // Before the callback: it may wait in the event loop for what comes next.
        if consumer.buffer.take(1, &mut taken) {
            rest.put_back(PullEvent::Messages);
        }
        let Some(message) = taken.pop() else { return };
        self.taken.set(taken);
        self.delivered.set(self.delivered.get() + 1);
        let fine = callback.call(interp, [self.dicts.dict(&message)]);
        match self.busy(interp, callback) {
            None => self.dealt_with(consumer, fine, std::slice::from_ref(&message)),
            Some(busy) => self.dealt_with_later(&busy, vec![message]),
        }
    }

    fn deliver_list(
        &self,
        interp: Interp<'_>,
        consumer: &PullConsumer,
        callback: &Prefix,
        rest: &Rest<'_, PullEvent>,
    ) {
        let mut messages = Vec::new();
        let mut list = List::new();
        let mut batch = Batch::begin();
        let mut done = 0;
        loop {
            let more = consumer.buffer.take(STEP, &mut messages);
            let mut time = true;
            for message in messages.iter().skip(done) {
                list.push(&self.dicts.dict(message));
                time &= batch.add();
            }
            done = messages.len();
            if more && !time {
                rest.put_back(PullEvent::Messages);
            }
            if !more || !time {
                break;
            }
        }
        if messages.is_empty() {
            return;
        }
        self.delivered.set(self.delivered.get() + done as u64);
        let fine = callback.call(interp, [list.into()]);
        match self.busy(interp, callback) {
            None => self.dealt_with(consumer, fine, &messages),
            Some(busy) => self.dealt_with_later(&busy, messages),
        }
    }

    /// The callback, if it is a coroutine that now waits in a command of ours: it has not returned.
    fn busy(&self, interp: Interp<'_>, callback: &Prefix) -> Option<Rc<Busy>> {
        callback.words().first().and_then(|word| coroutine::busy(interp, word))
    }

    fn dealt_with_later(&self, busy: &Busy, messages: Vec<Delivered>) {
        let weak = self.weak.clone();
        busy.when_free(move || {
            let Some(this) = weak.upgrade() else { return };
            let (Some(guard), Some(consumer)) = (this.interp_handle.enter(), this.running()) else {
                return;
            };
            // One that has ended may have ended with an error.
            let callback = this.callback.as_ref().and_then(|callback| callback.words().first());
            let fine = callback.is_some_and(|word| guard.interp().has_command(word));
            this.dealt_with(consumer, fine, &messages);
        });
    }

    fn dealt_with(&self, consumer: &PullConsumer, fine: bool, messages: &[Delivered]) {
        self.answer(fine, messages);
        let bytes = messages.iter().map(|message| message.size() as u64).sum();
        consumer.consumed(messages.len() as u64, bytes);
        consumer.buffer.emptied();
    }

    /// `-ack on_return`.
    fn answer(&self, fine: bool, messages: &[Delivered]) {
        let Some(nak) = &self.nak else { return };
        // Without a link there is nobody to be told: the messages come again.
        let Ok(link) = self.js.connection.link() else { return };
        for reply in messages.iter().filter_map(Delivered::reply) {
            let out = match fine {
                true => Outgoing::new(reply.to_owned(), ""),
                false => Outgoing::new(reply.to_owned(), nak.clone()),
            };
            let _ = link.publish(out);
        }
    }

    fn report(&self, interp: Interp<'_>, report: Report, rest: &Rest<'_, PullEvent>) {
        let Some(prefix) = &self.state else { return };
        let event = PullEvent::Report(report);
        let event = rest.admit(interp, &self.state_lane, prefix.words(), event);
        if let Some(PullEvent::Report(report)) = event {
            prefix.call(interp, [Obj::new(report.state.word()), report_dict(&report)]);
            rest.delivered(&self.state_lane);
        }
    }
}

/// `status description error`, the first one empty unless a status of the server is the reason, the last
/// one the code of an error.
pub(super) fn report_dict(report: &Report) -> Obj {
    let mut dict = Dict::new();
    let status = report.status.map_or_else(Obj::empty, |status| Obj::int(status.into()));
    dict.put("status", &status);
    dict.put("description", &Obj::new(&report.description));
    dict.put("error", &report.error.as_ref().map_or_else(Obj::empty, error_code));
    dict.into()
}
