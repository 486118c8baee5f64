//! Farad's data plane: receives line protocol, shards series across pinned cores, runs compiled tasks.
//!
//! Life of a point: a connection's bytes ([`http`], [`line`]) become a [`block`] of rows staged per owner shard; the
//! owner runs each row through the operators ([`dag`], [`node`]) of the tasks that want it.
//!
//! Invariants: the data plane never opens the store, never parses TICKscript, never talks to a notification service.

pub mod arrival;
pub mod block;
pub mod causes;
pub mod clock;
pub mod config;
pub mod dag;
pub mod expr;
pub mod fields;
pub mod gate;
pub mod gotime;
pub mod group;
pub mod http;
mod huge_pages;
pub mod io;
pub mod json;
pub mod lane;
pub mod latency;
pub mod limits;
pub mod line;
pub mod logging;
pub mod name;
pub mod node;
pub mod packed;
pub mod point;
mod prefetch;
pub mod process;
pub mod profile;
pub mod rate;
pub mod reactor;
pub mod recording;
pub mod rfc3339;
pub mod routing;
pub mod row;
pub mod scheduling;
pub mod series;
pub mod shard;
pub mod tags;
pub mod template;
pub mod trust;
pub mod udf;
pub mod value;
