//! State by group: an array over the dense numbers.

use std::rc::Rc;

use serde::{Deserialize, Serialize, Serializer};

use super::{Group, Groups};
use crate::prefetch::prefetch;

/// Holds the groups that have a state, so that their numbers stay theirs.
#[derive(Clone, Debug)]
pub struct GroupStates<T> {
    states: Vec<Option<(Rc<Group>, T)>>,
    len: usize,
}

/// What a checkpoint keeps of [`GroupStates`]: number and state of each group.
#[derive(Debug, Deserialize)]
pub struct SavedStates<T>(Vec<(u32, T)>);

impl<T> Default for GroupStates<T> {
    fn default() -> Self {
        GroupStates { states: Vec::new(), len: 0 }
    }
}

impl<T> GroupStates<T> {
    /// The state of `group`, made by `new` at the group's first message.
    #[inline]
    pub fn get_or_insert_with(&mut self, group: &Rc<Group>, new: impl FnOnce() -> T) -> &mut T {
        let index = group.index as usize;
        if index >= self.states.len() {
            self.states.resize_with(index + 1, || None);
        }
        let slot = &mut self.states[index];
        if slot.is_none() {
            self.len += 1;
        }
        &mut slot.get_or_insert_with(|| (group.clone(), new())).1
    }

    #[inline]
    pub fn get_mut(&mut self, group: &Group) -> Option<&mut T> {
        self.at_mut(group.index)
    }

    /// The state of the group with this number.
    #[inline]
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.states.get_mut(index as usize)?.as_mut().map(|(_, state)| state)
    }

    /// Asks the memory for the state of the group with this number.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        prefetch(&self.states, index as usize);
    }

    pub fn remove(&mut self, group: &Group) -> Option<T> {
        let (_, state) = self.states.get_mut(group.index as usize)?.take()?;
        self.len -= 1;
        Some(state)
    }

    /// Each group with its state, by number.
    pub fn iter(&self) -> impl Iterator<Item = (&Rc<Group>, &T)> {
        self.states.iter().flatten().map(|(group, state)| (group, state))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Rc<Group>, &mut T)> {
        self.states.iter_mut().flatten().map(|(group, state)| (&*group, state))
    }

    /// Groups that hold state.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes held, about; `behind` tells what a state holds beside itself.
    pub fn bytes(&self, behind: impl Fn(&T) -> usize) -> usize {
        let places = self.states.capacity() * size_of::<Option<(Rc<Group>, T)>>();
        places + super::estimate(&self.states, self.len, |(_, state)| behind(state))
    }

    /// The states of a checkpoint; `groups` are those of the same checkpoint.
    pub fn restore(saved: SavedStates<T>, groups: &Groups) -> Self {
        let mut states = GroupStates::default();
        for (index, state) in saved.0 {
            if let Some(group) = groups.get(index) {
                states.get_or_insert_with(group, || state);
            }
        }
        states
    }
}

impl<T: Serialize> Serialize for GroupStates<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(Counted(self.iter().map(|(group, state)| (group.index, state)), self.len))
    }
}

/// Sequences of a checkpoint say their length first.
struct Counted<I>(I, usize);

impl<I: Iterator> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let item = self.0.next();
        self.1 -= usize::from(item.is_some());
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.1, Some(self.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{name::Name, tags::TagSet};

    #[test]
    fn states_count_the_groups_that_have_one_and_hold_them() {
        let mut groups = Groups::default();
        let group = |groups: &mut Groups, host: &str| {
            groups.intern(None, TagSet::new(vec![(Name::new("h").unwrap(), host.into())])).unwrap()
        };
        let (a, b) = (group(&mut groups, "a"), group(&mut groups, "b"));
        let mut states = GroupStates::default();
        *states.get_or_insert_with(&b, || 1_u8) += 1;
        assert_eq!((states.len(), states.get_mut(&a)), (1, None));
        drop((a, b));
        groups.settle();
        assert_eq!(groups.len(), 1);
        let saved = postcard::from_bytes(&postcard::to_stdvec(&states).unwrap()).unwrap();
        let restored: GroupStates<u8> = GroupStates::restore(saved, &groups);
        let shown: Vec<(u32, u8)> = restored.iter().map(|(group, state)| (group.index, *state)).collect();
        assert_eq!(shown, [(1, 2)]);
        let b = restored.iter().next().map(|(group, _)| group.clone()).unwrap();
        assert_eq!((states.remove(&b), states.len()), (Some(2), 0));
    }
}
