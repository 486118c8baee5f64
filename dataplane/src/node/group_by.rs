//! `groupBy`: new dimensions (reference: nodes-stream §6).
//!
//! On a stream it has no state. On batches it collects: the points of batches of one begin time go into new groups by
//! their own tags, and all groups come out when a batch with another time (or a barrier) arrives.

use std::rc::Rc;

use proto::plan::{Dimensions, EdgeType};
use serde::{Deserialize, Serialize};

use super::{BySeries, Fault, Operator, Outlet, SnapshotError, StartError, from_state, grouping::Grouping, to_state};
use crate::{
    group::{Group, Groups},
    name::Name,
    point::{Barrier, Batch, Point, Row, Rows},
};

/// The operator for a stream or a batch edge.
pub fn new(dimensions: &Dimensions, edge: EdgeType) -> Result<Box<dyn Operator>, StartError> {
    let grouping = Grouping::new(dimensions).map_err(StartError::new)?;
    Ok(match edge {
        EdgeType::Stream => Box::new(StreamGroupBy { grouping }),
        EdgeType::Batch => Box::new(BatchGroupBy { grouping, held: Held::default() }),
    })
}

struct StreamGroupBy {
    grouping: Grouping,
}

impl Operator for StreamGroupBy {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let by_measurement = point.group.measurement.is_some();
        match self.grouping.group(point, by_measurement, &mut out.context.groups) {
            Some(group) => out.point(&Point { group: &group, ..*point }),
            None => {
                out.too_many_groups();
                Ok(())
            }
        }
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.batch(batch)
    }

    fn by_series(&mut self, point: &Point<'_>, groups: &mut Groups) -> Option<BySeries> {
        let by_measurement = point.group.measurement.is_some();
        self.grouping.find(point.name, point.tags, by_measurement, groups).map(BySeries::Passes)
    }

    fn forget_series(&mut self) {
        self.grouping.forget_series();
    }
}

struct BatchGroupBy {
    grouping: Grouping,
    held: Held,
}

/// Groups of one begin time, in order of first appearance.
#[derive(Default, Serialize, Deserialize)]
struct Held {
    time: Option<i64>,
    groups: Vec<HeldGroup>,
}

#[derive(Serialize, Deserialize)]
struct HeldGroup {
    group: u32,
    /// Of the batch that opened the group.
    name: Name,
    rows: Vec<Row>,
}

impl BatchGroupBy {
    fn flush(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let Some(time) = self.held.time else { return Ok(()) };
        for mut held in std::mem::take(&mut self.held.groups) {
            held.rows.sort_by_key(|row| row.as_ref().time());
            let Some(group) = out.context.groups.get(held.group).cloned() else { continue };
            out.batch(&Batch { name: held.name, group: &group, time, rows: Rows::new(&held.rows) })?;
        }
        Ok(())
    }
}

impl Operator for BatchGroupBy {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.point(point)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.held.time != Some(batch.time) {
            self.flush(out)?;
            self.held.time = Some(batch.time);
        }
        let by_measurement = batch.group.measurement.is_some();
        for row in batch.rows.iter() {
            let Some(group) = self.grouping.find(batch.name, row.tags(), by_measurement, &mut out.context.groups)
            else {
                out.too_many_groups();
                continue;
            };
            match self.held.groups.iter_mut().find(|held| held.group == group.index) {
                Some(held) => held.rows.push(row.to_row()),
                None => {
                    let rows = vec![row.to_row()];
                    self.held.groups.push(HeldGroup { group: group.index, name: batch.name, rows });
                }
            }
        }
        Ok(())
    }

    fn barrier(&mut self, _port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.held.time.is_some_and(|time| time != barrier.time) {
            self.flush(out)?;
            self.held.time = None;
        }
        out.barrier(barrier)
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.held.groups.retain(|held| held.group != group.index);
        out.delete_group(group)
    }

    fn cardinality(&self) -> u64 {
        self.held.groups.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.held)
    }

    fn restore(&mut self, state: &[u8], _groups: &Groups) -> Result<(), SnapshotError> {
        self.held = from_state(state)?;
        Ok(())
    }
}
