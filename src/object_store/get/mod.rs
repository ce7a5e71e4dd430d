//! `get`: an object of any size out of the store, whole or not at all.
//!
//! | file | what it is |
//! |---|---|
//! | `assembly` | counts what comes; decides what a failure means; does nothing |
//! | `driver` | reads the chunks by an ordered consumer |
//! | `sink`, `file`, `writer` | where data go: memory; files; channels, on the Tcl thread |
//! | `command` | the method |

mod assembly;
mod command;
mod driver;
mod file;
mod sink;
mod writer;

pub use self::command::register;
