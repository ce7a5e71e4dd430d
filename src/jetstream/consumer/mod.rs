//! Consumers.

pub mod config;
