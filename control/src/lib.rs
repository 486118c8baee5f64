//! Farad's control plane: REST API, TICKscript, store, alert topics, supervision of the data plane, command line.
//!
//! Life of a task: a request ([`api`]) becomes a definition ([`task`]), which is compiled ([`tick`]), kept ([`store`]) and
//! sent to the data plane as a plan ([`engine`], [`link`]). Its alert events come back to [`alert`].
//!
//! Invariant: the control plane never touches a point on the write path.

pub mod alert;
pub mod api;
pub mod auth;
pub mod batch;
pub mod cli;
pub mod config;
pub mod engine;
pub mod identity;
pub mod influxdb;
pub mod influxql;
pub mod kafka;
pub mod link;
pub mod load;
pub mod recording;
pub mod replay;
pub mod serve;
pub mod statistics;
pub mod store;
pub mod supervise;
pub mod task;
pub mod tick;
pub mod tls;
pub mod udf;
