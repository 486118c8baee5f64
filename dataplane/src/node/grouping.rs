//! Finding the group of a point: what `from` and `groupBy` share.
//!
//! The group of a point that still has the name and tags of its source series is remembered by the series' number, so
//! that nothing is hashed per point.

use std::rc::Rc;

use proto::plan::{DimensionTags, Dimensions};

use super::Outlet;
use crate::{
    group::{Group, Groups},
    name::{Name, TooManyNames},
    point::{Point, SeriesNumber},
    tags::TagSet,
};

pub struct Grouping {
    by_measurement: bool,
    tags: GroupTags,
    by_series: Vec<Option<Rc<Group>>>,
}

enum GroupTags {
    Named(Vec<Name>),
    AllBut(Vec<Name>),
}

impl Grouping {
    pub fn new(dimensions: &Dimensions) -> Result<Grouping, TooManyNames> {
        let names = |names: &[String]| names.iter().map(|name| Name::new(name)).collect::<Result<Vec<_>, _>>();
        let tags = match &dimensions.tags {
            DimensionTags::Named(named) => GroupTags::Named(names(named)?),
            DimensionTags::All { exclude } => GroupTags::AllBut(names(exclude)?),
        };
        Ok(Grouping { by_measurement: dimensions.by_measurement, tags, by_series: Vec::new() })
    }

    /// The group of a point; `None` at the limit of groups, which is then reported. `by_measurement` adds to the
    /// grouping's own.
    pub fn group(&mut self, point: &Point<'_>, by_measurement: bool, out: &mut Outlet<'_>) -> Option<Rc<Group>> {
        let group = self.remembered(point, by_measurement, &mut out.context.groups);
        match &group {
            Some(group) => out.regrouped(point.group, group),
            None => out.too_many_groups(),
        }
        group
    }

    fn remembered(&mut self, point: &Point<'_>, by_measurement: bool, groups: &mut Groups) -> Option<Rc<Group>> {
        if point.series == SeriesNumber::NONE {
            return self.find(point.name, point.tags, by_measurement, groups);
        }
        let index = point.series.0 as usize;
        if let Some(Some(group)) = self.by_series.get(index) {
            return Some(group.clone());
        }
        let group = self.find(point.name, point.tags, by_measurement, groups)?;
        if index >= self.by_series.len() {
            self.by_series.resize(index + 1, None);
        }
        if let Some(known) = self.by_series.get_mut(index) {
            *known = Some(group.clone());
        }
        Some(group)
    }

    /// The group of a measurement and tags.
    pub fn find(
        &self,
        measurement: Name,
        tags: &TagSet,
        by_measurement: bool,
        groups: &mut Groups,
    ) -> Option<Rc<Group>> {
        let tags = match &self.tags {
            GroupTags::Named(names) => {
                let value = |name: &Name| tags.get(*name).cloned().unwrap_or_else(|| Rc::from(""));
                TagSet::new(names.iter().map(|name| (*name, value(name))).collect())
            }
            GroupTags::AllBut(excluded) => tags.without(excluded),
        };
        groups.intern((self.by_measurement || by_measurement).then_some(measurement), tags)
    }

    pub fn forget_series(&mut self) {
        self.by_series.clear();
    }
}
