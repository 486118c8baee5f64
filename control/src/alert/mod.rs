//! Alert topics, and delivery of their events.

pub mod spec;
