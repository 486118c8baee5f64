//! What the end-to-end tests share: the real binaries under test, an HTTP client, a sink for what they post, and the
//! case format of `cases/`.
//!
//! A case is a folder of one of three kinds:
//!
//! ```text
//! stream   task.tick + input.lp     define the task, write the points, collect what comes out
//! batch    the same, type = "batch" in case.toml; needs a real InfluxDB
//! api      steps.json               requests and the responses they must get
//! ```

pub mod case;
pub mod compare;
pub mod engine;
pub mod fuzz;
pub mod http;
pub mod influxdb;
pub mod kafka;
pub mod load;
pub mod pending;
pub mod process;
pub mod runner;
pub mod server;
pub mod sink;
pub mod staging;
pub mod stand;
pub mod stand_in;
