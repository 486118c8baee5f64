//! Replays by id.

use serde::{Deserialize, Serialize};

use super::table::{Keyed, Table};
use crate::{recording::Status, replay::Clock};

/// A replay as the API shows it (reference: http-api §17).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredReplay {
    pub id: String,
    pub task: String,
    /// Empty for those that query InfluxDB.
    pub recording: String,
    pub recording_time: bool,
    pub clock: Clock,
    /// Of the request while it runs, then of its end. Nanoseconds since 1970.
    pub date: i64,
    pub error: String,
    pub status: Status,
    pub progress: f64,
    /// What the API shows of the counters; an empty object until it has finished.
    pub stats: serde_json::Value,
}

pub type ReplayTable = Table<StoredReplay>;

impl Keyed for StoredReplay {
    fn key(&self) -> String {
        self.id.clone()
    }
}
