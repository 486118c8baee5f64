//! `httpPost`: posts each point or batch, one after the other, and passes it on.
//!
//! reference: nodes-stream §15. Posts leave through a queue of the node, so a slow receiver never holds the graph up.
//! With `codeField`, what is posted is parked in a bounded FIFO until its status is known, because the status travels on
//! with it; what finds the FIFO full is dropped and counted as an error.

use std::{collections::VecDeque, rc::Rc, sync::Arc};

use proto::plan;

use super::{Fault, HttpPostRequest, Operator, Outlet, StartError};
use crate::{
    group::Group,
    json::Unsupported,
    name::Name,
    point::{Batch, Point, Row, Rows, SeriesNumber},
    row,
    tags::TagSet,
    value::{Field, Value, set_field},
};

/// Messages of one node on one shard that wait for their status.
const PARKED_MAX: usize = 10_000;

pub struct HttpPost {
    plan: Arc<plan::HttpPost>,
    code_field: Option<Name>,
    next_ticket: u64,
    parked: VecDeque<(u64, Parked)>,
}

/// A message that goes on once its status is known.
enum Parked {
    Point(OwnedPoint),
    Batch { name: Name, group: Rc<Group>, time: i64, rows: Vec<Row> },
}

struct OwnedPoint {
    name: Name,
    database: Name,
    retention_policy: Name,
    group: Rc<Group>,
    tags: Rc<TagSet>,
    fields: Vec<Field>,
    time: i64,
    series: SeriesNumber,
}

impl HttpPost {
    pub fn new(plan: &plan::HttpPost) -> Result<HttpPost, StartError> {
        let code_field = plan.code_field.as_deref().map(Name::new).transpose().map_err(StartError::new)?;
        Ok(HttpPost { plan: Arc::new(plan.clone()), code_field, next_ticket: 0, parked: VecDeque::new() })
    }

    /// Posts a rendered row; returns the ticket if it was taken.
    fn post(&mut self, row: Result<String, Unsupported>, out: &mut Outlet<'_>) -> Option<u64> {
        let mut body = match row {
            Ok(row) => row::series(&row),
            Err(error) => {
                out.error("failed to POST data", &error);
                return None;
            }
        };
        body.push('\n');
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (task, node) = (out.context.task.to_string(), out.node().to_string());
        let taken =
            out.context.outputs.http_post(HttpPostRequest { task, node, post: self.plan.clone(), body, ticket });
        if !taken {
            out.error("failed to POST data", &"too many posts are waiting");
        }
        taken.then_some(ticket)
    }

    /// Parks what was posted; without a post (or with no room) it goes on at once or not at all.
    fn park(&mut self, ticket: Option<u64>, message: Parked, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let Some(ticket) = ticket else { return self.go_on(message, 0, out) };
        if self.parked.len() >= PARKED_MAX {
            out.error(
                "point dropped",
                &format_args!("more than {PARKED_MAX} messages wait for the status of their POST"),
            );
            return Ok(());
        }
        self.parked.push_back((ticket, message));
        Ok(())
    }

    fn go_on(&self, message: Parked, status: u16, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let Some(code_field) = self.code_field else { return Ok(()) };
        let code = Value::Int(i64::from(status));
        match message {
            Parked::Point(mut point) => {
                set_field(&mut point.fields, code_field, code);
                out.point(&Point {
                    name: point.name,
                    database: point.database,
                    retention_policy: point.retention_policy,
                    group: &point.group,
                    tags: &point.tags,
                    fields: (&point.fields).into(),
                    time: point.time,
                    series: point.series,
                })
            }
            Parked::Batch { name, group, time, rows } => {
                let with_code = |row: &Row| {
                    let row = row.as_ref();
                    let mut fields = row.fields().into_owned();
                    set_field(&mut fields, code_field, code.clone());
                    Row::new(row.time(), row.tags().clone(), &fields)
                };
                let rows: Vec<Row> = rows.iter().map(with_code).collect();
                out.batch(&Batch { name, group: &group, time, rows: Rows::new(&rows) })
            }
        }
    }
}

impl Operator for HttpPost {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let mut rendered = String::new();
        let ticket = self.post(row::of_point(point, &mut rendered).map(|()| rendered), out);
        if self.code_field.is_none() {
            return out.point(point);
        }
        let message = Parked::Point(OwnedPoint {
            name: point.name,
            database: point.database,
            retention_policy: point.retention_policy,
            group: point.group.clone(),
            tags: point.tags.clone(),
            fields: point.fields.all().to_vec(),
            time: point.time,
            series: point.series,
        });
        self.park(ticket, message, out)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let mut rendered = String::new();
        let ticket = self.post(row::of_batch(batch, &mut rendered).map(|()| rendered), out);
        if self.code_field.is_none() {
            return out.batch(batch);
        }
        let rows = batch.rows.iter().map(|row| row.to_row()).collect();
        self.park(ticket, Parked::Batch { name: batch.name, group: batch.group.clone(), time: batch.time, rows }, out)
    }

    fn resume(&mut self, ticket: u64, status: u16, out: &mut Outlet<'_>) -> Result<(), Fault> {
        // The log line stands where the answer was read.
        if !(200..300).contains(&status) {
            out.count_error();
        }
        let Some(at) = self.parked.iter().position(|(parked, _)| *parked == ticket) else { return Ok(()) };
        match self.parked.remove(at) {
            Some((_, message)) => self.go_on(message, status, out),
            None => Ok(()),
        }
    }
}
