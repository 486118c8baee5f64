//! Tags of a point or group: parsed once per series, shared by reference after that.

use std::rc::Rc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::Name;

/// Tags sorted by key (by bytes), each key once. Equality is by content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TagSet {
    /// The bits of all keys: what most names that are no tags are told by, without a look at the tags.
    bits: u64,
    tags: Box<[(Name, Rc<str>)]>,
}

impl TagSet {
    /// Sorts `tags`; of equal keys the last one counts.
    pub fn new(mut tags: Vec<(Name, Rc<str>)>) -> Self {
        tags.reverse();
        tags.sort_by_key(|(key, _)| *key);
        tags.dedup_by_key(|(key, _)| *key);
        TagSet::sorted(tags.into())
    }

    /// Of tags in order, each key once.
    fn sorted(tags: Box<[(Name, Rc<str>)]>) -> Self {
        TagSet { bits: tags.iter().fold(0, |bits, (key, _)| bits | key.bit()), tags }
    }

    pub fn empty() -> Self {
        TagSet::default()
    }

    #[inline]
    pub fn get(&self, key: Name) -> Option<&Rc<str>> {
        if self.bits & key.bit() == 0 {
            return None;
        }
        self.tags.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// In order of keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(Name, Rc<str>)> {
        self.tags.iter()
    }

    pub fn len(&self) -> usize {
        self.tags.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// A copy with `key` set.
    pub fn with(&self, key: Name, value: Rc<str>) -> TagSet {
        let mut tags = self.tags.to_vec();
        tags.push((key, value));
        TagSet::new(tags)
    }

    /// A copy with all of `others` set.
    pub fn merged(&self, others: &TagSet) -> TagSet {
        TagSet::new(self.iter().chain(others.iter()).cloned().collect())
    }

    /// A copy without `keys`.
    pub fn without(&self, keys: &[Name]) -> TagSet {
        TagSet::sorted(self.tags.iter().filter(|(key, _)| !keys.contains(key)).cloned().collect())
    }
}

impl Serialize for TagSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.tags.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TagSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(TagSet::sorted(Deserialize::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn tags_are_sorted_by_text_and_the_last_of_a_key_counts() {
        let tags = TagSet::new(vec![(name("z"), "1".into()), (name("a"), "2".into()), (name("z"), "3".into())]);
        let shown: Vec<_> = tags.iter().map(|(key, value)| (key.as_str(), &**value)).collect();
        assert_eq!(shown, [("a", "2"), ("z", "3")]);
        assert_eq!(tags.with(name("a"), "9".into()).get(name("a")).map(|v| &**v), Some("9"));
        assert_eq!(tags.without(&[name("z")]).len(), 1);
    }
}
