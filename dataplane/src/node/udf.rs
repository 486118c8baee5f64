//! `@name()`: points go to a user-defined function and come back from it (reference: nodes-alert-join-io §8).
//!
//! The I/O thread speaks with the function; what it says comes back by [`Operator::udf`], in order.

use std::{rc::Rc, sync::Arc};

use proto::plan;
use tokio::sync::watch;

use super::{Fault, Operator, Outlet};
use crate::{
    group::Group,
    name::{Name, TooManyNames},
    point::{Barrier, Batch, Point, Row, Rows, SeriesNumber},
    tags::TagSet,
    udf::{Begin, End, Request, Response, UdfPoint, UdfValue, frame},
    value::{Field, Value},
};

/// What a UDF node asks of the I/O thread.
#[derive(Clone, Debug)]
pub struct UdfRequest {
    pub task: String,
    pub node: String,
    pub plan: Arc<plan::Udf>,
    pub act: UdfAct,
}

#[derive(Clone, Debug)]
pub enum UdfAct {
    /// The node's word: it changes when the node has closed its function, and is gone where the node ends before.
    Open(watch::Receiver<()>),
    /// Framed messages.
    Data(Vec<u8>),
    /// Nothing more comes.
    Close,
}

/// What becomes of a function.
#[derive(Debug)]
pub enum UdfEvent {
    /// It says these, in order.
    Said(Vec<Response>),
    /// It is gone, or breaks the protocol: the task fails.
    Failed(String),
    /// It was closed and has said everything.
    Ended,
}

/// Points of a batch that a function sends without its end. More: the task fails.
const BATCH_POINTS_MAX: usize = 1_000_000;

pub struct Udf {
    plan: Arc<plan::Udf>,
    /// A batch that the function has begun.
    begun: Option<(Begin, Vec<Row>)>,
    /// It was closed, and may still say something.
    closing: bool,
    /// A node that ends without a word, because its task failed, leaves no function running.
    word: watch::Sender<()>,
}

impl Udf {
    pub fn new(plan: &plan::Udf) -> Udf {
        Udf { plan: Arc::new(plan.clone()), begun: None, closing: false, word: watch::Sender::new(()) }
    }

    fn request(&self, act: UdfAct, out: &mut Outlet<'_>) -> bool {
        let (task, node) = (out.context.task.to_string(), out.node().to_string());
        out.context.outputs.udf(UdfRequest { task, node, plan: self.plan.clone(), act })
    }

    fn send(&self, bytes: Vec<u8>, out: &mut Outlet<'_>) {
        if !self.request(UdfAct::Data(bytes), out) {
            out.error("message dropped", &"too many messages wait for the function");
        }
    }

    fn said(&mut self, response: Response, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let done = match response {
            Response::Begin(begin) => {
                self.begun = Some((begin, Vec::new()));
                Ok(())
            }
            Response::Point(point) => match &mut self.begun {
                Some((_, rows)) if rows.len() >= BATCH_POINTS_MAX => {
                    return Err(Fault::new(format!("a batch of the function has more than {BATCH_POINTS_MAX} points")));
                }
                Some((_, rows)) => row(point).map(|row| rows.push(row)),
                None => return self.emit_point(point, out),
            },
            Response::End(end) => match self.begun.take() {
                Some((begin, rows)) => return self.emit_batch(&begin, end, &rows, out),
                None => return Err(Fault::new("the function ends a batch that it has not begun")),
            },
            Response::Error(error) => return Err(Fault::new(error)),
            // What nobody asked for.
            Response::Info(_)
            | Response::Init(_)
            | Response::Keepalive
            | Response::Snapshot(_)
            | Response::Restore(_) => Ok(()),
        };
        if let Err(error) = done {
            out.error("point dropped", &error);
        }
        Ok(())
    }

    /// The group comes from the dimensions and tags; what the function says of it does not count.
    fn emit_point(&self, point: UdfPoint, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let made = || -> Result<_, TooManyNames> {
            let name = Name::new(&point.name)?;
            let tags = tag_set(&point.tags)?;
            let value = |key: Name| tags.get(key).cloned().unwrap_or_else(|| Rc::from(""));
            let dimension = |key: &String| Name::new(key).map(|key| (key, value(key)));
            let dimensions = point.dimensions.iter().map(dimension).collect::<Result<_, _>>()?;
            let places = (Name::new(&point.database)?, Name::new(&point.retention_policy)?);
            Ok((name, tags, TagSet::new(dimensions), fields(&point.fields)?, places))
        };
        let (name, tags, dimensions, fields, (database, retention_policy)) = match made() {
            Ok(made) => made,
            Err(error) => {
                out.error("point dropped", &error);
                return Ok(());
            }
        };
        let Some(group) = out.context.groups.intern(point.by_name.then_some(name), dimensions) else {
            out.too_many_groups();
            return Ok(());
        };
        out.point(&Point {
            name,
            database,
            retention_policy,
            group: &group,
            tags: &Rc::new(tags),
            fields: (&fields).into(),
            time: point.time,
            series: SeriesNumber::NONE,
        })
    }

    fn emit_batch(&self, begin: &Begin, end: End, rows: &[Row], out: &mut Outlet<'_>) -> Result<(), Fault> {
        let (name, tags) = match (Name::new(&end.name), tag_set(&end.tags)) {
            (Ok(name), Ok(tags)) => (name, tags),
            (Err(error), _) | (_, Err(error)) => {
                out.error("batch dropped", &error);
                return Ok(());
            }
        };
        match out.context.groups.intern(begin.by_name.then_some(name), tags) {
            Some(group) => out.batch(&Batch { name, group: &group, time: end.time, rows: Rows::new(rows) }),
            None => {
                out.too_many_groups();
                Ok(())
            }
        }
    }
}

fn tag_set(tags: &[(String, String)]) -> Result<TagSet, TooManyNames> {
    let tag = |(key, value): &(String, String)| Ok((Name::new(key)?, Rc::from(value.as_str())));
    Ok(TagSet::new(tags.iter().map(tag).collect::<Result<_, TooManyNames>>()?))
}

fn fields(fields: &[(String, UdfValue)]) -> Result<Vec<Field>, TooManyNames> {
    let field = |(name, value): &(String, UdfValue)| {
        let value = match value {
            UdfValue::Double(x) => Value::Float(*x),
            UdfValue::Int(x) => Value::Int(*x),
            UdfValue::String(x) => Value::String(x.as_str().into()),
            UdfValue::Bool(x) => Value::Bool(*x),
        };
        Ok(Field { name: Name::new(name)?, value })
    };
    fields.iter().map(field).collect()
}

fn row(point: UdfPoint) -> Result<Row, TooManyNames> {
    Ok(Row::new(point.time, Rc::new(tag_set(&point.tags)?), &fields(&point.fields)?))
}

/// A null is left out, and a duration goes as its nanoseconds.
fn to_fields(fields: &[Field]) -> Vec<(String, UdfValue)> {
    let field = |field: &Field| {
        let value = match &field.value {
            Value::Float(x) => UdfValue::Double(*x),
            Value::Int(x) | Value::Duration(x) => UdfValue::Int(*x),
            Value::String(x) => UdfValue::String(x.to_string()),
            Value::Bool(x) => UdfValue::Bool(*x),
            Value::Null | Value::Missing => return None,
        };
        Some((field.name.as_str().to_owned(), value))
    };
    fields.iter().filter_map(field).collect()
}

fn to_tags(tags: &TagSet) -> Vec<(String, String)> {
    tags.iter().map(|(key, value)| (key.as_str().to_owned(), value.to_string())).collect()
}

impl Operator for Udf {
    fn start(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        match self.request(UdfAct::Open(self.word.subscribe()), out) {
            true => Ok(()),
            false => Err(Fault::new("too many requests wait for the I/O thread")),
        }
    }

    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let message = Request::Point(UdfPoint {
            time: point.time,
            name: point.name.as_str().to_owned(),
            database: point.database.as_str().to_owned(),
            retention_policy: point.retention_policy.as_str().to_owned(),
            group: point.group.id(),
            dimensions: point.group.tags.iter().map(|(key, _)| key.as_str().to_owned()).collect(),
            tags: to_tags(point.tags),
            fields: to_fields(point.fields.all()),
            by_name: point.group.measurement.is_some(),
        });
        self.send(frame(&message.encode()), out);
        Ok(())
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let (name, group, tags) = (batch.name.as_str().to_owned(), batch.group.id(), to_tags(&batch.group.tags));
        let (size, by_name) = (batch.rows.len() as i64, batch.group.measurement.is_some());
        let begin = Begin { name: name.clone(), group: group.clone(), tags: tags.clone(), size, by_name };
        let mut bytes = frame(&Request::Begin(begin).encode());
        for row in batch.rows.iter() {
            let point = UdfPoint {
                time: row.time(),
                group: group.clone(),
                tags: to_tags(row.tags()),
                fields: to_fields(&row.fields()),
                ..UdfPoint::default()
            };
            bytes.extend(frame(&Request::Point(point).encode()));
        }
        let end = End { name, group, time: batch.time, tags, by_name: false };
        bytes.extend(frame(&Request::End(end).encode()));
        self.send(bytes, out);
        Ok(())
    }

    /// The protocol has none.
    fn barrier(&mut self, _port: usize, _barrier: &Barrier<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// Groups behind a function are its own.
    fn delete_group(&mut self, _port: usize, _group: &Rc<Group>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn udf(&mut self, event: UdfEvent, out: &mut Outlet<'_>) -> Result<(), Fault> {
        match event {
            UdfEvent::Said(responses) => responses.into_iter().try_for_each(|response| self.said(response, out)),
            UdfEvent::Failed(error) => {
                self.closing = false;
                Err(Fault::new(error))
            }
            UdfEvent::Ended => {
                self.closing = false;
                Ok(())
            }
        }
    }

    fn finish(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.closing = self.request(UdfAct::Close, out);
        if self.closing {
            self.word.send_replace(());
        }
        Ok(())
    }

    fn awaits_end(&self) -> bool {
        self.closing
    }
}
