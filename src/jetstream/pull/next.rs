//! `$p next`: one message, for a program that asks instead of being called.

use super::buffer::{Next, Taken};
use super::object::{Pull, consumer_of};
use crate::bridge;
use crate::error::Error;
use crate::jetstream::delivery::Delivered;
use crate::options::{self, Type};
use crate::tcl::{Call, Result, Return};
use std::time::Duration;

const OPTIONS: &[options::Spec] = &[("timeout", Type::Timeout)];

pub fn next(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Pull>()?;
    let given = options::parse(call.interp, OPTIONS, call.args())?;
    if this.callback.is_some() {
        return Err(Error::invalid("The consumer has a callback").into());
    }
    let consumer = consumer_of(call)?;
    let buffer = consumer.buffer.clone();
    // What was taken before has been dealt with, or its program would not ask for more.
    let (messages, bytes) = this.uncredited.take();
    if messages > 0 {
        consumer.consumed(messages, bytes);
    }
    match buffer.next() {
        Next::Message(message) => return Ok(this.hand_out(&message)),
        Next::Ended(error) => return Err(error.into()),
        Next::Nothing => {}
    }
    let link = this.js.connection.link()?;
    let (promise, pending) = bridge::promise(call.interp);
    let number = buffer.wait(promise);
    let timer = given.time_limit("timeout", Duration::ZERO).map(|limit| {
        let buffer = buffer.clone();
        link.spawn(async move {
            tokio::time::sleep(limit).await;
            buffer.leave(number);
        })
    });
    let left = move || buffer.leave(number);
    pending.or_cancel(left).wait(call.interp, move |_, outcome| {
        if let Some(timer) = timer {
            timer.abort();
        }
        finish(&this, outcome)
    })
}

fn finish(this: &Pull, outcome: crate::error::Result<Option<Taken>>) -> Result<Return> {
    let taken = outcome.map_err(|error| this.js.connection.ended(error))?;
    match taken.and_then(Taken::message) {
        Some(message) => Ok(this.hand_out(&message)),
        None => Ok(Return::Empty),
    }
}

impl Pull {
    fn hand_out(&self, message: &Delivered) -> Return {
        let (messages, bytes) = self.uncredited.get();
        self.uncredited.set((messages + 1, bytes + message.size() as u64));
        self.delivered.set(self.delivered.get() + 1);
        if let Some(consumer) = self.running() {
            consumer.buffer.emptied();
        }
        self.dicts.dict(message).into()
    }
}
