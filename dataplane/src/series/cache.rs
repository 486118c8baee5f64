//! The series cache of one receiver.
//!
//! The key of a series is its database, its retention policy and the bytes of measurement and tags as sent: `cpu,a=1,b=2`
//! and `cpu,b=2,a=1` are two entries that lead to the same groups. An entry holds what does not depend on the point: the
//! names, the route under some plan epoch, and which owners were told of it.
//!
//! The cache is bounded in bytes. When it is full it starts over with a new generation: owners forget the numbers of the
//! old one, and whoever still writes is back after one miss a series.

use std::sync::Arc;

use hashbrown::{HashMap, HashTable};

use crate::name::Name;

/// A database and retention policy of some writer, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space(u32);

/// What an owner has to know of a series.
#[derive(Debug)]
pub struct SeriesInfo {
    pub database: Name,
    pub retention_policy: Name,
    pub measurement: Name,
    /// Sorted by key.
    pub tags: Arc<[(Name, Box<str>)]>,
}

/// What the cache knows of a series.
#[derive(Debug, Default)]
pub struct Entry {
    /// Epoch of the route below.
    pub epoch: u64,
    /// Bit n: shard n owns the series. 0: nobody wants it.
    pub owners: u64,
    /// Bit n: shard n has its definition.
    pub told: u64,
    /// Fields to stage; set if there are owners.
    pub columns: Option<Arc<[Name]>>,
    /// The field section is staged, too.
    pub whole: bool,
    /// Set once somebody wants the series.
    pub info: Option<Arc<SeriesInfo>>,
    pub ingress: Ingress,
}

/// Number of a counter of points by database, retention policy and measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ingress(u32);

#[derive(Debug)]
pub struct Cache {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    /// Space and place in `arena` of each entry's key.
    keys: Vec<(Space, u32, u32)>,
    arena: Vec<u8>,
    spaces: HashMap<(Box<str>, Box<str>), Space>,
    space_names: Vec<(Box<str>, Box<str>)>,
    hasher: ahash::RandomState,
    generation: u64,
    bytes_max: usize,
}

/// Bytes of an entry beside its key: the structs, a slot of the table at 7/8 load, and the shared info.
const ENTRY_BYTES: usize = size_of::<Entry>() + size_of::<(Space, u32, u32)>() + 8;

/// Most databases with retention policies; one more starts the cache over.
const SPACES_MAX: usize = 10_000;

impl Cache {
    /// Holds at most `bytes_max` bytes, keys and entries together.
    pub fn new(bytes_max: usize) -> Self {
        Cache {
            table: HashTable::new(),
            entries: Vec::new(),
            keys: Vec::new(),
            arena: Vec::new(),
            spaces: HashMap::new(),
            space_names: Vec::new(),
            hasher: ahash::RandomState::new(),
            generation: 0,
            // Places in the arena are 32 bits.
            bytes_max: bytes_max.min(u32::MAX as usize),
        }
    }

    /// Rises when all numbers become invalid.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.arena.len() + self.entries.len() * ENTRY_BYTES
    }

    /// The number of a database and retention policy, until the generation rises.
    pub fn space(&mut self, database: &str, retention_policy: &str) -> Space {
        let key = (Box::from(database), Box::from(retention_policy));
        if self.spaces.len() >= SPACES_MAX && !self.spaces.contains_key(&key) {
            self.clear();
            self.spaces.clear();
            self.space_names.clear();
        }
        let next = Space(self.spaces.len() as u32);
        let names = &mut self.space_names;
        *self.spaces.entry(key).or_insert_with_key(|key| {
            names.push(key.clone());
            next
        })
    }

    pub fn space_names(&self, space: Space) -> (&str, &str) {
        self.space_names.get(space.0 as usize).map_or(("", ""), |(database, policy)| (database, policy))
    }

    /// The number of a series.
    pub fn find(&self, space: Space, key: &[u8]) -> Option<u32> {
        self.table.find(self.hash(space, key), |&number| self.is(number, space, key)).copied()
    }

    pub fn get(&self, number: u32) -> Option<&Entry> {
        self.entries.get(number as usize)
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.get_mut(number as usize)
    }

    /// Adds a series that is not there. At the limit everything else goes, and the generation rises.
    pub fn insert(&mut self, space: Space, key: &[u8], entry: Entry) -> u32 {
        if self.bytes() + key.len() + ENTRY_BYTES > self.bytes_max {
            self.clear();
        }
        let number = self.entries.len() as u32;
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(key);
        self.entries.push(entry);
        self.keys.push((space, start, key.len() as u32));
        let hash = self.hash(space, key);
        let (keys, arena, hasher) = (&self.keys, &self.arena, &self.hasher);
        self.table.insert_unique(hash, number, |&number| {
            let (space, start, len) = keys[number as usize];
            hash_of(hasher, space, &arena[start as usize..(start + len) as usize])
        });
        number
    }

    fn clear(&mut self) {
        self.generation += 1;
        self.table.clear();
        self.entries.clear();
        self.keys.clear();
        self.arena.clear();
    }

    fn hash(&self, space: Space, key: &[u8]) -> u64 {
        hash_of(&self.hasher, space, key)
    }

    fn is(&self, number: u32, space: Space, key: &[u8]) -> bool {
        self.keys.get(number as usize).is_some_and(|&(found, start, len)| {
            found == space && self.arena.get(start as usize..(start + len) as usize) == Some(key)
        })
    }
}

fn hash_of(hasher: &ahash::RandomState, space: Space, key: &[u8]) -> u64 {
    hasher.hash_one((space.0, key))
}

/// Database, retention policy, measurement.
type IngressKey = (Box<str>, Box<str>, Box<str>);

/// Points received by database, retention policy and measurement (statistic `ingress`).
#[derive(Debug, Default)]
pub struct IngressTable {
    numbers: HashMap<IngressKey, Ingress>,
    counts: Vec<u64>,
}

impl IngressTable {
    /// Most counters of a shard; what comes later is counted under a measurement without a name.
    const ENTRIES_MAX: usize = 100_000;

    /// The counter of a measurement.
    pub fn number(&mut self, database: &str, retention_policy: &str, measurement: &str) -> Ingress {
        let measurement = if self.counts.len() < Self::ENTRIES_MAX { measurement } else { "" };
        let next = Ingress(self.counts.len() as u32);
        let key = (database.into(), retention_policy.into(), measurement.into());
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.counts.push(0);
        }
        number
    }

    pub fn add(&mut self, number: Ingress, points: u64) {
        if let Some(count) = self.counts.get_mut(number.0 as usize) {
            *count += points;
        }
    }

    /// Database, retention policy, measurement and points.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str, u64)> {
        self.numbers.iter().map(|((database, policy, measurement), number)| {
            (&**database, &**policy, &**measurement, self.counts.get(number.0 as usize).copied().unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_its_bytes_and_its_space() {
        let mut cache = Cache::new(1 << 20);
        let (a, b) = (cache.space("db", "rp"), cache.space("db", ""));
        let number = cache.insert(a, b"cpu,host=a", Entry::default());
        assert_eq!(cache.find(a, b"cpu,host=a"), Some(number));
        assert_eq!((cache.find(b, b"cpu,host=a"), cache.find(a, b"cpu,host=b")), (None, None));
        assert_eq!(cache.space_names(b), ("db", ""));
    }

    #[test]
    fn a_full_cache_starts_over_with_a_new_generation() {
        let mut cache = Cache::new(100 * (ENTRY_BYTES + 8));
        let space = cache.space("db", "rp");
        for n in 0..1_000_u32 {
            cache.insert(space, format!("cpu,n={n}").as_bytes(), Entry::default());
            assert!(cache.bytes() <= 100 * (ENTRY_BYTES + 8));
        }
        assert!(cache.generation() > 5);
        assert!(cache.find(space, b"cpu,n=999").is_some());
        assert!(cache.find(space, b"cpu,n=1").is_none());
    }

    #[test]
    fn ingress_is_counted_by_measurement() {
        let mut table = IngressTable::default();
        let cpu = table.number("db", "rp", "cpu");
        table.add(cpu, 2);
        let again = table.number("db", "rp", "cpu");
        table.add(again, 3);
        assert_eq!(table.iter().collect::<Vec<_>>(), [("db", "rp", "cpu", 5)]);
    }
}
