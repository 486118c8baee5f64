//! What nodes that change tags share: finding the group of a point again.
//!
//! reference: nodes-stream §1: the group of a stream point is worked out anew whenever its name, tags or dimensions are
//! set; on a batch, the tags of the begin message are the dimensions.
//!
//! `None` is the limit of groups, which the node has then reported.

use std::rc::Rc;

use super::Outlet;
use crate::{group::Group, name::Name, tags::TagSet};

/// The group of a stream point whose tags became `tags`, with the dimensions of `group`.
pub fn regroup(group: &Rc<Group>, tags: &TagSet, name: Name, out: &mut Outlet<'_>) -> Option<Rc<Group>> {
    let unchanged = group.tags.iter().all(|(key, value)| tags.get(*key).map_or("", |value| value) == &**value);
    if unchanged {
        return Some(same_group(group, out));
    }
    let value = |key: Name| tags.get(key).cloned().unwrap_or_else(|| Rc::from(""));
    let dimensions = TagSet::new(group.tags.iter().map(|(key, _)| (*key, value(*key))).collect());
    regroup_as(group, dimensions, name, out)
}

/// The group whose dimensions are exactly `tags`.
pub fn regroup_as(group: &Rc<Group>, tags: TagSet, name: Name, out: &mut Outlet<'_>) -> Option<Rc<Group>> {
    let new = out.context.groups.intern(group.measurement.map(|_| name), tags);
    match &new {
        Some(new) => out.regrouped(group, new),
        None => out.too_many_groups(),
    }
    new
}

/// The group as it is, at a node that may change it.
pub fn same_group(group: &Rc<Group>, out: &mut Outlet<'_>) -> Rc<Group> {
    out.regrouped(group, group);
    group.clone()
}

/// The group of a message that gets another name: another one where the name is part of it.
pub fn renamed(group: &Rc<Group>, name: Name, out: &mut Outlet<'_>) -> Option<Rc<Group>> {
    match group.measurement {
        Some(measurement) if measurement != name => regroup_as(group, (*group.tags).clone(), name, out),
        _ => Some(same_group(group, out)),
    }
}
