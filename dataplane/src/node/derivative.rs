//! `derivative`: the rate of change of a field (reference: nodes-stream §12).

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, to_state};
use crate::{
    fields::Fields,
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Batch, Point, Row, Rows},
    value::{Field, Value, set_field},
};

pub struct Derivative {
    field: Name,
    result: Name,
    /// Nanoseconds.
    unit: i64,
    non_negative: bool,
    previous: GroupStates<Previous>,
    fields: Vec<Field>,
    rows: Vec<Row>,
}

/// Time and value of the point before.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Previous(Option<(i64, f64)>);

#[derive(Debug, thiserror::Error)]
enum PointError {
    #[error("field {0:?} is missing or the wrong type")]
    Type(Name),
    #[error("elapsed time was 0")]
    NoTime,
}

impl Derivative {
    pub fn new(field: &str, result: &str, unit: i64, non_negative: bool) -> Result<Derivative, StartError> {
        Ok(Derivative {
            field: Name::new(field).map_err(StartError::new)?,
            result: Name::new(result).map_err(StartError::new)?,
            unit,
            non_negative,
            previous: GroupStates::default(),
            fields: Vec::new(),
            rows: Vec::new(),
        })
    }
}

impl Previous {
    /// The rate at a point; `None` where nothing is emitted.
    fn rate(
        &mut self,
        name: Name,
        fields: Fields<'_>,
        time: i64,
        unit: i64,
        non_negative: bool,
    ) -> Result<Option<f64>, PointError> {
        let value = match fields.get(name) {
            Some(Value::Float(x)) => *x,
            Some(Value::Int(x)) => *x as f64,
            _ => return Err(PointError::Type(name)),
        };
        let Some((before, old)) = self.0.replace((time, value)) else { return Ok(None) };
        if before == time {
            return Err(PointError::NoTime);
        }
        if non_negative && value < old {
            return Ok(None);
        }
        Ok(Some((value - old) / (time.wrapping_sub(before) as f64 / unit as f64)))
    }
}

impl Operator for Derivative {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let previous = self.previous.get_or_insert_with(point.group, Previous::default);
        match previous.rate(self.field, point.fields, point.time, self.unit, self.non_negative) {
            Ok(Some(rate)) => {
                self.fields.clear();
                self.fields.extend_from_slice(point.fields.all());
                set_field(&mut self.fields, self.result, Value::Float(rate));
                out.point(&Point { fields: (&self.fields).into(), ..*point })
            }
            Ok(None) => Ok(()),
            Err(error) => {
                out.error("cannot perform derivative", &error);
                Ok(())
            }
        }
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let previous = self.previous.get_or_insert_with(batch.group, Previous::default);
        *previous = Previous::default();
        self.rows.clear();
        for row in batch.rows.iter() {
            let fields = row.fields();
            match previous.rate(self.field, fields.as_ref().into(), row.time(), self.unit, self.non_negative) {
                Ok(Some(rate)) => {
                    let mut fields = fields.into_owned();
                    set_field(&mut fields, self.result, Value::Float(rate));
                    self.rows.push(Row::new(row.time(), row.tags().clone(), &fields));
                }
                Ok(None) => {}
                Err(error) => out.error("cannot perform derivative", &error),
            }
        }
        out.batch(&Batch { rows: Rows::new(&self.rows), ..*batch })
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.previous.remove(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        self.previous.bytes(|_| 0)
    }

    fn cardinality(&self) -> u64 {
        self.previous.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.previous)
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        self.previous = GroupStates::restore(from_state(state)?, groups);
        Ok(())
    }
}
