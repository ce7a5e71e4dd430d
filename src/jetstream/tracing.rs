//! `-trace`: lines come to the log from the event loop, as soon as they are there, and at the latest when
//! the call returns that they are of.

use super::api::{Lines, Trace};
use crate::bridge::{self, Receiver};
use crate::connection::Connection;
use crate::connection::log::Level;
use crate::tcl::Interp;
use std::rc::Rc;

pub struct Tracing {
    pub trace: Trace,
    lines: Lines,
    _receiver: Receiver<()>,
}

impl Tracing {
    pub fn new(interp: Interp<'_>, connection: &Rc<Connection>) -> Tracing {
        let lines = Lines::default();
        let (come, weak) = (lines.clone(), Rc::downgrade(connection));
        let (nudge, receiver) = bridge::channel(interp.handle(), move |(), _| {
            if let Some(connection) = weak.upgrade() {
                log(&come, &connection);
            }
        });
        receiver.start();
        let trace = Trace::new(lines.clone(), move || nudge.send(()));
        Tracing { trace, lines, _receiver: receiver }
    }

    /// Logs what was asked and answered since the last time.
    pub fn log(&self, connection: &Connection) {
        log(&self.lines, connection);
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        self.lines.close();
    }
}

fn log(lines: &Lines, connection: &Connection) {
    for line in lines.take() {
        connection.logger.log(Level::Debug, &line);
    }
}
