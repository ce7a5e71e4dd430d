//! Fast ingest: messages are stored as they come, and acknowledged many at a time.
//!
//! | file | what it is |
//! |---|---|
//! | `machine` | the protocol, without I/O |
//! | `driver` | its subscription, its clock, and who waits for it |

mod driver;
mod machine;

pub use driver::{Fast, FastSettings};
pub use machine::News;
