//! Transformations: a result a point (reference: nodes-stream §10.3).
//!
//! A point that cannot be used (no such field, or another type than the first) makes `cumulativeSum`, `movingAverage` and
//! `elapsed` give their last result once more: a quirk that scripts see.

use std::{collections::VecDeque, rc::Rc};

use proto::plan::InfluxQlFunction;
use serde::{Deserialize, Serialize};

use super::{Type, takes, unsupported};
use crate::{
    group::{Group, GroupStates, Groups},
    name::Name,
    node::{Fault, Operator, Outlet, SnapshotError, from_state, to_state},
    point::{Batch, Point, Row, Rows, SeriesNumber},
    value::{Field, Value},
};

pub struct Transform {
    function: InfluxQlFunction,
    field: Name,
    result: Name,
    empty: Name,
    states: GroupStates<Named>,
    rows: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Named {
    name: Name,
    state: State,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct State {
    kind: Option<Type>,
    previous: Option<(i64, Value)>,
    float: f64,
    int: i64,
    /// The last values of a moving average.
    window: VecDeque<Value>,
    /// The last result and its time.
    last: Option<(i64, Value)>,
}

impl Transform {
    pub fn new(function: &InfluxQlFunction, field: Name, result: Name, empty: Name) -> Self {
        let function = function.clone();
        Transform { function, field, result, empty, states: GroupStates::default(), rows: Vec::new() }
    }
}

impl State {
    /// The result for a point; an error where the point tells nothing and no type is known yet.
    fn push(
        &mut self,
        function: &InfluxQlFunction,
        field: Name,
        time: i64,
        value: Option<&Value>,
    ) -> Result<Option<(i64, Value)>, String> {
        let kind = value.and_then(Type::of);
        let usable = match (self.kind, kind) {
            (None, Some(found)) if takes(function, found) => {
                self.kind = Some(found);
                true
            }
            (None, _) => {
                return Err(match value {
                    Some(value) => unsupported(function, field, value),
                    None => format!("field {field:?} missing from point"),
                });
            }
            (known, found) => known == found,
        };
        let (Some(value), true) = (value, usable) else {
            return Ok(match function {
                InfluxQlFunction::Difference => None,
                _ => self.last.clone(),
            });
        };
        let result = self.next(function, time, value).map(|result| (time, result));
        if result.is_some() {
            self.last.clone_from(&result);
        }
        Ok(result)
    }

    fn next(&mut self, function: &InfluxQlFunction, time: i64, value: &Value) -> Option<Value> {
        match function {
            InfluxQlFunction::Difference => {
                if self.previous.as_ref().is_some_and(|(at, _)| *at == time) {
                    return None;
                }
                let previous = self.previous.replace((time, value.clone()))?.1;
                match (value, previous) {
                    (Value::Float(a), Value::Float(b)) => Some(Value::Float(a - b)),
                    (Value::Int(a), Value::Int(b)) => Some(Value::Int(a.wrapping_sub(b))),
                    _ => None,
                }
            }
            InfluxQlFunction::Elapsed { unit } => {
                let (at, _) = self.previous.replace((time, value.clone()))?;
                Some(Value::Int(time.wrapping_sub(at).wrapping_div(*unit)))
            }
            InfluxQlFunction::CumulativeSum => {
                self.add(value);
                Some(if self.kind == Some(Type::Int) { Value::Int(self.int) } else { Value::Float(self.float) })
            }
            InfluxQlFunction::MovingAverage { window } => {
                let size = usize::try_from(*window).unwrap_or(usize::MAX);
                // First the oldest one out, then the new one in: the order shows in the last digits of the sum.
                if self.window.len() == size {
                    match self.window.pop_front() {
                        Some(Value::Float(x)) => self.float -= x,
                        Some(Value::Int(x)) => self.int = self.int.wrapping_sub(x),
                        _ => {}
                    }
                }
                self.add(value);
                self.window.push_back(value.clone());
                let sum = if self.kind == Some(Type::Int) { self.int as f64 } else { self.float };
                (self.window.len() == size).then(|| Value::Float(sum / size as f64))
            }
            _ => None,
        }
    }

    fn add(&mut self, value: &Value) {
        match value {
            Value::Float(x) => self.float += x,
            Value::Int(x) => self.int = self.int.wrapping_add(*x),
            _ => {}
        }
    }
}

impl Operator for Transform {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let new = || Named { name: point.name, state: State::default() };
        let Named { name, state } = self.states.get_or_insert_with(point.group, new);
        match state.push(&self.function, self.field, point.time, point.field(self.field)) {
            Ok(Some((time, value))) => out.point(&Point {
                name: *name,
                database: self.empty,
                retention_policy: self.empty,
                group: point.group,
                tags: &point.group.tags,
                fields: (&[Field { name: self.result, value }]).into(),
                time,
                series: SeriesNumber::NONE,
            }),
            Ok(None) => Ok(()),
            Err(error) => {
                out.error("failed to aggregate point", &error);
                Ok(())
            }
        }
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        // Only so that the group is counted; each batch starts anew.
        self.states.get_or_insert_with(batch.group, || Named { name: batch.name, state: State::default() });
        let mut state = State::default();
        self.rows.clear();
        for row in batch.rows.iter() {
            let value = row.field(self.field);
            match state.push(&self.function, self.field, row.time(), value.as_deref()) {
                Ok(Some((time, value))) => {
                    let fields = [Field { name: self.result, value }];
                    self.rows.push(Row::new(time, batch.group.tags.clone(), &fields));
                }
                Ok(None) => {}
                Err(error) => out.error("failed to aggregate point in batch", &error),
            }
        }
        out.batch(&Batch { rows: Rows::new(&self.rows), ..*batch })
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.states.remove(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        self.states.bytes(|named| named.state.window.capacity() * size_of::<Value>())
    }

    fn cardinality(&self) -> u64 {
        self.states.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.states)
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        self.states = GroupStates::restore(from_state(state)?, groups);
        Ok(())
    }
}
