//! `-event_callback`: what happens to a connection, told from the event loop.
//!
//! The events have a feed of their own, which outlives the object like that of the messages: the
//! last one, `closed`, is delivered after `destroy`.

use crate::bridge::{self, Receiver, Sender};
use crate::error::Error;
use crate::tcl::interp::error_code;
use crate::tcl::{InterpHandle, Obj};
use std::cell::RefCell;
use std::rc::Rc;

/// An event on its way: its name and its fields.
struct Report {
    name: &'static str,
    fields: Vec<(&'static str, String)>,
    error: Option<Error>,
}

pub struct Events {
    prefix: Rc<RefCell<Obj>>,
    feed: Sender<Report>,
    heard: RefCell<Option<Receiver<Report>>>,
}

impl Events {
    pub fn start(interp_handle: InterpHandle) -> Events {
        let prefix = Rc::new(RefCell::new(Obj::empty()));
        let (asked, inside) = (prefix.clone(), interp_handle.clone());
        let (feed, heard) = bridge::channel(interp_handle, move |report, _| {
            let prefix = asked.borrow().clone();
            deliver(&inside, &prefix, report);
        });
        heard.start();
        Events { prefix, feed, heard: RefCell::new(Some(heard)) }
    }

    pub fn set_prefix(&self, prefix: Obj) {
        self.prefix.replace(prefix);
    }

    pub fn tell(&self, name: &'static str, fields: &[(&'static str, &str)], error: Option<&Error>) {
        if self.prefix.borrow().is_empty() {
            return;
        }
        let fields = fields.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        self.feed.send(Report { name, fields, error: error.cloned() });
    }

    /// Nothing more will be told; what was is still delivered.
    pub fn finish(&self) {
        if let Some(heard) = self.heard.take() {
            heard.finish();
        }
    }
}

fn deliver(interp_handle: &InterpHandle, prefix: &Obj, report: Report) {
    let Some(interp) = interp_handle.enter() else { return };
    if prefix.is_empty() {
        return;
    }
    let dict = Obj::dict();
    dict.put("event", &Obj::new(report.name));
    for (key, value) in &report.fields {
        dict.put(key, &Obj::new(value));
    }
    if let Some(error) = &report.error {
        dict.put("code", &error_code(error));
        dict.put("errorMessage", &Obj::new(&error.message));
    }
    match prefix.elements(*interp) {
        Ok(mut words) => {
            words.push(dict);
            interp.call_back(&words);
        }
        Err(failure) => interp.background(&failure),
    }
}
