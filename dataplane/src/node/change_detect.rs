//! `changeDetect`: points whose value differs from the last one emitted (reference: nodes-stream §12).
//!
//! Of several fields any may differ; one that is missing is reported and does not count.

use std::rc::Rc;

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, to_state};
use crate::{
    fields::Fields,
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Batch, Point, Row, Rows},
    value::Value,
};

pub struct ChangeDetect {
    fields: Vec<Name>,
    /// By group, the values last emitted, in the order of the fields.
    last: GroupStates<Vec<Option<Value>>>,
    rows: Vec<Row>,
}

impl ChangeDetect {
    pub fn new(fields: &[String]) -> Result<ChangeDetect, StartError> {
        let fields = fields.iter().map(|field| Name::new(field)).collect::<Result<_, _>>().map_err(StartError::new)?;
        Ok(ChangeDetect { fields, last: GroupStates::default(), rows: Vec::new() })
    }
}

/// Whether the point is one to emit; remembers it then.
fn changes(names: &[Name], last: &mut [Option<Value>], fields: Fields<'_>, out: &mut Outlet<'_>) -> bool {
    let mut changed = false;
    for (name, last) in names.iter().zip(last.iter()) {
        match fields.get(*name) {
            None => out.error("Invalid field in change detect", &format_args!("expected field {name} not found")),
            Some(value) => changed |= last.as_ref() != Some(value),
        }
    }
    if changed {
        for (name, last) in names.iter().zip(last) {
            if let Some(value) = fields.get(*name) {
                *last = Some(value.clone());
            }
        }
    }
    changed
}

impl Operator for ChangeDetect {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let count = self.fields.len();
        let last = self.last.get_or_insert_with(point.group, || vec![None; count]);
        if changes(&self.fields, last, point.fields, out) { out.point(point) } else { Ok(()) }
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let count = self.fields.len();
        let last = self.last.get_or_insert_with(batch.group, || vec![None; count]);
        last.fill(None);
        self.rows.clear();
        for row in batch.rows.iter() {
            if changes(&self.fields, last, row.fields().as_ref().into(), out) {
                self.rows.push(row.to_row());
            }
        }
        out.batch(&Batch { rows: Rows::new(&self.rows), ..*batch })
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.last.remove(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        self.last.bytes(|last| last.capacity() * size_of::<Option<Value>>())
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
}
