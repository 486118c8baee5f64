//! `.on`: parents grouped by more tags than others (reference: nodes-alert-join-io §1.4).
//!
//! A parent with more dimensions than `.on` names is *specific*. What the others send, *matches*, goes into the joined
//! group of every specific point that has its time and its values of the `.on` tags, whoever came first, with any number
//! of parents: once a group and time, and again for each further point that a specific parent has there.

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
    groups: BTreeMap<i64, Vec<Joined>>,
}

/// A joined group at one time.
struct Joined {
    group: Rc<Group>,
    /// Specific points, by parent.
    points: Vec<u32>,
}

impl Joined {
    /// How many of each match the group has.
    fn copies(&self) -> usize {
        self.points.iter().max().map_or(0, |most| *most as usize)
    }
}

/// The same with numbers of groups.
#[derive(Serialize, Deserialize)]
struct SavedWaiting {
    last: Vec<Option<i64>>,
    matches: BTreeMap<i64, Vec<(usize, Part)>>,
    groups: BTreeMap<i64, Vec<(u32, Vec<u32>)>>,
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
        let (port, time) = at;
        let waiting = self.waiting(parents, at, key(on, group));
        let groups = waiting.groups.entry(time).or_default();
        let (place, more) = match groups.iter().position(|known| known.group.index == group.index) {
            Some(place) => (place, 0),
            None => {
                groups.push(Joined { group: group.clone(), points: vec![0; parents] });
                (groups.len() - 1, 1)
            }
        };
        let mut matches = Vec::new();
        if let Some(joined) = groups.get_mut(place) {
            let before = joined.copies();
            if let Some(points) = joined.points.get_mut(port) {
                *points += 1;
            }
            // Otherwise the matches came with a point of another parent.
            if joined.copies() > before {
                matches = waiting.matches.get(&time).cloned().unwrap_or_default();
            }
        }
        let pruned = waiting.prune();
        self.held = self.held + more - pruned;
        matches
    }

    /// A match has come: the joined groups that it goes to, each as often as it does.
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
        let groups = waiting.groups.get(&time).into_iter().flatten();
        let groups = groups.flat_map(|joined| std::iter::repeat_n(&joined.group, joined.copies())).cloned().collect();
        self.held += 1;
        groups
    }

    /// The parent of a match has come to a time: the joined groups that may wait for it.
    pub fn reached(&mut self, on: &[Name], parents: usize, at: (usize, i64), group: &Group) -> Vec<Rc<Group>> {
        let waiting = self.waiting(parents, at, key(on, group));
        let mut groups: Vec<Rc<Group>> = waiting.groups.values().flatten().map(|joined| joined.group.clone()).collect();
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
                groups.retain(|known| known.group.index != group.index);
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
        let number = |joined: &Joined| (joined.group.index, joined.points.clone());
        let numbers = |(time, groups): (&i64, &Vec<Joined>)| (*time, groups.iter().map(number).collect());
        let saved = |(key, waiting): (&Key, &Waiting)| {
            let groups = waiting.groups.iter().map(numbers).collect();
            (key.clone(), SavedWaiting { last: waiting.last.clone(), matches: waiting.matches.clone(), groups })
        };
        SavedMatching(self.keys.iter().map(saved).collect())
    }

    pub fn restore(saved: SavedMatching, groups: &Groups) -> Matching {
        let joined = |(index, points)| Some(Joined { group: groups.get(index)?.clone(), points });
        let found =
            |(time, numbers): (i64, Vec<(u32, Vec<u32>)>)| (time, numbers.into_iter().filter_map(joined).collect());
        let waiting = |(key, SavedWaiting { last, matches, groups })| {
            (key, Waiting { last, matches, groups: groups.into_iter().map(found).collect() })
        };
        let keys: HashMap<_, _> = saved.0.into_iter().map(waiting).collect();
        let held = keys.values().map(Waiting::len).sum();
        Matching { keys, held }
    }
}
