//! The methods of `nats::jet_stream` that manage streams.
//!
//! | file | what it is |
//! |---|---|
//! | `config` | the table of what a stream consists of |
//! | `create`, `differences` | creating a stream; in what it differs from one that has its name |
//! | `manage` | methods that make, change, empty and delete streams |
//! | `info` | methods that tell which streams there are, and what they are like |
//! | `cluster` | methods about the servers that a stream is on |
//! | `make` | commands of the namespace that make the JSON of what is in a configuration |

mod cluster;
pub mod config;
pub mod create;
mod differences;
pub mod info;
mod make;
mod manage;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    info::register(interp)?;
    manage::register(interp)?;
    cluster::register(interp)?;
    make::register(interp)
}
