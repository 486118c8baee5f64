//! What nodes that change tags share: finding the group of a point again.
//!
//! reference: nodes-stream §1: the group of a stream point is worked out anew whenever its name, tags or dimensions are
//! set; on a batch, the tags of the begin message are the dimensions.

use std::rc::Rc;

use crate::{
    group::{Group, Groups},
    name::Name,
    tags::TagSet,
};

/// The group of a stream point whose tags became `tags`, with the dimensions of `group`; `None` at the limit of groups.
pub fn regroup(group: &Rc<Group>, tags: &TagSet, name: Name, groups: &mut Groups) -> Option<Rc<Group>> {
    let unchanged = group.tags.iter().all(|(key, value)| tags.get(*key).map_or("", |value| value) == &**value);
    if unchanged {
        return Some(group.clone());
    }
    let value = |key: Name| tags.get(key).cloned().unwrap_or_else(|| Rc::from(""));
    let dimensions = TagSet::new(group.tags.iter().map(|(key, _)| (*key, value(*key))).collect());
    groups.intern(group.measurement.map(|_| name), dimensions)
}

/// The group whose dimensions are exactly `tags`.
pub fn regroup_as(group: &Rc<Group>, tags: TagSet, name: Name, groups: &mut Groups) -> Option<Rc<Group>> {
    groups.intern(group.measurement.map(|_| name), tags)
}
