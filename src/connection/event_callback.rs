//! `-event_callback`: what happens to a connection, told from the event loop.
//!
//! The events have a channel of their own, which outlives the object like that of the messages: the
//! last one, `closed`, is delivered after `destroy`.

use crate::bridge::{self, LanePlace, Receiver, Rest, Sender};
use crate::error::Error;
use crate::error_code::error_code;
use crate::tcl::{Dict, InterpHandle, Obj};
use std::cell::RefCell;
use std::rc::Rc;

/// An event on its way: its name and its fields.
struct Report {
    name: &'static str,
    fields: Vec<(&'static str, String)>,
    error: Option<Error>,
}

pub struct EventCallback {
    prefix: Rc<RefCell<Obj>>,
    sender: Sender<Report>,
    receiver: RefCell<Option<Receiver<Report>>>,
}

impl EventCallback {
    pub fn start(interp_handle: InterpHandle) -> EventCallback {
        let prefix = Rc::new(RefCell::new(Obj::empty()));
        let (asked, inside) = (prefix.clone(), interp_handle.clone());
        let lane = LanePlace::new();
        let (sender, receiver) = bridge::channel(interp_handle, move |report, rest| {
            let prefix = asked.borrow().clone();
            deliver(&inside, &prefix, report, &lane, rest);
        });
        receiver.start();
        EventCallback { prefix, sender, receiver: RefCell::new(Some(receiver)) }
    }

    pub fn set_prefix(&self, prefix: Obj) {
        self.prefix.replace(prefix);
    }

    pub fn report(
        &self,
        name: &'static str,
        fields: &[(&'static str, &str)],
        error: Option<&Error>,
    ) {
        if self.prefix.borrow().is_empty() {
            return;
        }
        let fields = fields.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        self.sender.send(Report { name, fields, error: error.cloned() });
    }

    /// Reports what has happened to a server.
    pub fn report_server(&self, name: &'static str, address: &str) {
        self.report(name, &[("server", address)], None);
    }

    /// Nothing more will be told; what was is still delivered.
    pub fn finish(&self) {
        if let Some(receiver) = self.receiver.take() {
            receiver.finish();
        }
    }
}

fn deliver(
    interp_handle: &InterpHandle,
    prefix: &Obj,
    report: Report,
    lane: &LanePlace<Report>,
    rest: &Rest<'_, Report>,
) {
    let Some(guard) = interp_handle.enter() else { return };
    let interp = guard.interp();
    if prefix.is_empty() {
        return;
    }
    let mut words = match prefix.elements(interp) {
        Ok(words) => words,
        Err(failure) => return interp.background(&failure),
    };
    let Some(report) = rest.admit(interp, lane, &words, report) else { return };
    let mut dict = Dict::new();
    dict.put("event", &Obj::new(report.name));
    for (key, value) in &report.fields {
        dict.put(key, &Obj::new(value));
    }
    if let Some(error) = &report.error {
        dict.put("code", &error_code(error));
        dict.put("errorMessage", &Obj::new(&error.message));
    }
    words.push(dict.into());
    interp.call_back(&mut words);
    rest.delivered(lane);
}
