//! A channel of Tcl, and whether it is still the same one: names of channels are used again, at once.

use super::interp::{Interp, InterpHandle};
use super::stubs;
use std::ffi::{CString, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Knows when the channel that had a name is closed.
pub struct KnownChannel {
    interp_handle: InterpHandle,
    name: CString,
    channel: *mut stubs::Channel,
    closed: Arc<AtomicBool>,
}

impl KnownChannel {
    /// `None` for one that does not exist.
    pub fn of(interp: Interp<'_>, name: &str) -> Option<KnownChannel> {
        let name = CString::new(name).ok()?;
        let channel = interp.channel(&name)?;
        let closed = Arc::new(AtomicBool::new(false));
        // The handler has one reference, which it gives up when it is called or deleted.
        let data = Arc::into_raw(closed.clone()).cast_mut().cast();
        // SAFETY: the channel exists. Tcl calls the handler once, with this data, wherever the
        // channel has been moved to.
        unsafe { stubs::create_close_handler(channel, closes, data) };
        Some(KnownChannel { interp_handle: interp.handle(), name, channel, closed })
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Somebody has found out that it is closed. Tcl does not tell it of a channel that was still writing in the
    /// background when it was closed.
    pub fn closed(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

impl Drop for KnownChannel {
    fn drop(&mut self) {
        // One that is not here any more may be another thread's: the handler stays, until it is closed.
        let Some(guard) = self.interp_handle.enter() else { return };
        if self.is_closed() || guard.interp().channel(&self.name) != Some(self.channel) {
            return;
        }
        let data = Arc::as_ptr(&self.closed);
        // SAFETY: the channel is of this interpreter and not closed, so the handler is there and has
        // its reference, which nobody else takes.
        unsafe {
            stubs::delete_close_handler(self.channel, closes, data.cast_mut().cast());
            drop(Arc::from_raw(data));
        }
    }
}

/// Is called while the channel is closed.
unsafe extern "C" fn closes(data: *mut c_void) {
    // SAFETY: the reference that `of` made for the handler.
    let closed = unsafe { Arc::from_raw(data.cast_const().cast::<AtomicBool>()) };
    closed.store(true, Ordering::Release);
}
