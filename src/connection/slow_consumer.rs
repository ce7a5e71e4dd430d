//! What happens when a subscription or a request loses a message, because too many wait.

use super::Connection;
use super::limits::{Overflow, SlowConsumer};
use super::notification::Notification;
use crate::error::{Error, Kind};

impl Connection {
    /// Tells this thread that a limit was reached.
    pub(super) fn slow_reporter(&self, about: SlowConsumer) -> Box<dyn Fn() + Send> {
        let notifications = self.notifications();
        Box::new(move || {
            if let Some(notifications) = &notifications {
                notifications.send(Notification::Slow(about.clone()));
            }
        })
    }

    /// Something has reached its limit and lost a message.
    pub(super) fn slow(&self, slow: &SlowConsumer) {
        let subscriber = self.delivery.subscribers.active(slow.sub_id);
        if !slow.request && subscriber.is_none() {
            return;
        }
        let what = match slow.request {
            true => "request to".to_owned(),
            false => format!("subscription {} on", slow.sub_id),
        };
        let happens = slow.overflow.what_happens();
        let text = format!("Slow consumer: {what} {} is at its limit, {happens}", slow.subject);
        if let Some(subscriber) = subscriber.filter(|_| slow.overflow == Overflow::End) {
            self.end_subscription(&subscriber);
        }
        let error = Error::new(Kind::SlowConsumer, text);
        let id = slow.sub_id.to_string();
        let fields = [("sub_id", id.as_str()), ("subject", slow.subject.as_str())];
        self.events.report("slow_consumer", &fields, Some(&error));
        self.report_error(error);
    }
}
