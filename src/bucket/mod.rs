//! What buckets of keys and buckets of objects have in common.
//!
//! | file | what it is |
//! |---|---|
//! | `names`, `metadata` | names of buckets, and that there is none; their metadata |
//! | `own_writes` | what a handle has written, so that a read can tell that it is older |
//! | `health` | how a watch is, in words |
//! | `known` | what a watch has reported, to find what vanishes |
//! | `activity` | the silence of a server that a list tolerates |
//! | `unfinished` | objects whose creation is not complete |
//!
//! `unfinished` knows Tcl; everything else does not.

pub mod activity;
pub mod health;
pub mod known;
pub mod metadata;
pub mod names;
pub mod own_writes;
pub mod unfinished;
