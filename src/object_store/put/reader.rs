//! Reads a channel of the program for a put, as much as is asked for.

use super::source::Piece;
use crate::bridge::{self, Receiver, Sender};
use crate::object_store::transfer::channel::{Channel, Input, Ready};
use crate::object_store::transfer::trouble::Trouble;
use crate::tcl::{Interp, Obj};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub struct Reader {
    channel: Channel,
    wanted: Cell<usize>,
    pieces: UnboundedSender<Piece>,
    asked: RefCell<Option<Receiver<usize>>>,
    me: Weak<Reader>,
}

impl Reader {
    pub fn new(
        interp: Interp<'_>,
        channel: Channel,
    ) -> (Rc<Reader>, Sender<usize>, UnboundedReceiver<Piece>) {
        let (pieces, come) = unbounded_channel();
        let reader = Rc::new_cyclic(|me| Reader {
            channel,
            wanted: Cell::new(0),
            pieces,
            asked: RefCell::default(),
            me: me.clone(),
        });
        let (weak, handle) = (Rc::downgrade(&reader), interp.handle());
        let (ask, asked) = bridge::channel(interp.handle(), move |more: usize, _| {
            if let (Some(reader), Some(guard)) = (weak.upgrade(), handle.enter()) {
                reader.wanted.set(reader.wanted.get() + more);
                reader.go_on(guard.interp());
            }
        });
        asked.start();
        reader.asked.replace(Some(asked));
        (reader, ask, come)
    }

    fn go_on(&self, interp: Interp<'_>) {
        let wanted = self.wanted.get();
        if wanted == 0 {
            return;
        }
        let waits = match self.channel.read(interp, wanted) {
            Ok(Input::Nothing) => {
                let me: Weak<dyn Ready> = self.me.clone();
                self.channel.wait_for(interp, Some(me))
            }
            Ok(Input::Data(data)) => {
                self.tell(Piece::Data(bytes_of(&data)));
                self.channel.wait_for(interp, None)
            }
            Ok(Input::End) => {
                self.tell(Piece::End);
                self.channel.wait_for(interp, None)
            }
            Err(trouble) => Err(trouble),
        };
        if let Err(trouble) = waits {
            self.fail(trouble);
        }
    }

    fn tell(&self, piece: Piece) {
        self.wanted.set(0);
        // Nobody may want it any more.
        let _ = self.pieces.send(piece);
    }

    fn fail(&self, trouble: Trouble) {
        self.tell(Piece::Failed(trouble));
    }
}

impl Ready for Reader {
    fn ready(&self, interp: Interp<'_>) {
        self.go_on(interp);
    }
}

fn bytes_of(data: &Obj) -> Bytes {
    data.with_payload(false, Bytes::copy_from_slice)
}
