//! `nats::ordered_consumer`: the visible side of an ordered consumer.

use super::consumer::OrderedConsumer;
use super::feed::Feed;
use crate::connection::Follower;
use crate::connection::log::Level;
use crate::error::{Error, Kind};
use crate::error_code::error_code;
use crate::jetstream::context::JetStream;
use crate::json;
use crate::tcl::{
    Call, Dict, Interp, InterpHandle, Method, Native, Obj, ObjectHandle, Result, Return, oo,
};
use crate::transport::Link;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

struct ConsumerData {
    handle: ObjectHandle,
    js: Rc<JetStream>,
    consumer: Rc<OrderedConsumer>,
    /// What it delivers to the program; that of a watcher goes through the watcher.
    feed: Option<Rc<Feed>>,
    /// An error is being written: the consumer that it is about has gone, though there may be
    /// another one already.
    failing: Cell<bool>,
    last_error: RefCell<Obj>,
}

impl Native for ConsumerData {
    fn gone(&self) {
        self.consumer.stop();
        self.js.release(&self.handle);
        if let Some(feed) = &self.feed {
            feed.end();
        }
    }
}

impl Follower for OrderedConsumer {
    fn leave(&self, link: &Link) {
        OrderedConsumer::leave(self, link);
    }

    fn resume(&self, link: &Link) {
        OrderedConsumer::resume(self, link);
    }
}

impl OrderedConsumer {
    /// Lets it go on after `disconnect` and `connect`.
    pub fn follow(self: &Rc<Self>, js: &JetStream) {
        let follower: Rc<dyn Follower> = self.clone();
        js.connection.follow(Rc::downgrade(&follower));
    }
}

/// A consumer as its owner holds it.
pub struct ConsumerObject {
    interp_handle: InterpHandle,
    data: Rc<ConsumerData>,
    my: Obj,
}

impl ConsumerObject {
    /// That of a watcher, which it goes with.
    pub fn of_watcher(
        interp: Interp<'_>,
        js: &Rc<JetStream>,
        consumer: Rc<OrderedConsumer>,
    ) -> Result<ConsumerObject> {
        ConsumerObject::create(interp, js, consumer, None)
    }

    /// One that the program has made. It goes with the jet_stream, or only with the connection.
    pub fn of_program(
        interp: Interp<'_>,
        js: &Rc<JetStream>,
        consumer: Rc<OrderedConsumer>,
        feed: &Rc<Feed>,
        with_js: bool,
    ) -> Result<ConsumerObject> {
        let this = ConsumerObject::create(interp, js, consumer, Some(feed.clone()))?;
        match with_js {
            true => js.adopt(interp, &this.data.handle)?,
            false => js.connection.adopt(interp, &this.data.handle)?,
        }
        Ok(this)
    }

    fn create(
        interp: Interp<'_>,
        js: &Rc<JetStream>,
        consumer: Rc<OrderedConsumer>,
        feed: Option<Rc<Feed>>,
    ) -> Result<ConsumerObject> {
        let data = oo::instantiate(interp, "::nats::ordered_consumer", |handle| {
            Rc::new(ConsumerData {
                handle,
                js: js.clone(),
                consumer,
                feed,
                failing: Cell::new(false),
                last_error: RefCell::new(Obj::empty()),
            })
        })?;
        let my = Obj::new(&format!("{}::my", data.handle.namespace()));
        let this = ConsumerObject { interp_handle: interp.handle(), data, my };
        this.put_last_error(Obj::empty());
        Ok(this)
    }

    /// The object's command; empty once the object was destroyed.
    pub fn command(&self, interp: Interp<'_>) -> Obj {
        self.data.handle.command(interp)
    }

    pub fn destroy(&self, interp: Interp<'_>) {
        self.data.handle.destroy(interp);
    }

    pub fn last_error(&self, kind: Kind, text: String) {
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let warning = format!("Ordered consumer {}: {text}", self.command(interp).text());
        self.data.js.connection.logger.log(Level::Warn, &warning);
        let mut dict = Dict::new();
        dict.put("code", &error_code(&Error::new(kind, "")));
        dict.put("errorMessage", &Obj::new(&text));
        let before = self.data.failing.replace(true);
        self.put_last_error(dict.into());
        self.data.failing.set(before);
    }

    /// What `last_error` was set to last.
    pub fn shown_error(&self) -> Obj {
        self.data.last_error.borrow().clone()
    }

    fn put_last_error(&self, value: Obj) {
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        if !self.data.handle.is_alive() {
            return;
        }
        self.data.last_error.replace(value.clone());
        interp.aside(|| {
            let mut words = [self.my.clone(), Obj::new("PutLastError"), value];
            if let Err(failure) = interp.call(&mut words) {
                interp.background(&failure);
            }
        });
    }
}

fn info(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<ConsumerData>()?;
    Ok(this.consumer.info().map_or_else(Obj::empty, |info| json::to_obj(&info)).into())
}

fn name(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<ConsumerData>()?;
    match this.failing.get() {
        true => Ok(Return::Empty),
        false => Ok(Obj::new(&this.consumer.name()).into()),
    }
}

fn status(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<ConsumerData>()?;
    Ok(this.feed.as_ref().map_or_else(Obj::empty, |feed| feed.status()).into())
}

const METHODS: &[Method] = &[
    Method { name: "info", usage: "", min: 0, max: 0, body: info },
    Method { name: "name", usage: "", min: 0, max: 0, body: name },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::ordered_consumer", None, None, METHODS)
}
