//! Messages that a node keeps until it has the answer to something that it asked for.

use std::rc::Rc;

use crate::{
    group::Group,
    name::Name,
    point::{Barrier, Batch, Point, Row, SeriesNumber},
    tags::TagSet,
    value::Field,
};

/// A message of any kind, owned.
pub enum Message {
    Point(OwnedPoint),
    Batch { name: Name, group: Rc<Group>, time: i64, rows: Vec<Row> },
    Barrier { name: Name, group: Rc<Group>, time: i64 },
    DeleteGroup(Rc<Group>),
}

pub struct OwnedPoint {
    pub name: Name,
    pub database: Name,
    pub retention_policy: Name,
    pub group: Rc<Group>,
    pub tags: Rc<TagSet>,
    pub fields: Vec<Field>,
    pub time: i64,
    pub series: SeriesNumber,
}

impl OwnedPoint {
    pub fn as_ref(&self) -> Point<'_> {
        Point {
            name: self.name,
            database: self.database,
            retention_policy: self.retention_policy,
            group: &self.group,
            tags: &self.tags,
            fields: (&self.fields).into(),
            time: self.time,
            series: self.series,
        }
    }
}

impl From<&Point<'_>> for Message {
    fn from(point: &Point<'_>) -> Message {
        Message::Point(OwnedPoint {
            name: point.name,
            database: point.database,
            retention_policy: point.retention_policy,
            group: point.group.clone(),
            tags: point.tags.clone(),
            fields: point.fields.all().to_vec(),
            time: point.time,
            series: point.series,
        })
    }
}

impl From<&Batch<'_>> for Message {
    fn from(batch: &Batch<'_>) -> Message {
        let rows = batch.rows.iter().map(|row| row.to_row()).collect();
        Message::Batch { name: batch.name, group: batch.group.clone(), time: batch.time, rows }
    }
}

impl From<&Barrier<'_>> for Message {
    fn from(barrier: &Barrier<'_>) -> Message {
        Message::Barrier { name: barrier.name, group: barrier.group.clone(), time: barrier.time }
    }
}
