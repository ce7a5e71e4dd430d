//! What a service shares with its endpoints and with the requests that are in hand.

use crate::connection::Connection;
use crate::connection::log::Level;
use crate::error::{Error, Kind};
use crate::error_code::error_code;
use crate::tcl::{Dict, Interp, Obj, Prefix};
use crate::transport::{Headers, Link, Outgoing};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::rc::{Rc, Weak};

/// The header of the text, and that of the code, of an answer that is an error.
pub const ERROR: &str = "Nats-Service-Error";
pub const ERROR_CODE: &str = "Nats-Service-Error-Code";

/// In characters: there must be room for it in a message.
const LONGEST_DESCRIPTION: usize = 1000;

pub struct Common {
    /// Not a strong one: endpoints belong to subscriptions of the connection.
    pub connection: Weak<Connection>,
    pub name: String,
    pub id: String,
    pub version: String,
    pub description: String,
    pub metadata: Map<String, Value>,
    pub error_handler: Option<Prefix>,
    /// The object has gone: nobody answers any more.
    pub ended: Cell<bool>,
}

/// Where something went wrong.
pub struct Place<'a> {
    pub endpoint: &'a str,
    pub subject: &'a str,
}

impl Common {
    /// # Errors
    /// `ErrConnectionClosed` once the connection has gone.
    pub fn connection(&self) -> crate::error::Result<Rc<Connection>> {
        self.connection.upgrade().ok_or_else(Error::no_connection)
    }

    /// Says to somebody who asked that nobody will answer. Without a connection nobody can be told.
    pub fn refuse(&self, link: &Link, reply: &str) {
        let mut out = Outgoing::new(reply, "");
        out.headers = error_headers("503", &format!("The service {} has ended", self.name));
        let _ = link.publish(out);
    }

    /// Tells the program of an error that it made itself: whether there is somebody to be told.
    pub fn tell(&self, interp: Interp<'_>, place: &Place<'_>, text: &Obj, options: &Obj) -> bool {
        let Some(handler) = &self.error_handler else { return false };
        let code = options.dict_get(interp, "-errorcode").ok().flatten();
        let code = code.unwrap_or_else(|| Obj::new("NONE"));
        self.call(interp, handler, place, &code, text, options);
        true
    }

    /// Tells the program of an error of its own that Tcl did not throw.
    pub fn report(&self, interp: Interp<'_>, place: &Place<'_>, error: Error) {
        match &self.error_handler {
            Some(handler) => {
                let code = error_code(&Error::new(error.kind, ""));
                let text = Obj::new(&error.message);
                self.call(interp, handler, place, &code, &text, &Obj::empty());
            }
            None => interp.background(&error.into()),
        }
    }

    fn call(
        &self,
        interp: Interp<'_>,
        handler: &Prefix,
        place: &Place<'_>,
        code: &Obj,
        text: &Obj,
        options: &Obj,
    ) {
        let mut dict = Dict::new();
        dict.put("service", &Obj::new(&self.name));
        dict.put("endpoint", &Obj::new(place.endpoint));
        dict.put("subject", &Obj::new(place.subject));
        dict.put("code", code);
        dict.put("errorMessage", text);
        dict.put("options", options);
        handler.call(interp, [dict.into()]);
    }

    pub fn log(&self, level: Level, text: &str) {
        if let Some(connection) = self.connection.upgrade() {
            connection.logger.log(level, &format!("Service {}: {text}", self.name));
        }
    }

    pub fn stopped(&self) -> Error {
        Error::new(Kind::ServiceStopped, format!("The service {} is stopped", self.name))
    }
}

pub fn error_headers(code: &str, description: &str) -> Headers {
    let mut headers = Headers::new();
    headers.push(ERROR, description);
    headers.push(ERROR_CODE, code);
    headers
}

/// A text of the program as a header can have it: one line that is not too long.
pub fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("error");
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    line.chars().take(LONGEST_DESCRIPTION).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_one_line() {
        assert_eq!(one_line("a\tb\nc"), "a b");
        assert_eq!(one_line("\r\n  x: y\r\nNats-Forged: 1"), "x: y");
        assert_eq!(one_line(" \n"), "error");
        assert_eq!(one_line(&"ü".repeat(5000)), "ü".repeat(1000));
    }
}
