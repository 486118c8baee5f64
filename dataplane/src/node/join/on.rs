//! `.on`: parents grouped by more tags than others (reference: nodes-alert-join-io §1.4).
//!
//! A parent with more dimensions than `.on` names is *specific*. What the others send, *matches*, goes into the joined
//! group of every specific point that has its time and its values of the `.on` tags: once a group and time, whoever
//! came first, with any number of parents.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use serde::{Deserialize, Serialize};

use super::sets::Part;
use crate::{group::Group, name::Name, tags::TagSet};

/// What waits for its counterpart, by the values of the `.on` tags.
#[derive(Default, Serialize, Deserialize)]
pub struct Matching {
    keys: HashMap<Key, Waiting>,
    /// Matches held, over all keys.
    held: usize,
}

/// The measurement, when the parents are grouped by it, and the `.on` tags.
type Key = (Option<Name>, TagSet);

#[derive(Default, Serialize, Deserialize)]
struct Waiting {
    /// Time of the last message of each parent that has sent one.
    last: Vec<Option<i64>>,
    matches: BTreeMap<i64, Vec<(usize, Part)>>,
    /// Numbers of the joined groups that had a specific point of that time.
    groups: BTreeMap<i64, Vec<u32>>,
}

impl Waiting {
    /// Forgets times that every parent has passed.
    fn prune(&mut self) -> usize {
        let passed = self.last.iter().try_fold(i64::MAX, |low, last| last.map(|last| low.min(last)));
        let Some(low) = passed else { return 0 };
        let later = self.matches.split_off(&low);
        let dropped = std::mem::replace(&mut self.matches, later).values().map(Vec::len).sum();
        self.groups = self.groups.split_off(&low);
        dropped
    }
}

fn key(on: &[Name], group: &Group) -> Key {
    let value = |name: &Name| group.tags.get(*name).cloned().unwrap_or_else(|| Rc::from(""));
    (group.measurement, TagSet::new(on.iter().map(|name| (*name, value(name))).collect()))
}

impl Matching {
    /// Matches held.
    pub fn len(&self) -> usize {
        self.held
    }

    fn waiting(&mut self, parents: usize, (port, time): (usize, i64), key: Key) -> &mut Waiting {
        let waiting = self.keys.entry(key).or_default();
        waiting.last.resize(parents, None);
        if let Some(last) = waiting.last.get_mut(port) {
            *last = Some(time);
        }
        waiting
    }

    /// A specific point has come: the matches that go into its group with it.
    pub fn specific(&mut self, on: &[Name], parents: usize, at: (usize, i64), group: &Group) -> Vec<(usize, Part)> {
        let (_, time) = at;
        let waiting = self.waiting(parents, at, key(on, group));
        let groups = waiting.groups.entry(time).or_default();
        // A group that already had a point of this time has got its matches.
        let matches = match groups.contains(&group.index) {
            true => Vec::new(),
            false => {
                groups.push(group.index);
                waiting.matches.get(&time).cloned().unwrap_or_default()
            }
        };
        self.held -= waiting.prune();
        matches
    }

    /// A match has come: the joined groups that it goes to, by number.
    pub fn matched(&mut self, on: &[Name], parents: usize, at: (usize, i64), group: &Group, part: &Part) -> Vec<u32> {
        let (port, time) = at;
        let waiting = self.waiting(parents, at, key(on, group));
        waiting.matches.entry(time).or_default().push((port, part.clone()));
        let groups = waiting.groups.get(&time).cloned().unwrap_or_default();
        self.held += 1;
        groups
    }

    /// Drops the oldest match of the group's key; returns whether there was one.
    pub fn drop_oldest(&mut self, on: &[Name], group: &Group) -> bool {
        let Some(waiting) = self.keys.get_mut(&key(on, group)) else { return false };
        let Some((_, dropped)) = waiting.matches.pop_first() else { return false };
        self.held -= dropped.len();
        true
    }

    /// A group is gone: with its key, if it is a match's; `all` forgets every key's marks.
    pub fn delete(&mut self, on: &[Name], group: &Group, all: bool) {
        if group.tags.len() > on.len() {
            for waiting in self.keys.get_mut(&key(on, group)).into_iter() {
                waiting.groups.values_mut().for_each(|groups| groups.retain(|index| *index != group.index));
            }
        } else if let Some(waiting) = self.keys.remove(&key(on, group)) {
            self.held -= waiting.matches.values().map(Vec::len).sum::<usize>();
        }
        if all {
            self.keys.values_mut().for_each(|waiting| waiting.last.fill(None));
        }
    }
}
