//! Handlers of topics, defined and changed over the API (reference: http-api §18).

use std::{collections::BTreeMap, sync::PoisonError};

use super::{Alerts, SpecError, TopicHandler};
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("cannot register handler, handler with ID {0:?} already exists")]
    Exists(String),
    #[error("unknown handler: {0:?}")]
    Unknown(String),
    #[error("cannot change topic in update")]
    OtherTopic,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// By topic and id.
type Defined = BTreeMap<(String, String), TopicHandler>;

impl Alerts {
    /// The handlers of a topic, by id.
    pub fn handlers(&self, topic: &str) -> Vec<TopicHandler> {
        let defined = self.defined();
        defined.values().filter(|handler| handler.topic == topic).cloned().collect()
    }

    pub fn handler(&self, topic: &str, id: &str) -> Option<TopicHandler> {
        self.defined().get(&(topic.to_owned(), id.to_owned())).cloned()
    }

    /// Defines a handler and starts it. Waits for the disk.
    pub fn create_handler(&self, handler: TopicHandler) -> Result<(), HandlerError> {
        handler.check()?;
        let mut defined = self.defined();
        let key = (handler.topic.clone(), handler.id.clone());
        if defined.contains_key(&key) {
            return Err(HandlerError::Exists(handler.id));
        }
        let (spec, condition) = handler.build(&*self.shared.endpoints)?;
        self.check_configured(&spec).map_err(|(_, error)| SpecError::Unusable(error))?;
        self.shared.table.replace(None, &handler)?;
        let running = self.start_handler(&handler.topic, spec, condition);
        self.topics().entry(handler.topic.clone()).or_default().defined.insert(handler.id.clone(), running);
        defined.insert(key, handler);
        Ok(())
    }

    /// Replaces a handler, whose id may change. Waits for the disk.
    pub fn replace_handler(&self, topic: &str, id: &str, handler: TopicHandler) -> Result<(), HandlerError> {
        handler.check()?;
        let mut defined = self.defined();
        let old = (topic.to_owned(), id.to_owned());
        if !defined.contains_key(&old) {
            return Err(HandlerError::Unknown(id.to_owned()));
        }
        if handler.topic != topic {
            return Err(HandlerError::OtherTopic);
        }
        let new = (topic.to_owned(), handler.id.clone());
        if new != old && defined.contains_key(&new) {
            return Err(HandlerError::Exists(handler.id));
        }
        let (spec, condition) = handler.build(&*self.shared.endpoints)?;
        self.check_configured(&spec).map_err(|(_, error)| SpecError::Unusable(error))?;
        self.shared.table.replace(Some(id), &handler)?;
        let running = self.start_handler(topic, spec, condition);
        let mut topics = self.topics();
        let entry = topics.entry(topic.to_owned()).or_default();
        entry.defined.remove(id);
        entry.defined.insert(handler.id.clone(), running);
        defined.remove(&old);
        defined.insert(new, handler);
        Ok(())
    }

    /// Ends a handler; one that is not there is deleted already. Waits for the disk.
    pub fn delete_handler(&self, topic: &str, id: &str) -> Result<(), HandlerError> {
        let mut defined = self.defined();
        self.shared.table.delete(topic, id)?;
        defined.remove(&(topic.to_owned(), id.to_owned()));
        if let Some(topic) = self.topics().get_mut(topic) {
            topic.defined.remove(id);
        }
        Ok(())
    }

    /// Starts a handler of the store; one that cannot work any more stays defined.
    pub(super) fn restore_handler(&self, handler: TopicHandler) {
        match handler.build(&*self.shared.endpoints) {
            Ok((spec, condition)) => {
                let running = self.start_handler(&handler.topic, spec, condition);
                self.topics().entry(handler.topic.clone()).or_default().defined.insert(handler.id.clone(), running);
            }
            Err(error) => {
                let (topic, id) = (&handler.topic, &handler.id);
                tracing::error!(service = "alert", topic, handler = id, err = %error, "a handler cannot start");
            }
        }
        self.defined().insert((handler.topic.clone(), handler.id.clone()), handler);
    }

    fn defined(&self) -> std::sync::MutexGuard<'_, Defined> {
        self.shared.defined.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
