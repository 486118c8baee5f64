//! `default`: fields and tags that a point lacks (reference: nodes-stream §8).

use std::rc::Rc;

use proto::Value as Constant;

use super::{
    Fault, Operator, Outlet, StartError,
    rewrite::{regroup, regroup_as, same_group},
};
use crate::{
    name::Name,
    point::{Batch, Point, Row, Rows, SeriesNumber},
    tags::TagSet,
    value::{Field, Value, field, set_field},
};

pub struct Default {
    defaults: Defaults,
    fields: Vec<Field>,
    rows: Vec<Row>,
}

struct Defaults {
    fields: Vec<Field>,
    tags: Vec<(Name, Rc<str>)>,
    fields_defaulted: u64,
    tags_defaulted: u64,
}

impl Default {
    pub fn new(fields: &[(String, Constant)], tags: &[(String, String)]) -> Result<Default, StartError> {
        let mut defaults = Defaults { fields: vec![], tags: vec![], fields_defaulted: 0, tags_defaulted: 0 };
        // Of two with one name the last one counts.
        for (name, value) in fields {
            set_field(&mut defaults.fields, Name::new(name).map_err(StartError::new)?, Value::from(value));
        }
        for (name, value) in tags {
            let name = Name::new(name).map_err(StartError::new)?;
            defaults.tags.retain(|(known, _)| *known != name);
            defaults.tags.push((name, value.as_str().into()));
        }
        Ok(Default { defaults, fields: Vec::new(), rows: Vec::new() })
    }
}

impl Defaults {
    /// The tags with what is absent or empty set; `None` if nothing is.
    fn tags(&mut self, tags: &TagSet) -> Option<TagSet> {
        let mut new = None;
        for (name, value) in &self.tags {
            if tags.get(*name).is_none_or(|value| value.is_empty()) {
                self.tags_defaulted += 1;
                new = Some(new.as_ref().unwrap_or(tags).with(*name, value.clone()));
            }
        }
        new
    }

    fn fields(&mut self, fields: &[Field], into: &mut Vec<Field>) {
        into.clear();
        into.extend_from_slice(fields);
        for default in &self.fields {
            if field(fields, default.name).is_none() {
                self.fields_defaulted += 1;
                into.push(default.clone());
            }
        }
    }
}

impl Operator for Default {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.defaults.fields(point.fields.all(), &mut self.fields);
        let Some(tags) = self.defaults.tags(point.tags) else {
            let group = same_group(point.group, out);
            return out.point(&Point { fields: (&self.fields).into(), group: &group, ..*point });
        };
        let tags = Rc::new(tags);
        let Some(group) = regroup(point.group, &tags, point.name, out) else {
            return Ok(());
        };
        out.point(&Point {
            fields: (&self.fields).into(),
            tags: &tags,
            group: &group,
            series: SeriesNumber::NONE,
            ..*point
        })
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        // The begin message has no fields, so each default field counts once for it.
        self.defaults.fields_defaulted += self.defaults.fields.len() as u64;
        let group = match self.defaults.tags(&batch.group.tags) {
            None => Some(same_group(batch.group, out)),
            Some(tags) => regroup_as(batch.group, tags, batch.name, out),
        };
        let Some(group) = group else {
            return Ok(());
        };
        self.rows.clear();
        for row in batch.rows.iter() {
            self.defaults.fields(&row.fields(), &mut self.fields);
            let tags = self.defaults.tags(row.tags()).map_or_else(|| row.tags().clone(), Rc::new);
            self.rows.push(Row::new(row.time(), tags, &self.fields));
        }
        out.batch(&Batch { group: &group, rows: Rows::new(&self.rows), ..*batch })
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![("fields_defaulted", self.defaults.fields_defaulted), ("tags_defaulted", self.defaults.tags_defaulted)]
    }
}
