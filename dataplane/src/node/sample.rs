//! `sample`: every nth point of a group, or those on multiples of a duration (reference: nodes-stream §11).

use std::rc::Rc;

use proto::plan;

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, to_state};
use crate::{
    gotime::is_multiple,
    group::{Group, GroupStates, Groups},
    point::{Batch, Point, Row, Rows},
};

pub struct Sample {
    rate: Rate,
    /// Points seen since the last one kept, by group.
    counts: GroupStates<u64>,
    rows: Vec<Row>,
}

enum Rate {
    Count(u64),
    Duration(i64),
}

impl Sample {
    pub fn new(plan: &plan::Sample) -> Result<Sample, StartError> {
        let rate = match *plan {
            plan::Sample::Count(n) if n != 0 => Rate::Count(n.unsigned_abs()),
            plan::Sample::Duration(d) if d != 0 => Rate::Duration(d),
            _ => return Err(StartError::new("invalid sample rate: must be positive integer or duration")),
        };
        Ok(Sample { rate, counts: GroupStates::default(), rows: Vec::new() })
    }
}

/// Whether the `seen`th point is kept.
fn keeps(rate: &Rate, seen: &mut u64, time: i64) -> bool {
    match rate {
        // Nothing is cut off a time by a step back, so that every time is a multiple.
        Rate::Duration(d) => *d < 0 || is_multiple(time, *d),
        Rate::Count(n) => {
            let keep = *seen == 0;
            *seen = (*seen + 1) % n;
            keep
        }
    }
}

impl Operator for Sample {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let seen = self.counts.get_or_insert_with(point.group, || 0);
        if keeps(&self.rate, seen, point.time) { out.point(point) } else { Ok(()) }
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let seen = self.counts.get_or_insert_with(batch.group, || 0);
        *seen = 0;
        self.rows.clear();
        self.rows.extend(batch.rows.iter().filter(|row| keeps(&self.rate, seen, row.time())).map(|row| row.to_row()));
        out.batch(&Batch { rows: Rows::new(&self.rows), ..*batch })
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.counts.remove(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        self.counts.bytes(|_| 0)
    }

    fn cardinality(&self) -> u64 {
        self.counts.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.counts)
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        self.counts = GroupStates::restore(from_state(state)?, groups);
        Ok(())
    }
}
