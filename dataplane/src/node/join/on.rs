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
use crate::{
    group::{Group, Groups},
    name::Name,
    tags::TagSet,
};

/// What waits for its counterpart, by the values of the `.on` tags.
#[derive(Default)]
pub struct Matching {
    keys: HashMap<Key, Waiting>,
    /// Entries of all keys.
    held: usize,
}

/// What a checkpoint keeps of [`Matching`].
#[derive(Serialize, Deserialize)]
pub struct SavedMatching(Vec<(Key, SavedWaiting)>);

/// The measurement, when the parents are grouped by it, and the `.on` tags.
type Key = (Option<Name>, TagSet);

#[derive(Default)]
struct Waiting {
    /// Time of the last message of each parent that has sent one.
    last: Vec<Option<i64>>,
    matches: BTreeMap<i64, Vec<(usize, Part)>>,
    /// The joined groups that had a specific point of that time.
    groups: BTreeMap<i64, Vec<Rc<Group>>>,
}

/// The same with numbers of groups.
#[derive(Serialize, Deserialize)]
struct SavedWaiting {
    last: Vec<Option<i64>>,
    matches: BTreeMap<i64, Vec<(usize, Part)>>,
    groups: BTreeMap<i64, Vec<u32>>,
}

impl Waiting {
    /// Forgets times that every parent has passed; returns how many entries went.
    fn prune(&mut self) -> usize {
        let passed = self.last.iter().try_fold(i64::MAX, |low, last| last.map(|last| low.min(last)));
        let Some(low) = passed else { return 0 };
        let before = self.len();
        self.matches = self.matches.split_off(&low);
        self.groups = self.groups.split_off(&low);
        before - self.len()
    }

    /// Matches and joined groups of all times.
    fn len(&self) -> usize {
        self.matches.values().map(Vec::len).sum::<usize>() + self.groups.values().map(Vec::len).sum::<usize>()
    }
}

fn key(on: &[Name], group: &Group) -> Key {
    let value = |name: &Name| group.tags.get(*name).cloned().unwrap_or_else(|| Rc::from(""));
    (group.measurement, TagSet::new(on.iter().map(|name| (*name, value(name))).collect()))
}

/// Whether points of the group find their matches, and are none.
pub fn is_specific(on: &[Name], group: &Group) -> bool {
    group.tags.len() > on.len()
}

impl Matching {
    /// Entries held.
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
    pub fn specific(&mut self, on: &[Name], parents: usize, at: (usize, i64), group: &Rc<Group>) -> Vec<(usize, Part)> {
        let (_, time) = at;
        let waiting = self.waiting(parents, at, key(on, group));
        let groups = waiting.groups.entry(time).or_default();
        // A group that already had a point of this time has got its matches.
        let (matches, more) = match groups.iter().any(|known| known.index == group.index) {
            true => (Vec::new(), 0),
            false => {
                groups.push(group.clone());
                (waiting.matches.get(&time).cloned().unwrap_or_default(), 1)
            }
        };
        let pruned = waiting.prune();
        self.held = self.held + more - pruned;
        matches
    }

    /// A match has come: the joined groups that it goes to.
    pub fn matched(
        &mut self,
        on: &[Name],
        parents: usize,
        at: (usize, i64),
        group: &Group,
        part: &Part,
    ) -> Vec<Rc<Group>> {
        let (port, time) = at;
        let waiting = self.waiting(parents, at, key(on, group));
        waiting.matches.entry(time).or_default().push((port, part.clone()));
        let groups = waiting.groups.get(&time).cloned().unwrap_or_default();
        self.held += 1;
        groups
    }

    /// The parent of a match has come to a time: the joined groups that may wait for it.
    pub fn reached(&mut self, on: &[Name], parents: usize, at: (usize, i64), group: &Group) -> Vec<Rc<Group>> {
        let waiting = self.waiting(parents, at, key(on, group));
        let mut groups: Vec<Rc<Group>> = waiting.groups.values().flatten().cloned().collect();
        groups.sort_by_key(|group| group.index);
        groups.dedup_by_key(|group| group.index);
        let pruned = waiting.prune();
        self.held -= pruned;
        groups
    }

    /// Drops what the group's key has of its oldest time; returns whether there was anything.
    pub fn drop_oldest(&mut self, on: &[Name], group: &Group) -> bool {
        let Some(waiting) = self.keys.get_mut(&key(on, group)) else { return false };
        let times = [
            waiting.matches.first_key_value().map(|(time, _)| *time),
            waiting.groups.first_key_value().map(|(time, _)| *time),
        ];
        let Some(oldest) = times.into_iter().flatten().min() else { return false };
        let matches = waiting.matches.remove(&oldest).map_or(0, |matches| matches.len());
        let groups = waiting.groups.remove(&oldest).map_or(0, |groups| groups.len());
        self.held -= matches + groups;
        true
    }

    /// A group is gone: with its key, if it is a match's or the key's last; `all` forgets every key's marks.
    pub fn delete(&mut self, on: &[Name], group: &Group, all: bool) {
        let key = key(on, group);
        if let Some(waiting) = self.keys.get_mut(&key) {
            self.held -= waiting.len();
            for groups in waiting.groups.values_mut() {
                groups.retain(|known| known.index != group.index);
            }
            waiting.groups.retain(|_, groups| !groups.is_empty());
            if !is_specific(on, group) || waiting.groups.is_empty() && waiting.matches.is_empty() {
                self.keys.remove(&key);
            } else {
                self.held += waiting.len();
            }
        }
        if all {
            self.keys.values_mut().for_each(|waiting| waiting.last.fill(None));
        }
    }

    pub fn save(&self) -> SavedMatching {
        let numbers = |(time, groups): (&i64, &Vec<Rc<Group>>)| {
            (*time, groups.iter().map(|group| group.index).collect::<Vec<_>>())
        };
        let saved = |(key, waiting): (&Key, &Waiting)| {
            let groups = waiting.groups.iter().map(numbers).collect();
            (key.clone(), SavedWaiting { last: waiting.last.clone(), matches: waiting.matches.clone(), groups })
        };
        SavedMatching(self.keys.iter().map(saved).collect())
    }

    pub fn restore(saved: SavedMatching, groups: &Groups) -> Matching {
        let found = |(time, numbers): (i64, Vec<u32>)| {
            (time, numbers.into_iter().filter_map(|index| groups.get(index).cloned()).collect())
        };
        let waiting = |(key, SavedWaiting { last, matches, groups })| {
            (key, Waiting { last, matches, groups: groups.into_iter().map(found).collect() })
        };
        let keys: HashMap<_, _> = saved.0.into_iter().map(waiting).collect();
        let held = keys.values().map(Waiting::len).sum();
        Matching { keys, held }
    }
}
