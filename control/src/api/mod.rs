//! The REST API (reference: http-api). One resource, one file.
//!
//! Routing is the original's: by method first, exact paths or everything below one, a wrong method is a plain 404. The
//! router of axum carries the requests; [`dispatch`] decides.

mod access;
mod access_log;
pub mod answer;
mod body;
mod config;
mod debug;
mod dispatch;
mod http_out;
mod limits;
mod listing;
mod logs;
mod metrics;
mod options;
mod page;
mod pprof;
mod recordings;
mod replays;
mod routes;
mod service_tests;
mod sideload;
mod storage;
mod subscriptions;
mod tasks;
mod templates;
mod topics;
mod users;

use std::{sync::Arc, time::Instant};

use axum::Router;
use proto::plan::ServerInfo;

use crate::{
    alert::Alerts,
    auth::Auth,
    config::Live,
    engine::Engine,
    influxdb::{Clusters, Subscriptions},
    load::Loader,
    recording::Recordings,
    replay::Replays,
    store::Store,
    task::Tasks,
};
pub use tasks::stats as task_stats;

pub use metrics::Latency;

/// Version that answers carry.
pub const VERSION: &str = concat!("farad-", env!("CARGO_PKG_VERSION"));

/// Where the resources are, and the other name of the same place.
const BASE: &str = "/kapacitor/v1";
const PREVIEW: &str = "/kapacitor/v1preview";

/// Largest body of a request to the API.
pub const BODY_BYTES_MAX: usize = 32 << 20;

/// What the resources need; cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub tasks: Tasks,
    pub engine: Engine,
    pub alerts: Alerts,
    pub recordings: Recordings,
    pub replays: Replays,
    pub server: Arc<ServerInfo>,
    pub live: Live,
    pub auth: Auth,
    pub store: Store,
    pub clusters: Clusters,
    pub subscriptions: Subscriptions,
    pub started: Instant,
    pub latency: Arc<Latency>,
    pub loader: Arc<Loader>,
    /// Log one line a request.
    pub log_requests: bool,
}

/// All routes.
pub fn router(api: Api) -> Router {
    Router::new().fallback(dispatch::dispatch).with_state(api)
}
