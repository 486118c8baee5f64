//! The series cache of one receiver.
//!
//! The key of a series is its database, its retention policy and the bytes of measurement and tags as sent: `cpu,a=1,b=2`
//! and `cpu,b=2,a=1` are two entries that lead to the same groups. An entry holds what does not depend on the point.
//!
//! The cache is bounded in bytes. When it is full it starts over with a new generation: owners forget the numbers of the
//! old one, and whoever still writes is back after one miss a series. It also starts over when most of its series seem to
//! have gone, so that what it holds follows what is written: a cache that began anew knows soon how many write.

use hashbrown::HashMap;

use super::{Ingress, Series, Space, Table};

#[derive(Debug, Default)]
pub struct Cache {
    table: Table,
    spaces: HashMap<(Box<str>, Box<str>), Space>,
    space_names: Vec<(Box<str>, Box<str>)>,
    generation: u64,
    bytes_max: usize,
    /// When the generation began, nanoseconds since 1970; `None` until somebody tells the time.
    began: Option<i64>,
    /// Series that came within [`RETURN`].
    returned: Option<usize>,
    /// The table before the last start over for age, for bodies that were staged by it.
    previous: Option<Table>,
}

/// How long writers are waited for after a start, nanoseconds: most pollers have come by then.
const RETURN: i64 = 15_000_000_000;

/// Series that are not worth starting over for.
const FEW: usize = 1 << 15;

/// Most databases with retention policies; one more starts the cache over.
const SPACES_MAX: usize = 10_000;

impl Cache {
    /// Holds at most `bytes_max` bytes, keys and entries together.
    pub fn new(bytes_max: usize) -> Self {
        // Places in the arena of keys are 32 bits.
        Cache { bytes_max: bytes_max.min(u32::MAX as usize), ..Cache::default() }
    }

    /// Rises when all numbers become invalid.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The number of a database and retention policy, until the generation rises.
    pub fn space(&mut self, database: &str, retention_policy: &str) -> Space {
        let key = (Box::from(database), Box::from(retention_policy));
        if self.spaces.len() >= SPACES_MAX && !self.spaces.contains_key(&key) {
            self.clear();
            self.spaces.clear();
            self.space_names.clear();
        }
        let next = Space(self.spaces.len() as u16);
        let names = &mut self.space_names;
        *self.spaces.entry(key).or_insert_with_key(|key| {
            names.push(key.clone());
            next
        })
    }

    pub fn space_names(&self, space: Space) -> (&str, &str) {
        let names = self.space_names.get(usize::from(space.0));
        names.map_or(("", ""), |(database, policy)| (database, policy))
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut Series> {
        self.table.get_mut(number)
    }

    /// Adds a series that is not there. At the limit everything else goes, and the generation rises.
    pub fn insert(&mut self, space: Space, key: &[u8], route: u32, ingress: Ingress) -> u32 {
        if self.bytes() + self.table.bytes_to_insert(key) > self.bytes_max {
            self.clear();
        }
        self.table.insert(space, key, route, ingress)
    }

    fn clear(&mut self) {
        self.generation += 1;
        self.table.clear();
        (self.began, self.returned, self.previous) = (None, None, None);
    }

    /// Starts over if there are twice as many series as came back soon, and some more; returns whether it did. What was
    /// staged by the generation before can be carried over for a while.
    pub fn refresh(&mut self, now: i64) -> bool {
        let began = *self.began.get_or_insert(now);
        if now.saturating_sub(began) < RETURN {
            return false;
        }
        self.previous = None;
        let returned = *self.returned.get_or_insert(self.table.len());
        if self.table.len() <= 2 * returned + FEW {
            return false;
        }
        let previous = std::mem::take(&mut self.table);
        self.clear();
        (self.began, self.previous) = (Some(now), Some(previous));
        true
    }

    /// Looks at the table of `generation`, if that was the one before; see [`Cache::refresh`].
    pub fn previous(&self, generation: u64) -> Option<&Table> {
        self.previous.as_ref().filter(|_| generation + 1 == self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_starts_over_with_a_new_generation() {
        let mut cache = Cache::new(10_000);
        let space = cache.space("db", "rp");
        assert_eq!(cache.space_names(space), ("db", "rp"));
        for n in 0..1_000_u32 {
            cache.insert(space, format!("cpu,n={n}").as_bytes(), 0, Ingress::default());
            assert!(cache.bytes() <= 10_000);
        }
        assert!(cache.generation() > 3);
        assert!(cache.table().find(space, b"cpu,n=999").is_some());
        assert!(cache.table().find(space, b"cpu,n=1").is_none());
    }

    #[test]
    fn a_cache_whose_series_went_starts_over_and_one_whose_series_stay_does_not() {
        const SECOND: i64 = 1_000_000_000;
        let mut cache = Cache::new(1 << 30);
        let space = cache.space("db", "rp");
        let series = |cache: &mut Cache, from: usize, to: usize| {
            for n in from..to {
                cache.insert(space, format!("m,n={n}").as_bytes(), 0, Ingress::default());
            }
        };
        assert!(!cache.refresh(0));
        series(&mut cache, 0, 1_000);
        assert!(!cache.refresh(15 * SECOND));
        // As many again and the allowance: all may be alive.
        series(&mut cache, 1_000, 2_000 + FEW);
        assert!(!cache.refresh(20 * SECOND));
        series(&mut cache, 2_000 + FEW, 2_001 + FEW);
        assert!(cache.refresh(21 * SECOND));
        assert_eq!((cache.len(), cache.generation()), (0, 1));
        // Who was staged by the old table can still look there, for a while.
        assert_eq!(cache.previous(0).map(Table::len), Some(2_001 + FEW));
        assert!(cache.previous(1).is_none());
        assert!(!cache.refresh(36 * SECOND) && cache.previous(0).is_none());
    }

    /// Design: at most 120 bytes and the key.
    #[test]
    fn a_series_takes_few_bytes_beside_its_key() {
        let mut cache = Cache::new(1 << 30);
        let space = cache.space("db", "rp");
        let mut keys = 0;
        for n in 0..100_000_u32 {
            let key = format!("cpu,cpu=cpu-total,dc=dc-{},host=host-{n}", n % 12);
            keys += key.len();
            cache.insert(space, key.as_bytes(), 0, Ingress::default());
            if n > 1_000 {
                assert!(cache.bytes() - keys <= (n as usize + 1) * 54, "{n}");
            }
        }
    }
}
