//! Recordings by id.

use heed::Env;
use serde::{Deserialize, Serialize};

use super::{StoreError, Table};
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

#[derive(Clone)]
pub struct RecordingTable {
    pub(super) env: Env,
    pub(super) table: Table,
}

impl RecordingTable {
    /// All recordings, in order of id.
    pub fn all(&self) -> Result<Vec<StoredRecording>, StoreError> {
        let transaction = self.env.read_txn()?;
        let mut recordings = Vec::new();
        for entry in self.table.iter(&transaction)? {
            recordings.push(serde_json::from_slice(entry?.1)?);
        }
        Ok(recordings)
    }

    pub fn put(&self, recording: &StoredRecording) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        self.table.put(&mut transaction, &recording.id, &serde_json::to_vec(recording)?)?;
        Ok(transaction.commit()?)
    }

    pub fn delete(&self, id: &str) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        self.table.delete(&mut transaction, id)?;
        Ok(transaction.commit()?)
    }
}
