//! Publishing into streams.
//!
//! | file | what it is |
//! |---|---|
//! | `single` | `publish`, `publish_msg` |
//! | `all` | `publish_all` |
//! | `many` | `pending`, `publish_complete` |
//! | `options` | their options, and the headers that those set |
//! | `ack` | what a stream answers |
//! | `window` | how many publishes may be unacknowledged, and what became of them |

pub mod ack;
mod all;
mod many;
pub mod options;
mod single;
mod window;

use crate::connection::Connection;
use crate::connection::log::Level;
use crate::error::{Error, Result as Outcome};
use crate::json;
use crate::tcl::{Dict, Interp, Obj, Result, oo};
use ack::Ack;
pub use options::increment;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use window::Window;

/// What an object has for publishing.
pub struct Publishing {
    pub window: Arc<Window>,
    /// Cleared when the object goes: nothing is called back any more.
    alive: Cell<bool>,
    words: AckWords,
}

impl Publishing {
    /// With this limit of what is unacknowledged; 0 is none.
    pub fn new(max_pending: u64) -> Publishing {
        Publishing {
            window: Window::new(max_pending),
            alive: Cell::new(true),
            words: AckWords::default(),
        }
    }

    pub fn gone(&self) {
        self.alive.set(false);
    }

    /// The acknowledgement as a dict, as it came.
    fn acknowledgement(&self, payload: &[u8]) -> Outcome<Obj> {
        Ok(self.words.dict(ack::read(payload)?))
    }
}

/// The words of plain acknowledgements, which are made once.
struct AckWords {
    stream: Obj,
    seq: Obj,
    /// The last stream that has answered.
    last: RefCell<(String, Obj)>,
}

impl Default for AckWords {
    fn default() -> AckWords {
        let last = RefCell::new((String::new(), Obj::empty()));
        AckWords { stream: Obj::new("stream"), seq: Obj::new("seq"), last }
    }
}

impl AckWords {
    fn dict(&self, ack: Ack<'_>) -> Obj {
        let (stream, seq) = match ack {
            Ack::Plain { stream, seq } => (stream, seq),
            Ack::Whole(value) => return json::to_obj(&value),
        };
        let mut last = self.last.borrow_mut();
        if last.0 != stream {
            *last = (stream.to_owned(), Obj::new(stream));
        }
        Obj::list_of([&self.stream, &last.1, &self.seq, &Obj::uint(seq)])
    }
}

/// A publish has a reply subject of its own: that of the message, if it has one, means nothing.
pub fn warn_of_reply(connection: &Connection, method: &str, reply: &Obj) {
    if !reply.is_empty() {
        let text = format!("{method}: the reply {} will be ignored", reply.text());
        connection.logger.log(Level::Warn, &text);
    }
}

/// What a stream, or something else, has against a publish.
pub fn error_dict(error: &Error) -> Dict {
    let (code, err_code) = error.api.unwrap_or((500, 0));
    let mut dict = Dict::new();
    dict.put("code", &Obj::uint(code));
    dict.put("err_code", &Obj::uint(err_code));
    dict.put("errorMessage", &Obj::new(&error.message));
    dict
}

pub fn register(interp: Interp<'_>) -> Result<()> {
    for methods in [single::METHODS, many::METHODS, all::METHODS] {
        oo::define(interp, "::nats::jet_stream", None, None, methods)?;
    }
    Ok(())
}
