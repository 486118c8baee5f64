//! Groups of a task: dense numbers, so that state by group is an array and nothing is hashed per point.
//!
//! reference: nodes-stream §1. A group is the measurement (when grouped by it) and the dimensions with their values; a
//! tag that a point lacks is there with the value `""`.
//!
//! Whoever depends on a group's number holds the group itself: the state of an operator, the route of a series, a message
//! that waits. A number is used again when nobody does, so a stale one cannot meet the group that was born after it.

mod lineage;
mod states;

use std::rc::Rc;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

pub use self::{
    lineage::Lineage,
    states::{GroupStates, SavedStates},
};
use crate::{name::Name, tags::TagSet};

/// Most groups of one task on one shard; a point of one more is dropped and counted.
pub const GROUPS_MAX: usize = 16_000_000;

#[derive(Debug)]
pub struct Group {
    /// Dense number, the index of state by group.
    pub index: u32,
    /// The measurement, when grouped by it.
    pub measurement: Option<Name>,
    /// Exactly the dimensions and their values.
    pub tags: Rc<TagSet>,
}

impl Group {
    /// The nil group. It is the first of every task, that of points as they arrive.
    pub fn nil() -> Group {
        Group { index: 0, measurement: None, tags: Rc::default() }
    }

    /// The group as templates and recordings show it: `nil`, `dc=eu,host=a`, `cpu\nhost=a`.
    pub fn text(&self) -> String {
        if self.measurement.is_none() && self.tags.is_empty() { "nil".to_owned() } else { self.id() }
    }

    /// The group id (reference: nodes-stream §1): empty for the nil group.
    pub fn id(&self) -> String {
        let mut text = String::new();
        if let Some(measurement) = self.measurement {
            text.push_str(measurement.as_str());
            if !self.tags.is_empty() {
                text.push('\n');
            }
        }
        for (index, (key, value)) in self.tags.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(key.as_str());
            text.push('=');
            text.push_str(value);
        }
        text
    }
}

/// All groups of one task on one shard.
#[derive(Debug, Default)]
pub struct Groups {
    /// Hash of the key, and the number.
    by_key: HashTable<(u32, u32)>,
    hasher: ahash::RandomState,
    /// By number.
    all: Vec<Option<Rc<Group>>>,
    /// Numbers without a group, the lowest last.
    free: Vec<u32>,
    /// Groups that came or ended since it was last looked which ones nobody holds.
    unswept: usize,
    /// Room for the next groups, made at once so that the groups of a task stand close together: points meet them in
    /// the order of their numbers.
    room: Vec<Rc<Group>>,
}

/// What a checkpoint keeps of [`Groups`], by number.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct GroupsSnapshot(Vec<Option<(Option<Name>, TagSet)>>);

/// Fewer groups are not worth looking through.
const SWEEP_MIN: usize = 1_024;

impl Groups {
    /// The group of a measurement and dimensions, made if it is new; `None` at the limit.
    pub fn intern(&mut self, measurement: Option<Name>, tags: TagSet) -> Option<Rc<Group>> {
        let hash = self.hash(measurement, &tags);
        let is = |(_, number): &(u32, u32)| {
            let group = self.all.get(*number as usize).and_then(Option::as_ref);
            group.is_some_and(|group| group.measurement == measurement && *group.tags == tags)
        };
        if let Some((_, number)) = self.by_key.find(spread(hash), is) {
            return self.all.get(*number as usize).cloned().flatten();
        }
        let index = self.number()?;
        let group = self.place(Group { index, measurement, tags: Rc::new(tags) });
        self.by_key.insert_unique(spread(hash), (hash, index), |(hash, _)| spread(*hash));
        if let Some(slot) = self.all.get_mut(index as usize) {
            *slot = Some(group.clone());
        }
        Some(group)
    }

    /// A group has ended: once nobody holds it, its number is free.
    pub fn ended(&mut self) {
        self.unswept += 1;
    }

    /// A number for a new group; `None` at the limit.
    fn number(&mut self) -> Option<u32> {
        if self.free.is_empty() && self.unswept >= self.len().max(SWEEP_MIN) {
            self.sweep();
        }
        if self.len() >= GROUPS_MAX {
            self.settle();
        }
        if self.len() >= GROUPS_MAX {
            return None;
        }
        self.unswept += 1;
        self.free.pop().or_else(|| {
            self.all.push(None);
            u32::try_from(self.all.len() - 1).ok()
        })
    }

    /// Frees the numbers of groups that nobody holds, unless too few came and ended to make it worth while.
    pub fn settle(&mut self) {
        if self.unswept.saturating_mul(64) >= self.len() {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        self.unswept = 0;
        for index in 0..self.all.len() {
            let Some(slot) = self.all.get_mut(index) else { continue };
            let Some(group) = slot.take_if(|group| Rc::strong_count(group) == 1) else { continue };
            let hash = self.hash(group.measurement, &group.tags);
            if let Ok(entry) = self.by_key.find_entry(spread(hash), |(_, number)| *number as usize == index) {
                entry.remove();
            }
            self.free.push(index as u32);
        }
        self.free.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
    }

    fn hash(&self, measurement: Option<Name>, tags: &TagSet) -> u32 {
        (self.hasher.hash_one((measurement, tags)) >> 32) as u32
    }

    fn place(&mut self, group: Group) -> Rc<Group> {
        const AT_ONCE: usize = 64;
        if self.room.is_empty() {
            let count = self.all.len().clamp(1, AT_ONCE);
            let empty = Rc::<TagSet>::default();
            let blank = || Rc::new(Group { index: 0, measurement: None, tags: empty.clone() });
            self.room.extend(std::iter::repeat_with(blank).take(count));
            self.room.reverse();
        }
        match self.room.pop() {
            Some(mut place) => match Rc::get_mut(&mut place) {
                Some(room) => {
                    *room = group;
                    place
                }
                None => Rc::new(group),
            },
            None => Rc::new(group),
        }
    }

    /// The group with a number, as found in a checkpoint.
    pub fn get(&self, index: u32) -> Option<&Rc<Group>> {
        self.all.get(index as usize)?.as_ref()
    }

    pub fn len(&self) -> usize {
        self.all.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn snapshot(&self) -> GroupsSnapshot {
        let key = |group: &Rc<Group>| (group.measurement, TagSet::clone(&group.tags));
        GroupsSnapshot(self.all.iter().map(|group| group.as_ref().map(key)).collect())
    }

    /// The same groups under the same numbers. Those that nobody takes up again go soon.
    pub fn restore(snapshot: GroupsSnapshot) -> Groups {
        let mut groups = Groups::default();
        for (index, key) in snapshot.0.into_iter().enumerate() {
            let group = key.map(|(measurement, tags)| (groups.hash(measurement, &tags), measurement, tags));
            let group = group.map(|(hash, measurement, tags)| {
                groups.by_key.insert_unique(spread(hash), (hash, index as u32), |(hash, _)| spread(*hash));
                groups.place(Group { index: index as u32, measurement, tags: Rc::new(tags) })
            });
            if group.is_none() {
                groups.free.push(index as u32);
            }
            groups.all.push(group);
        }
        groups.free.reverse();
        groups
    }
}

/// A table wants bits at both ends of 64.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(key: &str, value: &str) -> TagSet {
        TagSet::new(vec![(Name::new(key).unwrap(), value.into())])
    }

    #[test]
    fn a_group_has_one_number_and_keeps_it_over_a_checkpoint() {
        let mut groups = Groups::default();
        let a = groups.intern(None, tags("host", "a")).unwrap();
        let b = groups.intern(Some(Name::new("cpu").unwrap()), tags("host", "a")).unwrap();
        assert_eq!(groups.intern(None, tags("host", "a")).unwrap().index, a.index);
        assert_ne!(a.index, b.index);
        assert_eq!((a.text().as_str(), b.text().as_str()), ("host=a", "cpu\nhost=a"));
        assert_eq!(groups.intern(None, TagSet::empty()).unwrap().text(), "nil");
        let mut again = Groups::restore(groups.snapshot());
        assert_eq!(again.intern(Some(Name::new("cpu").unwrap()), tags("host", "a")).unwrap().index, b.index);
    }

    #[test]
    fn a_number_is_free_when_nobody_holds_the_group() {
        let mut groups = Groups::default();
        let held: Vec<_> = (0..3).map(|n| groups.intern(None, tags("host", &n.to_string())).unwrap()).collect();
        let stale = held[1].clone();
        drop(held);
        groups.settle();
        assert_eq!((groups.len(), groups.get(0).is_none(), groups.get(1).is_some()), (1, true, true));
        // The lowest numbers first; the one that is held is still that of its group.
        let new = |groups: &mut Groups, value: &str| groups.intern(None, tags("host", value)).unwrap().index;
        assert_eq!((new(&mut groups, "x"), new(&mut groups, "1"), new(&mut groups, "y")), (0, stale.index, 2));
    }

    #[test]
    fn churn_needs_no_more_numbers_than_there_are_groups_at_a_time() {
        let mut groups = Groups::default();
        let kept = groups.intern(None, tags("host", "kept")).unwrap();
        for n in 0..100_000 {
            groups.intern(None, tags("host", &n.to_string())).unwrap();
            groups.ended();
        }
        assert!(groups.all.len() <= 2 * SWEEP_MIN, "{}", groups.all.len());
        assert_eq!(groups.intern(None, tags("host", "kept")).unwrap().index, kept.index);
        let mut again = Groups::restore(groups.snapshot());
        assert_eq!(
            (again.len(), again.intern(None, tags("host", "new")).unwrap().index),
            (groups.len(), {
                let free = groups.free.last().copied();
                free.unwrap_or(groups.all.len() as u32)
            })
        );
    }
}
