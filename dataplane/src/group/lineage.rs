//! Which groups came of which, where a node gives what it passes on other groups.
//!
//! When a group is deleted above such a node, those below it end that came of it alone. Only kept where a deletion can
//! come from.

use std::rc::Rc;

use hashbrown::HashSet;

use super::{Group, GroupStates};

#[derive(Debug, Default)]
pub struct Lineage {
    /// By group above: those that came of it.
    below: GroupStates<Vec<Rc<Group>>>,
    /// By group below: how many above it came of.
    sources: GroupStates<u32>,
    /// Numbers above and below.
    known: HashSet<(u32, u32), ahash::RandomState>,
}

impl Lineage {
    /// Something of the group `above` was passed on in the group `below`.
    pub fn note(&mut self, above: &Rc<Group>, below: &Rc<Group>) {
        if self.known.insert((above.index, below.index)) {
            self.below.get_or_insert_with(above, Vec::new).push(below.clone());
            *self.sources.get_or_insert_with(below, || 0) += 1;
        }
    }

    /// The group `above` has ended; returns those that end with it.
    pub fn end(&mut self, above: &Rc<Group>) -> Vec<Rc<Group>> {
        let mut below = self.below.remove(above).unwrap_or_default();
        below.retain(|below| {
            self.known.remove(&(above.index, below.index));
            let sources = self.sources.get_or_insert_with(below, || 1);
            *sources -= 1;
            let ends = *sources == 0;
            if ends {
                self.sources.remove(below);
            }
            ends
        });
        below
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{group::Groups, name::Name, tags::TagSet};

    #[test]
    fn a_group_ends_with_the_last_that_it_came_of() {
        let mut groups = Groups::default();
        let mut group =
            |host: &str| groups.intern(None, TagSet::new(vec![(Name::new("h").unwrap(), host.into())])).unwrap();
        let (a, b, all, half) = (group("a"), group("b"), group("all"), group("half"));
        let mut lineage = Lineage::default();
        for (above, below) in [(&a, &all), (&b, &all), (&a, &half), (&a, &all)] {
            lineage.note(above, below);
        }
        let numbers = |groups: Vec<Rc<Group>>| groups.iter().map(|group| group.index).collect::<Vec<_>>();
        assert_eq!(numbers(lineage.end(&a)), [half.index]);
        assert_eq!(numbers(lineage.end(&a)), [0_u32; 0]);
        assert_eq!(numbers(lineage.end(&b)), [all.index]);
        // It comes back, and ends again.
        lineage.note(&b, &all);
        assert_eq!(numbers(lineage.end(&b)), [all.index]);
        drop((a, b, all, half));
        groups.settle();
        assert!(groups.is_empty());
    }
}
