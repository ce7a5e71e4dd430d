//! `nats::ordered_consumer`: the visible side of an ordered consumer.

use super::consumer::OrderedConsumer;
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
use std::rc::Rc;

struct ConsumerData {
    handle: ObjectHandle,
    consumer: Rc<OrderedConsumer>,
}

impl Native for ConsumerData {
    fn gone(&self) {
        self.consumer.stop();
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

/// A consumer as its owner holds it.
pub struct ConsumerObject {
    interp_handle: InterpHandle,
    js: Rc<JetStream>,
    data: Rc<ConsumerData>,
    my: Obj,
}

impl ConsumerObject {
    pub fn create(
        interp: Interp<'_>,
        js: &Rc<JetStream>,
        consumer: Rc<OrderedConsumer>,
    ) -> Result<ConsumerObject> {
        let follower: Rc<dyn Follower> = consumer.clone();
        js.connection.follow(Rc::downgrade(&follower));
        let data = oo::instantiate(interp, "::nats::ordered_consumer", |handle| {
            Rc::new(ConsumerData { handle, consumer })
        })?;
        let my = Obj::new(&format!("{}::my", data.handle.namespace()));
        let this = ConsumerObject { interp_handle: interp.handle(), js: js.clone(), data, my };
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
        self.js.connection.logger.log(Level::Warn, &warning);
        let mut dict = Dict::new();
        dict.put("code", &error_code(&Error::new(kind, "")));
        dict.put("errorMessage", &Obj::new(&text));
        self.put_last_error(dict.into());
    }

    fn put_last_error(&self, value: Obj) {
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        if !self.data.handle.is_alive() {
            return;
        }
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
    Ok(Obj::new(&call.data::<ConsumerData>()?.consumer.name()).into())
}

const METHODS: &[Method] = &[
    Method { name: "info", usage: "", min: 0, max: 0, body: info },
    Method { name: "name", usage: "", min: 0, max: 0, body: name },
];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::ordered_consumer", None, None, METHODS)
}
