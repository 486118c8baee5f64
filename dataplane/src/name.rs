//! Interned names: measurements, tag keys, field names, databases, retention policies.
//!
//! A [`Name`] is a pointer to a text that lives as long as the process, so it is compared and hashed by address on every
//! shard alike and read without a table. Tag *values* are never interned: there may be millions of them. The number of
//! names is bounded; what would exceed it is refused by whoever asked.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::{LazyLock, PoisonError, RwLock},
};

use hashbrown::HashMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Most names that a process holds; 1 million telegraf-like names take about 60 MB.
pub const NAMES_MAX: usize = 1_000_000;

/// A text of which there is one copy. Equality is identity; order is that of the texts, by bytes.
#[derive(Clone, Copy)]
pub struct Name(&'static Entry);

struct Entry(Box<str>);

static NAMES: LazyLock<RwLock<HashMap<&'static str, Name, ahash::RandomState>>> = LazyLock::new(RwLock::default);

/// There is no room for another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {NAMES_MAX} distinct names of measurements, tags and fields")]
pub struct TooManyNames;

impl Name {
    /// The one copy of `text`. Takes a lock: for the first sight of a series and for plans, never per point.
    pub fn new(text: &str) -> Result<Name, TooManyNames> {
        if let Some(name) = NAMES.read().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(*name);
        }
        let mut names = NAMES.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(text) {
            return Ok(*name);
        }
        if names.len() >= NAMES_MAX {
            return Err(TooManyNames);
        }
        let entry: &'static Entry = Box::leak(Box::new(Entry(text.into())));
        let name = Name(entry);
        names.insert(&entry.0, name);
        Ok(name)
    }

    /// The name of `text` if there is one already; makes none.
    pub fn existing(text: &str) -> Option<Name> {
        NAMES.read().unwrap_or_else(PoisonError::into_inner).get(text).copied()
    }

    pub fn as_str(self) -> &'static str {
        &self.0.0
    }

    pub fn is_empty(self) -> bool {
        self.as_str().is_empty()
    }

    /// One of 64 bits: of two names with different bits each is another one.
    #[inline]
    pub fn bit(self) -> u64 {
        // Entries are 16 bytes apart or more; the multiplication spreads the rest of the address.
        1 << ((std::ptr::from_ref(self.0) as usize as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (std::ptr::from_ref(self.0) as usize).hash(state);
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        if self == other { Ordering::Equal } else { self.as_str().cmp(other.as_str()) }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Name::new(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_name_on_every_thread() {
        let here = Name::new("usage_idle").unwrap();
        let there = std::thread::spawn(|| Name::new("usage_idle").unwrap()).join().unwrap();
        assert_eq!(here, there);
        assert_ne!(here, Name::new("usage_user").unwrap());
        assert!(here < Name::new("usage_user").unwrap());
    }
}
