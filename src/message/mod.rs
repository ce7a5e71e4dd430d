//! Messages as a program has them: payloads, dicts, headers. What the wire has is in `transport`.

mod batch;
mod format;
pub mod header;

pub use batch::Batch;
pub use format::{MessageFormat, Stored, field};
