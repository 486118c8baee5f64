//! Alerts that silence others, across tasks (reference: nodes-alert-join-io §2.8).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::StartError;
use crate::{group::GROUPS_MAX, name::Name, tags::TagSet};

/// Category, and the values of tags that an event must have to be silenced.
type Key = (String, Vec<(Name, String)>);

/// What is silenced now, in the whole process. Only nodes that name a category come here, and only for events.
#[derive(Debug, Default)]
pub struct Inhibitors {
    /// With the number of groups that silence it.
    active: Mutex<HashMap<Key, u64>>,
}

impl Inhibitors {
    /// Whether an event with these tags is silenced.
    pub fn is_inhibited(&self, category: &str, tags: &TagSet) -> bool {
        let matches = |(name, value): &(Name, String)| tags.get(*name).map_or("", |value| value) == value;
        self.active().keys().any(|(other, values)| other == category && values.iter().all(matches))
    }

    fn add(&self, key: Key) {
        let mut active = self.active();
        if active.len() < GROUPS_MAX {
            *active.entry(key).or_default() += 1;
        }
    }

    fn remove(&self, key: &Key) {
        let mut active = self.active();
        if let Some(count) = active.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                active.remove(key);
            }
        }
    }

    fn active(&self) -> MutexGuard<'_, HashMap<Key, u64>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The inhibitors of one node on one shard; what they silence ends with the node.
#[derive(Debug)]
pub struct NodeInhibitors {
    shared: Arc<Inhibitors>,
    inhibits: Vec<(String, Vec<Name>)>,
    /// Those that are on, by number of the group.
    on: HashMap<u32, Vec<Key>>,
}

impl NodeInhibitors {
    pub fn new(shared: Arc<Inhibitors>, inhibits: &[(String, Vec<String>)]) -> Result<NodeInhibitors, StartError> {
        let names = |tags: &[String]| tags.iter().map(|tag| Name::new(tag)).collect::<Result<Vec<_>, _>>();
        let inhibits = inhibits.iter().map(|(category, tags)| Ok((category.clone(), names(tags)?)));
        let inhibits = inhibits.collect::<Result<_, crate::name::TooManyNames>>().map_err(StartError::new)?;
        Ok(NodeInhibitors { shared, inhibits, on: HashMap::new() })
    }

    pub fn shared(&self) -> &Inhibitors {
        &self.shared
    }

    /// Switches the inhibitors of a group on or off.
    pub fn set(&mut self, group: u32, tags: &TagSet, on: bool) {
        if self.inhibits.is_empty() || self.on.contains_key(&group) == on {
            return;
        }
        if !on {
            return self.forget(group);
        }
        let value = |name: &Name| (*name, tags.get(*name).map_or("", |value| value).to_owned());
        let key = |(category, names): &(String, Vec<Name>)| (category.clone(), names.iter().map(value).collect());
        let keys: Vec<Key> = self.inhibits.iter().map(key).collect();
        keys.iter().for_each(|key| self.shared.add(key.clone()));
        self.on.insert(group, keys);
    }

    pub fn forget(&mut self, group: u32) {
        for key in self.on.remove(&group).unwrap_or_default() {
            self.shared.remove(&key);
        }
    }
}

impl Drop for NodeInhibitors {
    fn drop(&mut self) {
        for key in std::mem::take(&mut self.on).into_values().flatten() {
            self.shared.remove(&key);
        }
    }
}
