//! Handlers of topics, as they were defined over the API.

use super::{
    StoreError,
    table::{Keyed, Table},
};
use crate::alert::TopicHandler;

/// Stands between topic and id in a key; neither can hold it.
const SEPARATOR: char = '\0';

#[derive(Clone)]
pub struct HandlerTable(pub(super) Table<TopicHandler>);

impl Keyed for TopicHandler {
    fn key(&self) -> String {
        key(&self.topic, &self.id)
    }
}

impl HandlerTable {
    /// All handlers, by topic and id.
    pub fn all(&self) -> Result<Vec<TopicHandler>, StoreError> {
        self.0.all()
    }

    /// Writes a handler; `old` is the id that it had before, if another.
    pub fn replace(&self, old: Option<&str>, handler: &TopicHandler) -> Result<(), StoreError> {
        self.0.replace(old.map(|old| key(&handler.topic, old)).as_deref(), handler)
    }

    pub fn delete(&self, topic: &str, id: &str) -> Result<(), StoreError> {
        self.0.delete(&key(topic, id))
    }
}

fn key(topic: &str, id: &str) -> String {
    format!("{topic}{SEPARATOR}{id}")
}
