//! What other threads let the Tcl thread of a connection know or do.

use super::Connection;
use super::limits::SlowConsumer;
use crate::bridge::{self, Receiver, Sender};
use crate::tcl::mailbox;
use crate::transport::{
    DelayCallback, Event, EventSink, Login, LoginCallback, LoginQuestion, ServerEntry, Settings,
    TlsQuestion,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub enum Notification {
    /// Something has happened to the link.
    Event(Event),
    /// A subscription or a request is at its limit.
    Slow(SlowConsumer),
    /// The program's delay callback is wanted; a dropped sender means the usual wait.
    Delay(ServerEntry, oneshot::Sender<Option<Duration>>),
    /// The program's login callback is wanted; a dropped sender means that there is no login.
    Login(LoginQuestion, oneshot::Sender<Option<Login>>),
    /// The program's callbacks for TLS are wanted.
    Tls(TlsQuestion),
    /// A step of this drain is done.
    Drained(u64),
    DrainExpired(u64),
}

/// Notifies of the events of a link.
pub struct EventForwarder(pub Sender<Notification>);

impl EventSink for EventForwarder {
    fn event(&self, event: Event) {
        self.0.send(Notification::Event(event));
    }
}

/// Lets a link ask by notifications what only the program knows.
pub fn ask_by(notifications: &Sender<Notification>, settings: &mut Settings) {
    let sender = notifications.clone();
    let delay: DelayCallback = Arc::new(move |entry| {
        let (answer, question) = oneshot::channel();
        sender.send(Notification::Delay(entry, answer));
        question
    });
    settings.delay_callback = Some(delay);
    let sender = notifications.clone();
    let login: LoginCallback = Arc::new(move |question| {
        let (answer, asked) = oneshot::channel();
        sender.send(Notification::Login(question, answer));
        asked
    });
    settings.login_callback = Some(login);
    let sender = notifications.clone();
    let tls = Arc::new(move |question| sender.send(Notification::Tls(question)));
    settings.tls_callback = Some(tls);
}

impl Connection {
    /// The channel by which a link notifies this connection.
    pub(super) fn notification_channel(&self) -> (Sender<Notification>, Receiver<Notification>) {
        let weak = self.weak.clone();
        bridge::channel(self.interp_handle.clone(), move |notification, rest| {
            let Some(this) = weak.upgrade() else { return };
            // Whoever waits for a variable sees each of its values.
            match this.variables.written_in(mailbox::turn()) {
                true => rest.pause(notification),
                false => this.notified(notification),
            }
        })
    }

    fn notified(&self, notification: Notification) {
        match notification {
            Notification::Event(event) => self.link_event(event),
            Notification::Slow(slow) => self.slow(&slow),
            // An attempt that asks may be over.
            Notification::Delay(entry, answer) => {
                let _ = answer.send(self.ask_for_delay(&entry));
            }
            Notification::Login(question, answer) => {
                let _ = answer.send(self.ask_for_login(&question));
            }
            Notification::Tls(question) => self.ask_about_tls(question),
            Notification::Drained(number) => self.drained(number),
            Notification::DrainExpired(number) => self.drain_expired(number),
        }
    }
}
