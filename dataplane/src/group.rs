//! Groups of a task: dense numbers, so that state by group is an array and nothing is hashed per point.
//!
//! reference: nodes-stream §1. A group is the measurement (when grouped by it) and the dimensions with their values; a
//! tag that a point lacks is there with the value `""`.

use std::rc::Rc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

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
    by_key: HashMap<(Option<Name>, Rc<TagSet>), Rc<Group>, ahash::RandomState>,
    /// In order of their numbers.
    all: Vec<Rc<Group>>,
    /// Room for the next groups, made at once so that the groups of a task stand close together: points meet them in
    /// the order of their numbers.
    room: Vec<Rc<Group>>,
}

/// What a checkpoint keeps of [`Groups`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct GroupsSnapshot(Vec<(Option<Name>, TagSet)>);

impl Groups {
    /// The group of a measurement and dimensions, made if it is new; `None` at the limit.
    pub fn intern(&mut self, measurement: Option<Name>, tags: TagSet) -> Option<Rc<Group>> {
        let key = (measurement, Rc::new(tags));
        if let Some(group) = self.by_key.get(&key) {
            return Some(group.clone());
        }
        if self.all.len() >= GROUPS_MAX {
            return None;
        }
        let group = self.place(Group { index: self.all.len() as u32, measurement, tags: key.1.clone() });
        self.by_key.insert(key, group.clone());
        self.all.push(group.clone());
        Some(group)
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
        self.all.get(index as usize)
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn snapshot(&self) -> GroupsSnapshot {
        GroupsSnapshot(self.all.iter().map(|group| (group.measurement, TagSet::clone(&group.tags))).collect())
    }

    /// The same groups under the same numbers.
    pub fn restore(snapshot: GroupsSnapshot) -> Groups {
        let mut groups = Groups::default();
        for (measurement, tags) in snapshot.0 {
            groups.intern(measurement, tags);
        }
        groups
    }
}

/// State by group: an array over the dense numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupStates<T> {
    states: Vec<Option<T>>,
    len: usize,
}

impl<T> Default for GroupStates<T> {
    fn default() -> Self {
        GroupStates { states: Vec::new(), len: 0 }
    }
}

impl<T> GroupStates<T> {
    /// The state of `group`, made by `new` at the group's first message.
    #[inline]
    pub fn get_or_insert_with(&mut self, group: &Group, new: impl FnOnce() -> T) -> &mut T {
        let index = group.index as usize;
        if index >= self.states.len() {
            self.states.resize_with(index + 1, || None);
        }
        let slot = &mut self.states[index];
        if slot.is_none() {
            self.len += 1;
        }
        slot.get_or_insert_with(new)
    }

    #[inline]
    pub fn get_mut(&mut self, group: &Group) -> Option<&mut T> {
        self.states.get_mut(group.index as usize)?.as_mut()
    }

    pub fn remove(&mut self, group: &Group) -> Option<T> {
        let state = self.states.get_mut(group.index as usize)?.take();
        self.len -= usize::from(state.is_some());
        state
    }

    /// Number and state of each group, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.states.iter().enumerate().filter_map(|(index, state)| Some((index as u32, state.as_ref()?)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.states.iter_mut().enumerate().filter_map(|(index, state)| Some((index as u32, state.as_mut()?)))
    }

    /// Groups that hold state.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
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
    fn states_count_the_groups_that_have_one() {
        let mut groups = Groups::default();
        let (a, b) = (groups.intern(None, tags("h", "a")).unwrap(), groups.intern(None, tags("h", "b")).unwrap());
        let mut states = GroupStates::default();
        *states.get_or_insert_with(&b, || 1) += 1;
        assert_eq!((states.len(), states.get_mut(&a)), (1, None));
        assert_eq!((states.remove(&b), states.len()), (Some(2), 0));
    }
}
