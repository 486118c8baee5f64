//! What waits in one joined group, and when it is ready (reference: nodes-alert-join-io §1.3).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{name::Name, point::Row};

/// A parent's contribution to a set: a point (one row) or a batch. Nothing else of them shows in what is joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub name: Name,
    pub rows: Vec<Row>,
}

/// What the parents have of one time; one slot a parent.
pub type Set = Vec<Option<Part>>;

/// The head of a parent that has sent nothing.
const NEVER: i64 = i64::MIN;

#[derive(Debug, Serialize, Deserialize)]
pub struct Sets {
    /// Time of the last message of each parent; goes back with a late one.
    heads: Vec<i64>,
    waiting: BTreeMap<i64, VecDeque<Set>>,
    /// Parts in `waiting`.
    parts: usize,
}

impl Sets {
    pub fn new(parents: usize) -> Sets {
        Sets { heads: vec![NEVER; parents], waiting: BTreeMap::new(), parts: 0 }
    }

    /// Parts that wait.
    pub fn len(&self) -> usize {
        self.parts
    }

    /// Puts a part into the first set of its time that lacks one of this parent.
    pub fn put(&mut self, port: usize, time: i64, part: Part) {
        let parents = self.heads.len();
        let sets = self.waiting.entry(time).or_default();
        let open = sets.iter_mut().find_map(|set| set.get_mut(port).filter(|slot| slot.is_none()));
        match open {
            Some(slot) => *slot = Some(part),
            None => {
                let mut set: Set = vec![None; parents];
                if let Some(slot) = set.get_mut(port) {
                    *slot = Some(part);
                }
                sets.push_back(set);
            }
        }
        self.parts += 1;
        self.reach(port, time);
    }

    /// A parent has come to `time`.
    pub fn reach(&mut self, port: usize, time: i64) {
        if let Some(head) = self.heads.get_mut(port) {
            *head = time;
        }
    }

    /// The sets of the oldest time that are ready: all of them if every parent is past it, else the leading complete ones.
    pub fn ready(&mut self) -> Vec<(i64, Set)> {
        let Some(mut oldest) = self.waiting.first_entry() else { return Vec::new() };
        let time = *oldest.key();
        let passed = self.heads.iter().all(|head| *head > time);
        let sets = oldest.get_mut();
        let ready = match passed {
            true => sets.len(),
            false => sets.iter().take_while(|set| set.iter().all(Option::is_some)).count(),
        };
        let ready: Vec<_> = sets.drain(..ready).map(|set| (time, set)).collect();
        if sets.is_empty() {
            oldest.remove();
        }
        self.parts -= parts(&ready);
        ready
    }

    /// The sets of the oldest time, ready or not.
    pub fn oldest(&mut self) -> Vec<(i64, Set)> {
        let Some((time, sets)) = self.waiting.pop_first() else { return Vec::new() };
        let oldest: Vec<_> = sets.into_iter().map(|set| (time, set)).collect();
        self.parts -= parts(&oldest);
        oldest
    }
}

fn parts(sets: &[(i64, Set)]) -> usize {
    sets.iter().map(|(_, set)| set.iter().flatten().count()).sum()
}
