//! Replays by id.

use heed::Env;
use serde::{Deserialize, Serialize};

use super::{StoreError, Table};
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

#[derive(Clone)]
pub struct ReplayTable {
    pub(super) env: Env,
    pub(super) table: Table,
}

impl ReplayTable {
    /// All replays, in order of id.
    pub fn all(&self) -> Result<Vec<StoredReplay>, StoreError> {
        let transaction = self.env.read_txn()?;
        let mut replays = Vec::new();
        for entry in self.table.iter(&transaction)? {
            replays.push(serde_json::from_slice(entry?.1)?);
        }
        Ok(replays)
    }

    pub fn put(&self, replay: &StoredReplay) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        self.table.put(&mut transaction, &replay.id, &serde_json::to_vec(replay)?)?;
        Ok(transaction.commit()?)
    }

    pub fn delete(&self, id: &str) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        self.table.delete(&mut transaction, id)?;
        Ok(transaction.commit()?)
    }
}
