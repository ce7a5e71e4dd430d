//! `-custom_reconnect_delay`: how the program is asked for the wait before an attempt.

use super::Connection;
use super::servers::entry_dict;
use crate::error::Error;
use crate::options;
use crate::tcl::{Interp, Obj, Result};
use crate::transport::ServerEntry;
use std::time::Duration;

impl Connection {
    /// Calls the program; `None` if it has no callback, or if that fails, which is a background
    /// error then.
    pub(super) fn ask_for_delay(&self, server: &ServerEntry) -> Option<Duration> {
        let guard = self.interp_handle.enter()?;
        let interp = guard.interp();
        let prefix = self.config.borrow().custom_reconnect_delay.clone();
        if prefix.is_empty() {
            return None;
        }
        interp.aside(|| {
            let delay = ask(interp, &prefix, server);
            delay.map_err(|failure| interp.background(&failure)).ok()
        })
    }
}

fn ask(interp: Interp<'_>, prefix: &Obj, server: &ServerEntry) -> Result<Duration> {
    let mut words = prefix.elements(interp)?;
    words.push(entry_dict(server));
    let value = interp.call(&mut words)?;
    let ms = options::integer(&value).and_then(|ms| u64::try_from(ms).ok()).ok_or_else(|| {
        let text = "-custom_reconnect_delay must return milliseconds";
        Error::invalid(format!("{text}, got \"{}\"", value.text()))
    })?;
    Ok(Duration::from_millis(ms))
}
