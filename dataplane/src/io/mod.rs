//! The I/O thread: what is not the write path.
//!
//! It accepts connections and gives each to a shard, relays requests that are not writes to the control plane, posts for
//! httpPost nodes, and speaks the link. One task that owns the list of running tasks ([`tasks`]) carries out the control
//! plane's commands over all shards, one start or stop at a time.

pub mod accept;
pub mod authorize;
pub mod autoscale;
pub mod exchange;
pub mod feed;
pub mod influxdb;
pub mod link;
pub mod listeners;
pub mod post;
pub mod recording;
pub mod relay;
pub mod shards;
pub mod statistics;
pub mod tasks;
pub mod tls;
pub mod udf;
pub mod write_log;
