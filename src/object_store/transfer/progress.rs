//! How far a transfer is, told to a callback of the program. What the callback is too slow to hear is left
//! out, but not the end.

use crate::bridge::{self, LanePlace, Receiver, Rest, Sender};
use crate::tcl::{Interp, Obj, Prefix, Result};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const UNKNOWN: u64 = u64::MAX;

struct Shared {
    done: AtomicU64,
    total: AtomicU64,
    /// The callback has still to hear of what is there.
    told: AtomicBool,
}

/// The runtime's part.
#[derive(Clone)]
pub struct Progress(Option<(Arc<Shared>, Sender<()>)>);

impl Progress {
    pub fn total(&self, total: u64) {
        if let Some((shared, _)) = &self.0 {
            shared.total.store(total, Ordering::Relaxed);
        }
    }

    pub fn done(&self, done: u64) {
        let Some((shared, sender)) = &self.0 else { return };
        if shared.done.swap(done, Ordering::Relaxed) != done
            && !shared.told.swap(true, Ordering::AcqRel)
        {
            sender.send(());
        }
    }
}

/// The Tcl thread's part.
pub struct Reporter {
    callback: Prefix,
    shared: Arc<Shared>,
    shown: Cell<Option<u64>>,
    lane: LanePlace<()>,
    receiver: RefCell<Option<Receiver<()>>>,
}

/// For this callback, if there is one.
pub fn progress(
    interp: Interp<'_>,
    callback: Option<&Obj>,
) -> Result<(Progress, Option<Rc<Reporter>>)> {
    let callback = callback.map(|callback| callback.elements(interp)).transpose()?;
    let Some(callback) = callback.filter(|words| !words.is_empty()) else {
        return Ok((Progress(None), None));
    };
    let shared = Arc::new(Shared {
        done: AtomicU64::new(0),
        total: AtomicU64::new(UNKNOWN),
        told: AtomicBool::new(false),
    });
    let reporter = Rc::new(Reporter {
        callback: Prefix::new(callback),
        shared: shared.clone(),
        shown: Cell::new(None),
        lane: LanePlace::new(),
        receiver: RefCell::default(),
    });
    let (weak, handle) = (Rc::downgrade(&reporter), interp.handle());
    let (sender, receiver) = bridge::channel(interp.handle(), move |(), rest| {
        if let (Some(reporter), Some(guard)) = (weak.upgrade(), handle.enter()) {
            reporter.report(guard.interp(), rest);
        }
    });
    receiver.start();
    reporter.receiver.replace(Some(receiver));
    Ok((Progress(Some((shared, sender))), Some(reporter)))
}

impl Reporter {
    fn report(&self, interp: Interp<'_>, rest: &Rest<'_, ()>) {
        if rest.admit(interp, &self.lane, self.callback.words(), ()).is_some() {
            self.shared.told.store(false, Ordering::Release);
            // More may have come since that was said, of which there is a word under way.
            if self.shown.get() != Some(self.shared.done.load(Ordering::Relaxed)) {
                self.show(interp);
            }
            rest.delivered(&self.lane);
        }
    }

    fn show(&self, interp: Interp<'_>) {
        let done = self.shared.done.load(Ordering::Relaxed);
        let total = match self.shared.total.load(Ordering::Relaxed) {
            UNKNOWN => Obj::empty(),
            total => Obj::uint(total),
        };
        self.shown.set(Some(done));
        self.callback.call(interp, [Obj::uint(done), total]);
    }

    /// Nothing is told any more, but for the end of a transfer that was complete.
    pub fn finish(&self, interp: Interp<'_>, complete: Option<u64>) {
        let receiver = self.receiver.take();
        drop(receiver);
        let Some(total) = complete else { return };
        if self.shown.get() != Some(total) {
            self.shared.done.store(total, Ordering::Relaxed);
            self.shared.total.store(total, Ordering::Relaxed);
            interp.aside(|| self.show(interp));
        }
    }
}
