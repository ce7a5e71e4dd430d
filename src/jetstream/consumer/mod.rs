//! The methods of `nats::jet_stream` that manage consumers.
//!
//! | file | what it is |
//! |---|---|
//! | `config` | the table of what a consumer consists of |
//! | `add` | methods that make and change consumers |
//! | `manage` | methods that tell of consumers and delete them |
//! | `state` | methods that pause, reset, unpin and move consumers |

mod add;
pub mod config;
mod manage;
mod state;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    add::register(interp)?;
    manage::register(interp)?;
    state::register(interp)
}
