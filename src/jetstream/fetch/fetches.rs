//! The fetches of a connection. An ID names one whichever `jet_stream` it was made by, and whether
//! that one still exists. All messages for callbacks come by one channel, in the order of arrival.

use super::end::End;
use super::pins::Pins;
use super::pull::{Ask, Pull, Taker};
use super::running::Running;
use crate::bridge::{self, LanePlace, Receiver, Rest, Sender};
use crate::connection::{Connection, Follower, Status};
use crate::error::Result;
use crate::jetstream::api::Api;
use crate::jetstream::delivery::{Delivered, Dicts};
use crate::tcl::{Interp, InterpHandle, Obj};
use crate::transport::Link;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

pub struct Fetches {
    table: Rc<Table>,
    pub pins: Pins,
    arrivals: Sender<Arrival>,
    _receiver: Receiver<Arrival>,
}

/// What comes for a callback.
enum Arrival {
    Message(u64, Delivered),
    Ended(u64, End),
}

struct Table {
    interp_handle: InterpHandle,
    connection: Weak<Connection>,
    last: Cell<u64>,
    /// Those with a callback, until all is delivered that has come for them.
    called_back: RefCell<HashMap<u64, Rc<Fetch>>>,
    running: Running,
}

struct Fetch {
    pull: Arc<Pull>,
    callback: Vec<Obj>,
    dicts: Dicts,
    lane: LanePlace<Arrival>,
}

/// Sends what comes to the Tcl thread.
struct Forward {
    id: u64,
    arrivals: Sender<Arrival>,
}

impl Taker for Forward {
    fn message(&mut self, message: Delivered) {
        self.arrivals.send(Arrival::Message(self.id, message));
    }

    fn ended(&mut self, end: End) {
        self.arrivals.send(Arrival::Ended(self.id, end));
    }
}

/// How an ID is written.
const PREFIX: &str = "fetch";

impl Fetches {
    /// Those of this connection.
    pub fn of(connection: &Connection) -> Rc<Fetches> {
        let mut new = None;
        let fetches = connection.part(|connection, interp_handle| {
            let fetches = Rc::new(Fetches::new(connection, interp_handle));
            new = Some(fetches.clone());
            fetches
        });
        if let Some(new) = new {
            let follower: Rc<dyn Follower> = new;
            connection.follow(Rc::downgrade(&follower));
        }
        fetches
    }

    fn new(connection: Weak<Connection>, interp_handle: InterpHandle) -> Fetches {
        let table = Rc::new(Table {
            interp_handle: interp_handle.clone(),
            connection,
            last: Cell::new(0),
            called_back: RefCell::default(),
            running: Running::default(),
        });
        let handler = table.clone();
        let (arrivals, receiver) =
            bridge::channel(interp_handle, move |arrival, rest| handler.deliver(arrival, rest));
        receiver.start();
        Fetches { table, pins: Pins::default(), arrivals, _receiver: receiver }
    }

    /// Starts one with a callback; its ID.
    pub fn start(
        &self,
        connection: &Rc<Connection>,
        api: &Api,
        ask: Ask,
        callback: Vec<Obj>,
    ) -> Result<String> {
        let id = self.table.next_id();
        let forward = Forward { id, arrivals: self.arrivals.clone() };
        let pull = Pull::start(api, ask, Box::new(forward))?;
        self.table.running.note(&api.link, &pull);
        let dicts = Dicts::new(connection);
        let fetch = Fetch { pull, callback, dicts, lane: LanePlace::new() };
        self.table.called_back.borrow_mut().insert(id, Rc::new(fetch));
        Ok(format!("{PREFIX}{id}"))
    }

    /// One that is waited for is under way; its ID, for the log.
    pub fn running(&self, link: &Link, pull: &Arc<Pull>) -> u64 {
        self.table.running.note(link, pull);
        self.table.next_id()
    }

    /// Ends one with a callback, which hears nothing more than what has come. False if there is none,
    /// or its end has come.
    pub fn cancel(&self, id: &str) -> bool {
        let number = id.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
        let fetch = number.and_then(|id| self.table.called_back.borrow().get(&id).cloned());
        let (Some(fetch), Some(id)) = (fetch, number) else { return false };
        let given_up = fetch.pull.give_up();
        if given_up {
            // Behind what has come.
            self.arrivals.send(Arrival::Ended(id, End::Closed));
        }
        given_up
    }
}

impl Follower for Fetches {
    fn leave(&self, _link: &Link) {
        let closed = |connection: Rc<Connection>| connection.status() == Status::Closed;
        self.table.running.close(!self.table.connection.upgrade().is_none_or(closed));
    }

    fn resume(&self, _link: &Link) {}
}

impl Table {
    fn next_id(&self) -> u64 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    fn deliver(&self, arrival: Arrival, rest: &Rest<'_, Arrival>) {
        let (Some(guard), Some(connection)) =
            (self.interp_handle.enter(), self.connection.upgrade())
        else {
            return;
        };
        let interp = guard.interp();
        let id = match &arrival {
            Arrival::Message(id, _) | Arrival::Ended(id, _) => *id,
        };
        let Some(fetch) = self.called_back.borrow().get(&id).cloned() else { return };
        let Some(arrival) = rest.admit(interp, &fetch.lane, &fetch.callback, arrival) else {
            return;
        };
        match arrival {
            Arrival::Message(_, message) => {
                fetch.call(interp, 0, fetch.dicts.dict(&message));
                rest.delivered(&fetch.lane);
            }
            Arrival::Ended(_, end) => {
                self.called_back.borrow_mut().remove(&id);
                end.log(&connection.logger, &format!("Async pull request {PREFIX}{id}"), false);
                match end {
                    End::Complete | End::Closed => {}
                    End::Status(message) => fetch.call(interp, 1, fetch.dicts.of_message(&message)),
                    End::Full | End::Nobody | End::Timeout(_) | End::Denied(_) | End::Lost => {
                        fetch.call(interp, 1, Obj::empty());
                    }
                }
            }
        }
    }
}

impl Fetch {
    fn call(&self, interp: Interp<'_>, timed_out: i64, message: Obj) {
        let mut words = Vec::with_capacity(self.callback.len() + 2);
        words.extend_from_slice(&self.callback);
        words.extend([Obj::int(timed_out), message]);
        interp.call_back(&mut words);
    }
}
