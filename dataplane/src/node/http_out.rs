//! `httpOut`: keeps the last row of each group for the API (reference: nodes-stream §15, http-api §14).

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{Fault, HttpOutRows, Operator, Outlet, SnapshotError, from_state, to_state};
use crate::{
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Barrier, Batch, Point, Row, Rows, SeriesNumber},
    row,
};

pub struct HttpOut {
    endpoint: String,
    last: GroupStates<Last>,
    groups: Vec<Option<Rc<Group>>>,
}

/// What a group showed last; rendered only when somebody asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Last {
    /// Place in the order of first appearance.
    order: u64,
    content: Content,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Content {
    /// Known by a barrier only.
    Nothing,
    Point {
        name: Name,
        row: Row,
    },
    Batch {
        name: Name,
        time: i64,
        rows: Vec<Row>,
    },
}

impl HttpOut {
    /// A leading `/` of the endpoint does not count.
    pub fn new(endpoint: &str) -> HttpOut {
        let endpoint = endpoint.strip_prefix('/').unwrap_or(endpoint).to_owned();
        HttpOut { endpoint, last: GroupStates::default(), groups: Vec::new() }
    }

    fn set(&mut self, group: &Rc<Group>, order: u64, content: Content) {
        let last = self.last.get_or_insert_with(group, || Last { order, content: Content::Nothing });
        last.content = content;
        self.know(group);
    }

    fn know(&mut self, group: &Rc<Group>) {
        let index = group.index as usize;
        if index >= self.groups.len() {
            self.groups.resize(index + 1, None);
        }
        if let Some(known) = self.groups.get_mut(index)
            && known.is_none()
        {
            *known = Some(group.clone());
        }
    }

    fn render(&self, index: u32, content: &Content) -> Result<String, String> {
        let mut out = String::new();
        let Some(Some(group)) = self.groups.get(index as usize) else { return Ok("null".to_owned()) };
        let empty = Name::new("").map_err(|error| error.to_string())?;
        let done = match content {
            Content::Nothing => {
                out.push_str("null");
                Ok(())
            }
            Content::Point { name, row } => {
                let row = row.as_ref();
                let fields = row.fields();
                let point = Point {
                    name: *name,
                    database: empty,
                    retention_policy: empty,
                    group,
                    tags: row.tags(),
                    fields: fields.as_ref().into(),
                    time: row.time(),
                    series: SeriesNumber::NONE,
                };
                row::of_point(&point, &mut out)
            }
            Content::Batch { name, time, rows } => {
                row::of_batch(&Batch { name: *name, group, time: *time, rows: Rows::new(rows) }, &mut out)
            }
        };
        done.map(|()| out).map_err(|error| error.to_string())
    }
}

impl Operator for HttpOut {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let order = out.context.order;
        let last = self.last.get_or_insert_with(point.group, || Last { order, content: Content::Nothing });
        let mut row = match std::mem::replace(&mut last.content, Content::Nothing) {
            Content::Point { row, .. } => Some(row),
            _ => None,
        };
        Row::replace(&mut row, point.time, point.tags, point.fields.all());
        if let Some(row) = row {
            last.content = Content::Point { name: point.name, row };
        }
        self.know(point.group);
        out.point(point)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let rows = batch.rows.iter().map(|row| row.to_row()).collect();
        let content = Content::Batch { name: batch.name, time: batch.time, rows };
        self.set(batch.group, out.context.order, content);
        out.batch(batch)
    }

    fn barrier(&mut self, _port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let order = out.context.order;
        self.last.get_or_insert_with(barrier.group, || Last { order, content: Content::Nothing });
        self.know(barrier.group);
        out.barrier(barrier)
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.last.remove(group);
        if let Some(known) = self.groups.get_mut(group.index as usize) {
            *known = None;
        }
        out.delete_group(group)
    }

    fn cardinality(&self) -> u64 {
        self.last.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.last)
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        self.last = from_state(state)?;
        let known: Vec<_> = self.last.iter().filter_map(|(index, _)| groups.get(index).cloned()).collect();
        known.iter().for_each(|group| self.know(group));
        Ok(())
    }

    fn http_out(&self) -> Option<HttpOutRows<'_>> {
        let rows = self.last.iter().map(|(index, last)| (last.order, self.render(index, &last.content)));
        Some(HttpOutRows { endpoint: &self.endpoint, rows: rows.collect() })
    }
}
