//! `nats::kv_lister`: `keys` and `history` with a callback, which gets lists as they come, and an empty
//! one in the end.

use super::bucket::bucket_gone;
use super::entry::Entry;
use super::gather::{Show, Source, Wanted, warn};
use super::gather_observer::{GatherEvent, Pick};
use super::object::KeyValue;
use crate::bridge::{self, LanePlace, Receiver, Rest};
use crate::bucket::unfinished::Unfinished;
use crate::error::{self, Error, Kind};
use crate::error_code::error_code;
use crate::jetstream::context::JetStream;
use crate::jetstream::roll::Marks;
use crate::message::Batch;
use crate::tcl::{
    Dict, Interp, InterpHandle, Native, Obj, ObjectHandle, Prefix, Result, Return, oo,
};
use std::cell::RefCell;
use std::rc::Rc;

pub struct Lister {
    interp_handle: InterpHandle,
    handle: ObjectHandle,
    js: Rc<JetStream>,
    bucket: String,
    what: &'static str,
    callback: Prefix,
    show: Show,
    lane: LanePlace<GatherEvent>,
    /// Until the end.
    running: RefCell<Option<Running>>,
}

struct Running {
    source: Rc<Source>,
    events: Receiver<GatherEvent>,
}

impl Lister {
    fn event(&self, event: GatherEvent, rest: &Rest<'_, GatherEvent>) {
        if !self.handle.is_alive() {
            return;
        }
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let callback = self.callback.words();
        let Some(event) = rest.admit(interp, &self.lane, callback, event) else { return };
        match event {
            GatherEvent::Entry(_) | GatherEvent::Foreign => self.list(interp, event, rest),
            GatherEvent::Restart => {
                // What was told cannot be taken back.
                let text = format!("Bucket {} was made again meanwhile", self.bucket);
                self.end(interp, Err(Error::new(Kind::BucketNotFoundBare, text)));
            }
            GatherEvent::Warning(text) => warn(&self.js, self.what, &text),
            GatherEvent::Struck(_) => {}
            GatherEvent::End(outcome) => self.end(interp, outcome),
        }
        rest.delivered(&self.lane);
    }

    /// Calls back with what there is.
    fn list(&self, interp: Interp<'_>, first: GatherEvent, rest: &Rest<'_, GatherEvent>) {
        let Some(source) = self.running.borrow().as_ref().map(|running| running.source.clone())
        else {
            return;
        };
        let (mut entries, mut count, mut batch) = (Vec::<Entry>::new(), 0, Batch::begin());
        let mut add = |event: GatherEvent| {
            count += 1;
            if let GatherEvent::Entry(entry) = event {
                entries.push(entry);
            }
            batch.add()
        };
        let wanted =
            |event: &GatherEvent| matches!(event, GatherEvent::Entry(_) | GatherEvent::Foreign);
        if add(first) {
            rest.go_on(wanted, add);
        }
        let shown: error::Result<Vec<Option<Obj>>> =
            entries.iter().map(|entry| (self.show)(entry)).collect();
        match shown {
            Ok(shown) => {
                let list: Vec<Obj> = shown.into_iter().flatten().collect();
                if !list.is_empty() && self.handle.is_alive() {
                    self.callback.call(interp, [Obj::list(&list)]);
                }
            }
            Err(error) => self.end(interp, Err(error)),
        }
        source.taken(entries.len() as u64);
        source.consumer.consumed(count);
    }

    /// The last call: an empty list, and what was wrong.
    fn end(&self, interp: Interp<'_>, outcome: error::Result<()>) {
        // Nothing more comes.
        let Some(running) = self.running.take() else { return };
        drop(running);
        if !self.handle.is_alive() {
            return;
        }
        match outcome {
            Ok(()) => self.callback.call(interp, [Obj::empty()]),
            Err(error) => {
                let mut dict = Dict::new();
                dict.put("code", &error_code(&error));
                dict.put("errorMessage", &Obj::new(&error.message));
                self.callback.call(interp, [Obj::empty(), dict.into()])
            }
        };
    }
}

impl Native for Lister {
    fn gone(&self) {
        self.js.release(&self.handle);
        drop(self.running.take());
    }
}

/// Makes a lister and returns its command when its consumer is there.
pub fn list(
    interp: Interp<'_>,
    kv: &Rc<KeyValue>,
    wanted: Wanted,
    show: Show,
    callback: Vec<Obj>,
) -> Result<Return> {
    let api = kv.js.api()?;
    let lister = oo::instantiate(interp, "::nats::kv_lister", |handle| {
        Rc::new(Lister {
            interp_handle: interp.handle(),
            handle,
            js: kv.js.clone(),
            bucket: kv.bucket.name.clone(),
            what: wanted.what,
            callback: Prefix::new(callback),
            show,
            lane: LanePlace::new(),
            running: RefCell::new(None),
        })
    })?;
    kv.js.adopt(interp, &lister.handle)?;
    let unfinished = Unfinished::new(interp, &lister.handle);
    let weak = Rc::downgrade(&lister);
    let (sender, events) = bridge::channel(interp.handle(), move |event, rest| {
        if let Some(lister) = weak.upgrade() {
            lister.event(event, rest);
        }
    });
    let pick = if wanted.keys { Pick::Seen(Marks::default()) } else { Pick::All };
    let (promise, pending) = bridge::promise(interp);
    let bucket = kv.bucket.clone();
    let done = Box::new(move |created: error::Result<()>| {
        promise.complete(created.map_err(|error| bucket_gone(&bucket.name, error)));
    });
    let source = Rc::new(wanted.start(kv, api, sender, pick, done)?);
    lister.running.replace(Some(Running { source, events }));
    unfinished.wait(interp, &kv.js, pending, lister, |lister| {
        if let Some(running) = lister.running.borrow().as_ref() {
            running.events.start();
        }
        Ok(())
    })
}

pub fn register(interp: Interp<'_>) -> Result<()> {
    oo::define(interp, "::nats::kv_lister", None, None, &[])
}
