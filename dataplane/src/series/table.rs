//! Series by the raw bytes of their key: a table of numbers, records by number, and one arena of keys.
//!
//! ```text
//! slots    open addressing; 32 bits of the hash, and the number + 1        ≤ 21 B a series
//! records  32 B a series, in order of first sight
//! arena    the keys, one behind the other, in the same order
//! ```
//!
//! Pollers send their series in the same order every time. So each record remembers which series came next, and the key
//! of that one is compared with what comes: no scan for the key's end, no hash, and as numbers, records and keys stand in
//! order of first sight, a walk through memory from front to back. In another order each of the three costs a cache miss;
//! [`super::Lookahead`] takes those of many lines at once.

use memchr::memchr;

use crate::line::equal;
use crate::prefetch::prefetch;

/// A database and retention policy of some writer, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Space(pub(super) u16);

/// Number of a counter of points by database, retention policy and measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ingress(pub(super) u32);

/// No series.
pub const NONE: u32 = u32::MAX;

/// What a receiver knows of a series.
#[derive(Clone, Debug)]
#[repr(align(32))]
pub struct Series {
    start: u32,
    len: u16,
    space: Space,
    /// The key has no backslash: its first blank ends it, and quotes and newlines in it mean nothing.
    plain: bool,
    /// The series that came behind it last time; [`NONE`] at first.
    pub next: u32,
    /// Number of its route, under some plan epoch.
    pub route: u32,
    pub ingress: Ingress,
    /// Bit n: shard n has its definition.
    pub told: u64,
}

/// Hash of a space and a key.
pub type Hash = u32;

#[derive(Debug, Default)]
pub struct Table {
    /// Hash and number + 1; 0 is free. A power of two.
    slots: Vec<u64>,
    records: Vec<Series>,
    arena: Vec<u8>,
    hasher: ahash::RandomState,
}

impl Table {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all keys, records and slots.
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.records.len() * size_of::<Series>() + self.slots.len() * size_of::<u64>()
    }

    /// The most that one more series can add to [`Table::bytes`].
    pub fn bytes_to_insert(&self, key: &[u8]) -> usize {
        key.len() + size_of::<Series>() + if self.is_full() { self.slots.len() * size_of::<u64>() } else { 0 }
    }

    pub fn hash(&self, space: Space, key: &[u8]) -> Hash {
        (self.hasher.hash_one((space, key)) >> 32) as Hash
    }

    /// The number of a series.
    pub fn find(&self, space: Space, key: &[u8]) -> Option<u32> {
        self.numbers(self.hash(space, key)).find(|&number| self.is(number, space, key))
    }

    /// The series that most likely has this hash.
    pub fn likely(&self, hash: Hash) -> Option<u32> {
        self.numbers(hash).next()
    }

    /// Numbers of series with this hash.
    fn numbers(&self, hash: Hash) -> impl Iterator<Item = u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        std::iter::from_fn(move || {
            loop {
                let slot = *self.slots.get(at).filter(|slot| **slot != 0)?;
                at = (at + 1) & mask;
                if (slot >> 32) as u32 == hash {
                    return Some(slot as u32 - 1);
                }
            }
        })
    }

    pub fn get(&self, number: u32) -> Option<&Series> {
        self.records.get(number as usize)
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut Series> {
        self.records.get_mut(number as usize)
    }

    /// In order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Series> {
        self.records.iter()
    }

    pub fn key(&self, number: u32) -> &[u8] {
        self.get(number).map_or(&[], |series| self.key_of(series))
    }

    fn key_of(&self, series: &Series) -> &[u8] {
        let start = series.start as usize;
        self.arena.get(start..start + usize::from(series.len)).unwrap_or_default()
    }

    fn is(&self, number: u32, space: Space, key: &[u8]) -> bool {
        self.get(number).is_some_and(|series| series.space == space && self.key_of(series) == key)
    }

    /// The length of the key of `number` if it is plain and `text` begins with it and a blank.
    #[inline]
    pub fn begins(&self, number: u32, space: Space, text: &[u8]) -> Option<usize> {
        let series = self.get(number).filter(|series| series.plain && series.space == space)?;
        let len = usize::from(series.len);
        let (key, behind) = text.split_at_checked(len)?;
        (behind.first() == Some(&b' ') && equal(key, self.key_of(series))).then_some(len)
    }

    /// Adds a series that is not there, with a key of 65,535 bytes at most.
    pub fn insert(&mut self, space: Space, key: &[u8], route: u32, ingress: Ingress) -> u32 {
        if self.is_full() {
            self.grow();
        }
        let number = self.records.len() as u32;
        let (start, len) = (self.arena.len() as u32, key.len() as u16);
        self.records.push(Series {
            start,
            len,
            space,
            plain: memchr(b'\\', key).is_none(),
            next: NONE,
            route,
            ingress,
            told: 0,
        });
        self.arena.extend_from_slice(key);
        let slot = u64::from(self.hash(space, key)) << 32 | u64::from(number + 1);
        self.place(slot);
        number
    }

    /// Three slots of four are in use at most.
    fn is_full(&self) -> bool {
        (self.records.len() + 1) * 4 > self.slots.len() * 3
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(16);
        for slot in std::mem::replace(&mut self.slots, vec![0; size]) {
            if slot != 0 {
                self.place(slot);
            }
        }
    }

    fn place(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = (slot >> 32) as usize & mask;
        while self.slots.get(at).is_some_and(|slot| *slot != 0) {
            at = (at + 1) & mask;
        }
        if let Some(free) = self.slots.get_mut(at) {
            *free = slot;
        }
    }

    pub fn clear(&mut self) {
        self.slots.clear();
        self.records.clear();
        self.arena.clear();
    }

    /// Asks for the slot of a hash, the record of a number, the key of a number.
    pub(super) fn prefetch_slot(&self, hash: Hash) {
        prefetch(&self.slots, hash as usize & self.slots.len().wrapping_sub(1));
    }

    pub(super) fn prefetch_record(&self, number: u32) {
        prefetch(&self.records, number as usize);
    }

    pub(super) fn prefetch_key(&self, number: u32) {
        if let Some(series) = self.get(number) {
            prefetch(&self.arena, series.start as usize);
            prefetch(&self.arena, series.start as usize + usize::from(series.len));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Space = Space(0);
    const B: Space = Space(1);

    #[test]
    fn a_series_is_found_by_its_bytes_and_its_space() {
        let mut table = Table::default();
        assert_eq!((table.find(A, b"cpu"), table.begins(0, A, b"cpu v=1")), (None, None));
        for n in 0..2_000_u32 {
            let key = format!("cpu,n={n}");
            assert_eq!(table.find(A, key.as_bytes()), None);
            assert_eq!(table.insert(A, key.as_bytes(), n, Ingress(0)), n);
        }
        for n in 0..2_000_u32 {
            let key = format!("cpu,n={n}");
            assert_eq!(table.find(A, key.as_bytes()), Some(n));
            assert_eq!(table.find(B, key.as_bytes()), None);
            assert_eq!((table.key(n), table.get(n).unwrap().route), (key.as_bytes(), n));
            assert_eq!(table.likely(table.hash(A, key.as_bytes())), Some(n));
        }
    }

    #[test]
    fn a_key_begins_a_line_if_a_blank_follows_and_every_byte_counts() {
        for len in 1..150_usize {
            let key: Vec<u8> = (0..len).map(|n| b'a' + (n % 23) as u8).collect();
            let mut table = Table::default();
            let number = table.insert(A, &key, 0, Ingress(0));
            let mut line = key.clone();
            assert_eq!(table.begins(number, A, &line), None);
            line.extend(b" v=1");
            assert_eq!(table.begins(number, A, &line), Some(len));
            assert_eq!(table.begins(number, B, &line), None);
            for at in 0..=len {
                let mut other = line.clone();
                other[at] ^= 1;
                assert_eq!(table.begins(number, A, &other), None, "{len} {at}");
            }
        }
    }
}
