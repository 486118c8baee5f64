//! Groups of a task: dense numbers, so that state by group is an array and nothing is hashed per point.
//!
//! reference: nodes-stream §1. A group is the measurement (when grouped by it) and the dimensions with their values; a
//! tag that a point lacks is there with the value `""`.
//!
//! Whoever depends on a group's number holds the group itself: the state of an operator, the route of a series, a message
//! that waits. A number is used again when nobody does, so a stale one cannot meet the group that was born after it.

mod account;
mod lineage;
mod states;

use std::{rc::Rc, sync::Arc};

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

pub use self::{
    account::{Account, Limits},
    lineage::Lineage,
    states::{GroupStates, SavedStates},
};
use crate::{name::Name, tags::TagSet};

/// Most groups of one task on one shard, whatever its limit is.
pub const GROUPS_MAX: usize = 16_000_000;

#[derive(Debug, Default)]
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
    /// Groups that ended since routes were last forgotten, which hold the groups of their series.
    ended: usize,
    /// Room for the next groups and their tags, made at once so that those of a task stand close together: points meet
    /// them in the order of their numbers.
    room: Vec<Rc<Group>>,
    /// Of the task, over all shards.
    account: Arc<Account>,
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
        let group = self.place(index, measurement, tags);
        self.by_key.insert_unique(spread(hash), (hash, index), |(hash, _)| spread(*hash));
        if let Some(slot) = self.all.get_mut(index as usize) {
            *slot = Some(group.clone());
        }
        Some(group)
    }

    /// A group has ended: once nobody holds it, its number is free.
    pub fn ended(&mut self) {
        self.unswept += 1;
        self.ended += 1;
    }

    /// Whether so many groups have ended that what series remember of theirs should be forgotten. Says so once.
    pub fn wants_fresh_routes(&mut self) -> bool {
        let wants = self.ended > 0 && self.ended.saturating_mul(4) >= self.len();
        if wants {
            self.ended = 0;
        }
        wants
    }

    /// A number for a new group; `None` at the limit.
    fn number(&mut self) -> Option<u32> {
        if self.free.is_empty() && self.unswept >= self.len().max(SWEEP_MIN) {
            self.sweep();
        }
        if !self.admit() {
            self.settle();
            if !self.admit() {
                return None;
            }
        }
        self.unswept += 1;
        self.free.pop().or_else(|| {
            self.all.push(None);
            u32::try_from(self.all.len() - 1).ok()
        })
    }

    /// Takes one more in, if there is room.
    fn admit(&self) -> bool {
        self.len() < GROUPS_MAX && self.account.admit()
    }

    /// Counts by the task's account from now on.
    pub fn keep(&mut self, account: Arc<Account>) {
        account.change_groups(self.len() as i64);
        self.account = account;
    }

    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Bytes of the table and its groups, about.
    pub fn bytes(&self) -> usize {
        let group = |group: &Rc<Group>| {
            let tags =
                group.tags.iter().map(|(_, value)| size_of::<(Name, Rc<str>)>() + 16 + value.len()).sum::<usize>();
            size_of::<Group>() + size_of::<TagSet>() + 4 * size_of::<usize>() + tags
        };
        let table = self.all.capacity() * size_of::<Option<Rc<Group>>>() + self.by_key.capacity() * 9;
        table + estimate(&self.all, self.len(), group)
    }

    /// Frees the numbers of groups that nobody holds, unless too few came and ended to make it worth while.
    pub fn settle(&mut self) {
        if self.unswept.saturating_mul(64) >= self.len() {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        self.unswept = 0;
        let before = self.free.len();
        for index in 0..self.all.len() {
            let Some(slot) = self.all.get_mut(index) else { continue };
            let Some(group) = slot.take_if(|group| Rc::strong_count(group) == 1) else { continue };
            let hash = self.hash(group.measurement, &group.tags);
            if let Ok(entry) = self.by_key.find_entry(spread(hash), |(_, number)| *number as usize == index) {
                entry.remove();
            }
            self.free.push(index as u32);
        }
        self.account.change_groups(before as i64 - self.free.len() as i64);
        self.free.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
    }

    fn hash(&self, measurement: Option<Name>, tags: &TagSet) -> u32 {
        (self.hasher.hash_one((measurement, tags)) >> 32) as u32
    }

    fn place(&mut self, index: u32, measurement: Option<Name>, tags: TagSet) -> Rc<Group> {
        const AT_ONCE: usize = 64;
        if self.room.is_empty() {
            let count = self.all.len().clamp(1, AT_ONCE);
            let blank = || Rc::new(Group::nil());
            self.room.extend(std::iter::repeat_with(blank).take(count));
            self.room.reverse();
        }
        let mut place = self.room.pop().unwrap_or_default();
        if let Some(Group { index: of, measurement: name, tags: room }) = Rc::get_mut(&mut place) {
            (*of, *name) = (index, measurement);
            match Rc::get_mut(room) {
                Some(room) => *room = tags,
                None => *room = Rc::new(tags),
            }
        }
        place
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
                groups.place(index as u32, measurement, tags)
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

/// Sizes of this many entries are looked at; more are estimated by them.
const SAMPLE: usize = 1_024;

/// The sum of `size` over the `count` entries that there are, by a sample where they are many.
fn estimate<T>(entries: &[Option<T>], count: usize, size: impl Fn(&T) -> usize) -> usize {
    let sample = entries.iter().step_by((entries.len() / SAMPLE).max(1)).flatten();
    let (seen, sum) = sample.fold((0_usize, 0), |(seen, sum), entry| (seen + 1, sum + size(entry)));
    if seen == 0 { 0 } else { (sum as f64 / seen as f64 * count as f64) as usize }
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
    fn at_its_limit_a_task_refuses_new_groups_until_others_are_gone() {
        let account = Arc::new(Account::new(Limits { groups: 2, bytes: 1_000 }));
        let (mut one, mut other) = (Groups::default(), Groups::default());
        one.keep(account.clone());
        other.keep(account.clone());
        let (a, b) = (one.intern(None, tags("host", "a")), other.intern(None, tags("host", "b")));
        assert!(a.is_some() && b.is_some() && one.intern(None, tags("host", "c")).is_none());
        assert!(one.intern(None, tags("host", "a")).is_some());
        assert_eq!(account.groups(), 2);
        drop(a);
        one.ended();
        assert!(one.intern(None, tags("host", "c")).is_some());
        assert_eq!((account.groups(), account.limit().as_str()), (2, "the task has 2 groups, as many as it may"));
        one.settle();
        account.change_bytes(1_000);
        assert!(one.intern(None, tags("host", "d")).is_none());
        assert_eq!(account.limit(), "the task's groups hold more than 1000 bytes");
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
