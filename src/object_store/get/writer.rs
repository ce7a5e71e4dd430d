//! Writes to a channel of the program for a get, as fast as that takes it.

use super::sink::{Outlet, Told};
use crate::bridge::{self, Receiver};
use crate::object_store::transfer::channel::{Channel, Ready};
use crate::object_store::transfer::trouble::Trouble;
use crate::tcl::Interp;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// What comes from the runtime.
pub enum Item {
    Data(Bytes),
    /// Tell when all are written.
    Flush,
    /// It has been waited for.
    Look,
}

pub struct Writer {
    channel: Channel,
    waiting: RefCell<VecDeque<Bytes>>,
    flush: Cell<bool>,
    tell: UnboundedSender<Told>,
    /// It is being written to, which may run the event loop.
    busy: Cell<bool>,
    items: RefCell<Option<Receiver<Item>>>,
    me: Weak<Writer>,
}

impl Writer {
    pub fn new(interp: Interp<'_>, channel: Channel) -> (Rc<Writer>, Outlet) {
        let (tell, told) = unbounded_channel();
        let writer = Rc::new_cyclic(|me| Writer {
            channel,
            waiting: RefCell::default(),
            flush: Cell::new(false),
            tell,
            busy: Cell::new(false),
            items: RefCell::default(),
            me: me.clone(),
        });
        let (weak, handle) = (Rc::downgrade(&writer), interp.handle());
        let (sender, items) = bridge::channel(interp.handle(), move |item, _| {
            let (Some(writer), Some(guard)) = (weak.upgrade(), handle.enter()) else { return };
            match item {
                Item::Data(data) => writer.waiting.borrow_mut().push_back(data),
                Item::Flush => writer.flush.set(true),
                Item::Look => writer.try_again(guard.interp()),
            }
            writer.ready(guard.interp());
        });
        items.start();
        writer.items.replace(Some(items));
        (writer, Outlet::new(sender, told))
    }

    /// Writes what the channel takes; whether it has to be waited for then.
    fn go_on(&self, interp: Interp<'_>) -> Result<bool, Trouble> {
        loop {
            if self.channel.unwritten(interp)? > 0 {
                return Ok(true);
            }
            let next = self.waiting.borrow_mut().pop_front();
            let Some(data) = next else { break };
            self.channel.write(interp, &data)?;
            // The get may be over.
            let _ = self.tell.send(Told::Taken(data.len() as u64));
        }
        if self.flush.take() {
            let _ = self.tell.send(Told::Flushed);
        }
        Ok(false)
    }

    fn try_again(&self, interp: Interp<'_>) {
        if self.busy.get() {
            return;
        }
        if let Err(trouble) = self.channel.try_again(interp) {
            let _ = self.tell.send(Told::Failed(trouble));
        }
    }

    /// Closes a channel that is ours.
    pub fn close(&self, interp: Interp<'_>) -> Result<(), Trouble> {
        self.channel.close(interp)
    }
}

impl Ready for Writer {
    fn ready(&self, interp: Interp<'_>) {
        if self.busy.replace(true) {
            return;
        }
        let outcome = self.go_on(interp).and_then(|waits| {
            let me: Weak<dyn Ready> = self.me.clone();
            self.channel.wait_for(interp, waits.then_some(me))
        });
        self.busy.set(false);
        if let Err(trouble) = outcome {
            let _ = self.tell.send(Told::Failed(trouble));
        }
    }
}
