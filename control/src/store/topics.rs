//! States of alert topics.

use std::collections::BTreeMap;

use heed::Env;

use super::{StoreError, Table};
use crate::alert::{EventState, TopicStore};

/// Events by id.
type Events = BTreeMap<String, EventState>;

pub struct TopicTable {
    pub(super) env: Env,
    pub(super) table: Table,
}

impl TopicTable {
    fn read(&self) -> Result<Vec<(String, Events)>, StoreError> {
        let transaction = self.env.read_txn()?;
        let mut topics = Vec::new();
        for entry in self.table.iter(&transaction)? {
            let (name, events) = entry?;
            topics.push((name.to_owned(), serde_json::from_slice(events)?));
        }
        Ok(topics)
    }

    fn write(&self, topic: &str, events: &BTreeMap<String, EventState>) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        if events.is_empty() {
            self.table.delete(&mut transaction, topic)?;
        } else {
            self.table.put(&mut transaction, topic, &serde_json::to_vec(events)?)?;
        }
        Ok(transaction.commit()?)
    }
}

impl TopicStore for TopicTable {
    fn load(&self) -> Vec<(String, BTreeMap<String, EventState>)> {
        self.read().unwrap_or_else(|error| {
            tracing::error!(service = "alert", err = %error, "states of topics are lost");
            Vec::new()
        })
    }

    fn save(&self, topic: &str, events: &BTreeMap<String, EventState>) {
        if let Err(error) = self.write(topic, events) {
            tracing::error!(service = "alert", topic, err = %error, "the state of a topic cannot be kept");
        }
    }
}
