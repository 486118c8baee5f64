//! Shards: one pinned thread each, sharing nothing.
//!
//! A shard is two things at once. As *receiver* it takes the bodies of its connections ([`connections`], [`connection`])
//! and stages them, where they were received, as blocks, one per owner ([`intake`], [`receiver`]). As *owner* it runs blocks, its own and others', through its part of the tasks
//! ([`inbox`], [`owner`]).
//! Blocks cross by bounded rings, one hop ([`ring`]). A shard never waits on a push: what does not fit stays with its
//! body, and that connection's answer and next read wait.

mod carry_over;
pub mod command;
pub mod connection;
pub mod connections;
pub mod inbox;
pub mod inputs;
pub mod intake;
pub mod limits;
pub mod outputs;
pub mod owner;
pub mod ports;
pub mod receiver;
pub mod reingest;
pub mod ring;
mod routes;
mod seats;
mod staging;
pub mod thread;
pub mod write_log;
