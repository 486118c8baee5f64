//! Windows by number of points.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::buffer::{Buffer, Keep};
use crate::{
    group::{Group, GroupStates, Groups},
    name::Name,
    node::{Fault, Operator, Outlet, SnapshotError, from_state, to_state},
    point::{Batch, Point},
};

pub struct CountWindow {
    period: usize,
    every: u64,
    fill_period: bool,
    keep: Keep,
    windows: GroupStates<Window>,
}

#[derive(Serialize, Deserialize)]
struct Window {
    name: Name,
    /// The last points, `period` at most.
    points: Buffer,
    /// Points so far, and how many there are at the next emission.
    count: u64,
    next_emit: u64,
}

impl CountWindow {
    pub(super) fn new(period: usize, every: u64, fill_period: bool, keep: Keep) -> Self {
        CountWindow { period, every, fill_period, keep, windows: GroupStates::default() }
    }
}

impl Operator for CountWindow {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let next_emit = if self.fill_period { self.period as u64 } else { self.every };
        let new = || Window { name: point.name, points: self.keep.buffer(), count: 0, next_emit };
        let window = self.windows.get_or_insert_with(point.group, new);
        if window.points.len() == self.period {
            window.points.pop_front();
        }
        self.keep.push(&mut window.points, point);
        window.count += 1;
        if window.count != window.next_emit {
            return Ok(());
        }
        window.next_emit += self.every;
        let rows = window.points.rows();
        out.batch(&Batch { name: window.name, group: point.group, time: point.time, rows })
    }

    fn batch(&mut self, _port: usize, _batch: &Batch<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Err(Fault::new("cannot window a batch"))
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.windows.remove(group);
        out.delete_group(group)
    }

    fn bytes(&self) -> usize {
        self.windows.bytes(|window| window.points.bytes())
    }

    fn cardinality(&self) -> u64 {
        self.windows.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.windows)
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        self.windows = GroupStates::restore(from_state(state)?, groups);
        Ok(())
    }
}
