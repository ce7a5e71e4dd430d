//! Services (ADR-32): `nats::service`, what it answers to those who look for it, and the other side.
//!
//! | file | what it is |
//! |---|---|
//! | `names` | what names, versions and subjects may be |
//! | `object`, `methods`, `group` | `nats::service` and its methods; `nats::service_group` |
//! | `common` | what a service shares with its endpoints |
//! | `endpoint`, `counters` | an endpoint: its subscription, its callback; what is counted |
//! | `desk`, `answer` | requests in hand; how the program answers them |
//! | `monitor` | PING, INFO and STATS |
//! | `stop` | `stop` |
//! | `discover`, `read` | the native half of `nats::service discover`; what others answer |

mod answer;
mod common;
mod counters;
mod desk;
mod discover;
mod endpoint;
mod group;
mod methods;
mod monitor;
mod names;
mod object;
mod read;
mod stop;

use crate::tcl::{Interp, Result};

pub fn register(interp: Interp<'_>) -> Result<()> {
    object::register(interp)?;
    methods::register(interp)?;
    group::register(interp)?;
    answer::register(interp)?;
    discover::register(interp)
}
