//! `groupBy`: new dimensions (reference: nodes-stream §6).
//!
//! On a stream it has no state. On batches it collects: the points of batches of one begin time go into new groups by
//! their own tags, and all groups come out when a batch with another time (or a barrier) arrives.

use std::rc::Rc;

use proto::plan::{Dimensions, EdgeType};
use serde::{Deserialize, Serialize};

use super::{BySeries, Fault, Operator, Outlet, SnapshotError, StartError, from_state, grouping::Grouping, to_state};
use crate::{
    group::{Group, GroupStates, Groups, SavedStates},
    name::Name,
    point::{Barrier, Batch, Point, Row, Rows, bytes_of_rows},
};

/// The operator for a stream or a batch edge.
pub fn new(dimensions: &Dimensions, edge: EdgeType) -> Result<Box<dyn Operator>, StartError> {
    let grouping = Grouping::new(dimensions).map_err(StartError::new)?;
    Ok(match edge {
        EdgeType::Stream => Box::new(StreamGroupBy { grouping }),
        EdgeType::Batch => {
            Box::new(BatchGroupBy { grouping, time: None, held: GroupStates::default(), order: Vec::new() })
        }
    })
}

struct StreamGroupBy {
    grouping: Grouping,
}

impl Operator for StreamGroupBy {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let by_measurement = point.group.measurement.is_some();
        match self.grouping.group(point, by_measurement, out) {
            Some(group) => out.point(&Point { group: &group, ..*point }),
            None => Ok(()),
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
    /// Begin time of the batches whose points are held.
    time: Option<i64>,
    held: GroupStates<Held>,
    /// In order of first appearance.
    order: Vec<Rc<Group>>,
}

#[derive(Serialize, Deserialize)]
struct Held {
    /// Of the batch that opened the group.
    name: Name,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Snapshot {
    time: Option<i64>,
    held: SavedStates<Held>,
    order: Vec<u32>,
}

impl BatchGroupBy {
    fn flush(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let Some(time) = self.time.take() else { return Ok(()) };
        for group in std::mem::take(&mut self.order) {
            let Some(Held { name, mut rows }) = self.held.remove(&group) else { continue };
            rows.sort_by_key(|row| row.as_ref().time());
            out.batch(&Batch { name, group: &group, time, rows: Rows::new(&rows) })?;
        }
        Ok(())
    }
}

impl Operator for BatchGroupBy {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.point(point)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.time != Some(batch.time) {
            self.flush(out)?;
            self.time = Some(batch.time);
        }
        let by_measurement = batch.group.measurement.is_some();
        for row in batch.rows.iter() {
            let Some(group) = self.grouping.find(batch.name, row.tags(), by_measurement, &mut out.context.groups)
            else {
                out.too_many_groups();
                continue;
            };
            out.regrouped(batch.group, &group);
            let order = &mut self.order;
            let held = self.held.get_or_insert_with(&group, || {
                order.push(group.clone());
                Held { name: batch.name, rows: Vec::new() }
            });
            held.rows.push(row.to_row());
        }
        Ok(())
    }

    fn barrier(&mut self, _port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.time.is_some_and(|time| time != barrier.time) {
            self.flush(out)?;
        }
        out.barrier(barrier)
    }

    /// What is held of the groups that end goes with them.
    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        for group in out.ending(group) {
            if self.held.remove(&group).is_some() {
                self.order.retain(|held| held.index != group.index);
            }
            out.deleted(&group)?;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.held.bytes(|held| bytes_of_rows(&held.rows))
    }

    fn cardinality(&self) -> u64 {
        self.held.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let order: Vec<u32> = self.order.iter().map(|group| group.index).collect();
        to_state(&(self.time, &self.held, order))
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let Snapshot { time, held, order } = from_state(state)?;
        self.time = time;
        self.held = GroupStates::restore(held, groups);
        self.order = order.into_iter().filter_map(|index| groups.get(index).cloned()).collect();
        Ok(())
    }
}
