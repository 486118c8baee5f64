//! States of alert topics.

use std::collections::BTreeMap;

use super::{StoreError, table::Table};
use crate::alert::{EventState, TopicStore};

/// Events by id.
pub(super) type Events = BTreeMap<String, EventState>;

pub struct TopicTable(pub(super) Table<Events>);

impl TopicTable {
    fn write(&self, topic: &str, events: &Events) -> Result<(), StoreError> {
        self.0.change(|transaction| match events.is_empty() {
            true => self.0.delete_in(transaction, topic),
            false => self.0.put_in(transaction, topic, events),
        })
    }
}

impl TopicStore for TopicTable {
    fn load(&self) -> Vec<(String, Events)> {
        self.0.entries().unwrap_or_else(|error| {
            tracing::error!(service = "alert", err = %error, "states of topics are lost");
            Vec::new()
        })
    }

    fn save(&self, topic: &str, events: &Events) {
        if let Err(error) = self.write(topic, events) {
            tracing::error!(service = "alert", topic, err = %error, "the state of a topic cannot be kept");
        }
    }
}
