//! Messages as a program has them: payloads, dicts, headers. What the wire has is in `transport`.

mod format;
pub mod header;

pub use format::{MessageFormat, Stored};
