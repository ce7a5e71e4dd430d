//! `$js pull`, and the class `nats::pull_consumer`.

use super::State;
use super::buffer::Buffer;
use super::consumer::PullConsumer;
use super::deliver::{PullEvent, report_dict};
use super::next::next;
use super::wanted::Wanted;
use crate::bridge::{self, LanePlace, Receiver};
use crate::connection::Follower;
use crate::error::Error;
use crate::jetstream::context::JetStream;
use crate::jetstream::delivery::{Delivered, Dicts};
use crate::tcl::call::ANY;
use crate::tcl::{
    Call, Dict, Interp, InterpHandle, Method, Native, Obj, ObjectHandle, Prefix, Result, Return, oo,
};
use crate::transport::Link;
use std::cell::{Cell, OnceCell};
use std::rc::{Rc, Weak};

const CLASS: &str = "::nats::pull_consumer";

pub struct Pull {
    pub(super) weak: Weak<Pull>,
    pub(super) interp_handle: InterpHandle,
    pub(super) handle: ObjectHandle,
    pub(super) js: Rc<JetStream>,
    pub(super) dicts: Dicts,
    pub(super) callback: Option<Prefix>,
    pub(super) batch: bool,
    /// With `-ack on_return`: what is said of a message whose callback has thrown.
    pub(super) nak: Option<String>,
    pub(super) state: Option<Prefix>,
    /// All that comes for its callback.
    pub(super) lane: LanePlace<PullEvent>,
    pub(super) state_lane: LanePlace<PullEvent>,
    pub(super) delivered: Cell<u64>,
    /// What `next` has handed out and is being dealt with: messages and bytes.
    pub(super) uncredited: Cell<(u64, u64)>,
    /// Kept for its memory.
    pub(super) taken: Cell<Vec<Delivered>>,
    running: OnceCell<Running>,
}

struct Running {
    consumer: Rc<PullConsumer>,
    events: Receiver<PullEvent>,
}

impl Follower for PullConsumer {
    fn leave(&self, _link: &Link) {
        PullConsumer::leave(self);
    }

    fn resume(&self, link: &Link) {
        self.resume_over(link);
    }
}

/// A consumer whose creation is not complete: it goes if nobody finishes it.
struct Unfinished(Weak<Pull>);

impl Unfinished {
    /// The creation is complete: the consumer stays.
    fn finish(&mut self) {
        self.0 = Weak::new();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(pull) = self.0.upgrade()
            && let Some(guard) = pull.interp_handle.enter()
        {
            pull.handle.destroy(guard.interp());
        }
    }
}

/// `$js pull stream consumer ?options?`
fn pull(call: &Call<'_>) -> Result<Return> {
    let interp = call.interp;
    let js = call.data::<JetStream>()?;
    let wanted = Wanted::parse(call, &js)?;
    let api = js.api()?;
    let (config, keep_alive) = (wanted.config.clone(), wanted.keep_alive);
    let pull = Pull::create(interp, &js, wanted)?;
    let mut unfinished = Unfinished(Rc::downgrade(&pull));
    js.adopt(interp, &pull.handle)?;
    let weak = Rc::downgrade(&pull);
    let (sender, events) = bridge::channel(interp.handle(), move |event, rest| {
        if let Some(pull) = weak.upgrade() {
            pull.event(event, rest);
        }
    });
    let buffer = Buffer::new(sender.clone(), pull.callback.is_some());
    let (promise, pending) = bridge::promise(interp);
    let done = Box::new(move |outcome| promise.complete(outcome));
    let consumer = Rc::new(PullConsumer::start(api, config, keep_alive, buffer, sender, done));
    let follower: Rc<dyn Follower> = consumer.clone();
    js.connection.follow(Rc::downgrade(&follower));
    // A consumer is started once.
    let _ = pull.running.set(Running { consumer, events });
    drop(pull);
    js.wait(interp, pending, move |interp, outcome| {
        outcome?;
        let pull = unfinished.0.upgrade().filter(|pull| pull.handle.is_alive());
        let Some(pull) = pull else {
            return Err(Error::invalid("The consumer was destroyed").into());
        };
        unfinished.finish();
        if let Some(running) = pull.running.get() {
            running.events.start();
        }
        Ok(pull.handle.command(interp).into())
    })
}

impl Pull {
    fn create(interp: Interp<'_>, js: &Rc<JetStream>, wanted: Wanted) -> Result<Rc<Pull>> {
        let Wanted { callback, batch, nak, state, .. } = wanted;
        oo::instantiate(interp, CLASS, |handle| {
            Rc::new_cyclic(|weak| Pull {
                weak: weak.clone(),
                interp_handle: interp.handle(),
                handle,
                dicts: Dicts::new(&js.connection),
                js: js.clone(),
                callback: callback.map(Prefix::new),
                batch,
                nak,
                state: state.map(Prefix::new),
                lane: LanePlace::new(),
                state_lane: LanePlace::new(),
                delivered: Cell::new(0),
                uncredited: Cell::new((0, 0)),
                taken: Cell::default(),
                running: OnceCell::new(),
            })
        })
    }

    /// The running consumer; whoever has the object has it.
    pub(super) fn running(&self) -> Option<&PullConsumer> {
        self.running.get().map(|running| &*running.consumer)
    }
}

impl Native for Pull {
    fn gone(&self) {
        self.js.release(&self.handle);
        if let Some(consumer) = self.running() {
            consumer.stop("The consumer was destroyed");
        }
    }
}

/// The consumer of a call; there is one unless the constructor of a subclass did not make it.
pub(super) fn consumer_of(call: &Call<'_>) -> Result<Rc<PullConsumer>> {
    let pull = call.data::<Pull>()?;
    let running = pull.running.get().map(|running| running.consumer.clone());
    running.ok_or_else(|| Error::invalid("The consumer was not started").into())
}

fn status(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Pull>()?;
    let consumer = consumer_of(call)?;
    let public = consumer.public();
    let (buffered, _) = consumer.buffer.size();
    let delivered = this.delivered.get();
    let in_hand = delivered.saturating_sub(consumer.dealt_with());
    let mut dict = Dict::new();
    dict.put("state", &Obj::new(public.state.unwrap_or(State::Started).word()));
    dict.put("delivered", &Obj::uint(delivered));
    dict.put("outstanding", &Obj::uint(consumer.asked() + buffered as u64 + in_hand));
    dict.put("buffered", &Obj::uint(buffered as u64));
    dict.put("pulls", &Obj::uint(public.pulls));
    dict.put("resets", &Obj::uint(public.resets));
    let last_error = public.last_error.as_ref().map_or_else(Obj::empty, report_dict);
    dict.put("last_error", &last_error);
    Ok(dict.into())
}

fn pause(call: &Call<'_>) -> Result<Return> {
    consumer_of(call)?.pause();
    Ok(Return::Empty)
}

fn resume(call: &Call<'_>) -> Result<Return> {
    consumer_of(call)?.resume();
    Ok(Return::Empty)
}

fn drain(call: &Call<'_>) -> Result<Return> {
    consumer_of(call)?.drain();
    Ok(Return::Empty)
}

fn stop(call: &Call<'_>) -> Result<Return> {
    consumer_of(call)?.stop("stopped");
    Ok(Return::Empty)
}

const METHODS: &[Method] = &[
    Method { name: "drain", usage: "", min: 0, max: 0, body: drain },
    Method { name: "next", usage: "?-timeout ms?", min: 0, max: ANY, body: next },
    Method { name: "pause", usage: "", min: 0, max: 0, body: pause },
    Method { name: "resume", usage: "", min: 0, max: 0, body: resume },
    Method { name: "status", usage: "", min: 0, max: 0, body: status },
    Method { name: "stop", usage: "", min: 0, max: 0, body: stop },
];

const FACTORY: &[Method] =
    &[Method { name: "pull", usage: "stream consumer ?arg ...?", min: 2, max: ANY, body: pull }];

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::jet_stream", None, None, FACTORY)?;
    oo::define(interp, CLASS, None, None, METHODS)
}
