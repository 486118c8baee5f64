//! Handlers of topics, as they were defined over the API.

use heed::Env;

use super::{StoreError, Table};
use crate::alert::TopicHandler;

/// Stands between topic and id in a key; neither can hold it.
const SEPARATOR: char = '\0';

#[derive(Clone)]
pub struct HandlerTable {
    pub(super) env: Env,
    pub(super) table: Table,
}

impl HandlerTable {
    /// All handlers, by topic and id.
    pub fn all(&self) -> Result<Vec<TopicHandler>, StoreError> {
        let transaction = self.env.read_txn()?;
        let mut handlers = Vec::new();
        for entry in self.table.iter(&transaction)? {
            handlers.push(serde_json::from_slice(entry?.1)?);
        }
        Ok(handlers)
    }

    /// Writes a handler; `old` is the id that it had before, if another.
    pub fn replace(&self, old: Option<&str>, handler: &TopicHandler) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        if let Some(old) = old {
            self.table.delete(&mut transaction, &key(&handler.topic, old))?;
        }
        self.table.put(&mut transaction, &key(&handler.topic, &handler.id), &serde_json::to_vec(handler)?)?;
        Ok(transaction.commit()?)
    }

    pub fn delete(&self, topic: &str, id: &str) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        self.table.delete(&mut transaction, &key(topic, id))?;
        Ok(transaction.commit()?)
    }
}

fn key(topic: &str, id: &str) -> String {
    format!("{topic}{SEPARATOR}{id}")
}
