//! Batch tasks: queries to InfluxDB on a schedule (reference: batch-and-replay §1–§9).
//!
//! Control asks and keeps the time; the answers go over a feed to the task's lane in the data plane. Each query node has
//! a loop of its own, which waits until its batches have run before the next tick.

mod cron;
mod live;
mod query;
mod schedule;

pub use live::{Failed, Loops, start};
pub use query::{Asked, Query, allowed_queries, queries};
pub use schedule::Schedule;
