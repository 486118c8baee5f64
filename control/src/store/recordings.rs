//! Recordings by id.

use serde::{Deserialize, Serialize};

use super::table::{Keyed, Table};
use crate::recording::{Kind, Status};

/// A recording as the API shows it (reference: http-api §15).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRecording {
    pub id: String,
    pub kind: Kind,
    /// Bytes of the file; -1 without one.
    pub size: i64,
    /// Of the request while it runs, then of its end. Nanoseconds since 1970.
    pub date: i64,
    pub error: String,
    pub status: Status,
    pub progress: f64,
}

pub type RecordingTable = Table<StoredRecording>;

impl Keyed for StoredRecording {
    fn key(&self) -> String {
        self.id.clone()
    }
}
