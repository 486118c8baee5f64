//! One writer for each topic of a cluster, shared by all handlers that write to it; it ends with the last of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{Settings, TopicWriter};

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub settings: Settings,
    pub topic: String,
}

/// All writers, by cluster and topic.
#[derive(Default)]
pub struct Writers(Mutex<BTreeMap<(String, String), Weak<TopicWriter>>>);

impl Writers {
    /// The writer of a topic, with the settings that its cluster has now.
    pub fn get(&self, target: &Target) -> Arc<TopicWriter> {
        let mut writers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (target.settings.cluster.clone(), target.topic.clone());
        let known = writers.get(&place).and_then(Weak::upgrade);
        if let Some(writer) = known.filter(|writer| *writer.settings() == target.settings) {
            return writer;
        }
        writers.retain(|_, writer| writer.strong_count() > 0);
        let writer = Arc::new(TopicWriter::new(target.settings.clone(), target.topic.clone()));
        writers.insert(place, Arc::downgrade(&writer));
        writer
    }

    /// Cluster, topic, and how many records were written and were not.
    pub fn counts(&self) -> Vec<(String, String, (u64, u64))> {
        let writers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |((cluster, topic), writer): (&(String, String), &Weak<TopicWriter>)| {
            Some((cluster.clone(), topic.clone(), writer.upgrade()?.counts()))
        };
        writers.iter().filter_map(count).collect()
    }
}
