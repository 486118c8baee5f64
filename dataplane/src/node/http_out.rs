//! `httpOut`: keeps the last row of each group for the API (reference: nodes-stream §15, http-api §14).

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{Fault, HttpOutRows, Operator, Outlet, SnapshotError, from_state, to_state};
use crate::{
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Barrier, Batch, Point, Row, Rows, SeriesNumber, bytes_of_rows},
    row,
};

pub struct HttpOut {
    endpoint: String,
    /// Another node of the task has the endpoint: the task fails as soon as it runs, as in the original.
    is_taken: bool,
    last: GroupStates<Last>,
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
    pub fn new(endpoint: &str, is_taken: bool) -> HttpOut {
        let endpoint = endpoint.strip_prefix('/').unwrap_or(endpoint).to_owned();
        HttpOut { endpoint, is_taken, last: GroupStates::default() }
    }

    fn set(&mut self, group: &Rc<Group>, order: u64, content: Content) {
        let last = self.last.get_or_insert_with(group, || Last { order, content: Content::Nothing });
        last.content = content;
    }

    fn render(group: &Rc<Group>, content: &Content) -> Result<String, String> {
        let mut out = String::new();
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
    fn start(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.is_taken {
            out.wake_at(out.context.now);
        }
        Ok(())
    }

    fn wake(&mut self, _due: i64, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let path = format!("/kapacitor/v1/tasks/{}/{}", out.context.task, self.endpoint);
        Err(Fault::new(format!("http: multiple registrations for {path}")))
    }

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
        out.barrier(barrier)
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.last.remove(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        self.last.bytes(|last| match &last.content {
            Content::Nothing => 0,
            Content::Point { row, .. } => bytes_of_rows(std::slice::from_ref(row)),
            Content::Batch { rows, .. } => bytes_of_rows(rows),
        })
    }

    fn cardinality(&self) -> u64 {
        self.last.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.last)
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        self.last = GroupStates::restore(from_state(state)?, groups);
        Ok(())
    }

    fn http_out(&self) -> Option<HttpOutRows<'_>> {
        let rows = self.last.iter().map(|(group, last)| (last.order, Self::render(group, &last.content)));
        Some(HttpOutRows { endpoint: &self.endpoint, rows: rows.collect() })
    }
}
