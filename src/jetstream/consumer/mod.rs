//! Consumers: so far the tables of their requests and replies, which the ordered consumer is made
//! from.

pub mod config;
