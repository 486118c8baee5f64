//! `delete`: takes fields and tags away (reference: nodes-stream §8).

use std::rc::Rc;

use super::{
    Fault, Operator, Outlet, StartError,
    rewrite::{regroup_as, same_group},
};
use crate::{
    name::Name,
    point::{Batch, Point, Row, Rows, SeriesNumber},
    tags::TagSet,
    value::Field,
};

pub struct Delete {
    deleted: Deleted,
    fields: Vec<Field>,
    rows: Vec<Row>,
}

struct Deleted {
    fields: Vec<Name>,
    tags: Vec<Name>,
    fields_deleted: u64,
    tags_deleted: u64,
}

impl Delete {
    pub fn new(fields: &[String], tags: &[String]) -> Result<Delete, StartError> {
        let names = |names: &[String]| {
            names.iter().map(|name| Name::new(name).map_err(StartError::new)).collect::<Result<Vec<_>, _>>()
        };
        let (fields, tags) = (names(fields)?, names(tags)?);
        let deleted = Deleted { fields, tags, fields_deleted: 0, tags_deleted: 0 };
        Ok(Delete { deleted, fields: Vec::new(), rows: Vec::new() })
    }
}

impl Deleted {
    /// The tags that stay; `None` if all do.
    fn tags(&mut self, tags: &TagSet) -> Option<TagSet> {
        let kept = tags.without(&self.tags);
        let gone = tags.len() - kept.len();
        self.tags_deleted += gone as u64;
        (gone > 0).then_some(kept)
    }

    fn fields(&mut self, fields: &[Field], into: &mut Vec<Field>) {
        into.clear();
        into.extend(fields.iter().filter(|field| !self.fields.contains(&field.name)).cloned());
        self.fields_deleted += (fields.len() - into.len()) as u64;
    }
}

impl Operator for Delete {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.deleted.fields(point.fields.all(), &mut self.fields);
        let tags = self.deleted.tags(point.tags);
        // A deleted tag leaves the dimensions, also those of a point that lacks it.
        let dimensions = point.group.tags.without(&self.deleted.tags);
        if tags.is_none() && dimensions.len() == point.group.tags.len() {
            let group = same_group(point.group, out);
            return out.point(&Point { fields: (&self.fields).into(), group: &group, ..*point });
        }
        let Some(group) = regroup_as(point.group, dimensions, point.name, out) else {
            return Ok(());
        };
        let tags = tags.map_or_else(|| point.tags.clone(), Rc::new);
        out.point(&Point {
            fields: (&self.fields).into(),
            tags: &tags,
            group: &group,
            series: SeriesNumber::NONE,
            ..*point
        })
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let group = match self.deleted.tags(&batch.group.tags) {
            None => Some(same_group(batch.group, out)),
            Some(tags) => regroup_as(batch.group, tags, batch.name, out),
        };
        let Some(group) = group else {
            return Ok(());
        };
        self.rows.clear();
        for row in batch.rows.iter() {
            self.deleted.fields(&row.fields(), &mut self.fields);
            let tags = self.deleted.tags(row.tags()).map_or_else(|| row.tags().clone(), Rc::new);
            self.rows.push(Row::new(row.time(), tags, &self.fields));
        }
        out.batch(&Batch { group: &group, rows: Rows::new(&self.rows), ..*batch })
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![("fields_deleted", self.deleted.fields_deleted), ("tags_deleted", self.deleted.tags_deleted)]
    }
}
