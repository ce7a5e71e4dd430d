//! Tests of links against a real server. Nothing here sleeps to wait for something: every wait is
//! for an observed state, with a deadline.

mod close;
mod connect;
mod deliver;
mod request;
mod speed;
pub(crate) mod support;
mod tls;
mod trace;
