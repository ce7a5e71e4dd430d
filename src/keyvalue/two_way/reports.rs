//! What a binding tells the program: changes that have not reached the bucket, and that it is ready.

use super::form::{self, Value};
use super::key::Loss;
use crate::bridge::{self, LanePlace, Receiver, Rest, Sender};
use crate::error::Error;
use crate::error_code::error_code;
use crate::keyvalue::object::KeyValue;
use crate::tcl::{Dict, Interp, InterpHandle, Obj, Prefix};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// What waits to be told; what it is about stays on this thread.
enum Notice {
    Ready,
    Loss,
}

struct Told {
    interp_handle: InterpHandle,
    on_error: Option<Prefix>,
    on_ready: Option<Prefix>,
    losses: RefCell<VecDeque<Report>>,
    lanes: [LanePlace<Notice>; 2],
}

/// One report: the dict, and the error that it is without a callback.
struct Report {
    dict: Obj,
    error: Error,
}

pub struct Reports {
    told: Rc<Told>,
    notices: Sender<Notice>,
    _end: Receiver<Notice>,
}

/// As the program is told of it.
fn dict(element: &str, loss: &Loss<Value>) -> Obj {
    let value = |value: &Option<Value>| match value {
        Some(value) => value.0.clone(),
        None => Obj::empty(),
    };
    let mut dict = Dict::new();
    dict.put("key", &Obj::new(element));
    dict.put("mine", &value(&loss.change.value));
    dict.put("theirs", &value(&loss.theirs));
    dict.put("revision", &Obj::uint(loss.revision));
    dict.put("code", &error_code(&loss.error));
    dict.put("message", &Obj::new(&loss.error.message));
    dict.put("mine_exists", &Obj::word(loss.change.value.is_some()));
    dict.put("theirs_exists", &Obj::word(loss.theirs.is_some()));
    dict.into()
}

/// The error of a change that was lost, for whoever has no callback or waits for it.
pub fn error_of(element: &str, loss: &Loss<Value>) -> Error {
    let what = if loss.change.value.is_some() { "written" } else { "deleted" };
    let message = format!("Key {element} was not {what}: {}", loss.error.message);
    loss.error.clone().with_message(message)
}

impl Told {
    fn notice(&self, notice: Notice, rest: &Rest<'_, Notice>) {
        let Some(guard) = self.interp_handle.enter() else { return };
        let interp = guard.interp();
        let (callback, lane) = match notice {
            Notice::Ready => (&self.on_ready, &self.lanes[0]),
            Notice::Loss => (&self.on_error, &self.lanes[1]),
        };
        let words = callback.as_ref().map_or(&[][..], Prefix::words);
        let Some(notice) = rest.admit(interp, lane, words, notice) else { return };
        match notice {
            Notice::Ready => {
                if let Some(callback) = callback {
                    callback.call(interp, []);
                }
            }
            Notice::Loss => self.tell(interp),
        }
        rest.delivered(lane);
    }

    fn tell(&self, interp: Interp<'_>) {
        let next = self.losses.borrow_mut().pop_front();
        let Some(Report { dict, error }) = next else { return };
        match &self.on_error {
            Some(callback) => drop(callback.call(interp, [dict])),
            None => interp.background(&error.into()),
        }
    }
}

impl Reports {
    pub fn new(
        interp: Interp<'_>,
        on_error: Option<Vec<Obj>>,
        on_ready: Option<Vec<Obj>>,
    ) -> Reports {
        let told = Rc::new(Told {
            interp_handle: interp.handle(),
            on_error: on_error.map(Prefix::new),
            on_ready: on_ready.map(Prefix::new),
            losses: RefCell::default(),
            lanes: Default::default(),
        });
        let this = told.clone();
        let (notices, end) =
            bridge::channel(interp.handle(), move |notice, rest| this.notice(notice, rest));
        end.start();
        Reports { told, notices, _end: end }
    }

    pub fn ready(&self) {
        if self.told.on_ready.is_some() {
            self.notices.send(Notice::Ready);
        }
    }

    /// The program hears of it when its present callback has ended.
    pub fn lost(&self, kv: &KeyValue, key: &str, loss: &Loss<Value>) -> Error {
        let element = form::key_out(kv, key);
        let error = error_of(&element, loss);
        let told = Report { dict: dict(&element, loss), error: error.clone() };
        self.told.losses.borrow_mut().push_back(told);
        self.notices.send(Notice::Loss);
        error
    }

    /// The bucket has gone, which is about no key.
    pub fn bucket_lost(&self, error: &Error) {
        let mut dict = Dict::new();
        dict.put("key", &Obj::empty());
        dict.put("code", &error_code(error));
        dict.put("message", &Obj::new(&error.message));
        let told = Report { dict: dict.into(), error: error.clone() };
        self.told.losses.borrow_mut().push_back(told);
        self.notices.send(Notice::Loss);
    }

    /// Tells at once what is still to be told: the binding goes.
    pub fn rest(&self, interp: Interp<'_>) {
        while !self.told.losses.borrow().is_empty() && !interp.deleted() {
            self.told.tell(interp);
        }
    }
}
