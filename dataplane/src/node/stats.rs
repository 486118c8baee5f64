//! `stats`: how many points another node has emitted, a point a group and interval (reference: nodes-alert-join-io §6.2).
//!
//! It stands beside the watched node's children and counts what they get; what it emits starts a graph of its own.

use std::rc::Rc;

use proto::plan;
use serde::{Deserialize, Serialize};

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, to_state};
use crate::{
    gotime::{round, truncate},
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{Barrier, Batch, Point, SeriesNumber},
    value::{Field, Value},
};

pub struct Stats {
    interval: i64,
    align: bool,
    /// `stats`, `emitted`, and the empty name.
    name: Name,
    field: Name,
    empty: Name,
    counted: Counted,
}

#[derive(Default, Serialize, Deserialize)]
struct Counted {
    /// Points so far, by group; a group is here from its first point and for ever.
    groups: GroupStates<i64>,
    /// Time that the first aligned point shows: that of the start.
    started: Option<i64>,
}

impl Stats {
    pub fn new(plan: &plan::Stats) -> Result<Stats, StartError> {
        if plan.interval <= 0 {
            return Err(StartError::new("stats interval must be greater than zero"));
        }
        Ok(Stats {
            interval: plan.interval,
            align: plan.align,
            name: Name::new("stats").map_err(StartError::new)?,
            field: Name::new("emitted").map_err(StartError::new)?,
            empty: Name::new("").map_err(StartError::new)?,
            counted: Counted::default(),
        })
    }

    fn emit(&self, group: &Rc<Group>, count: i64, time: i64, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let fields = [Field { name: self.field, value: Value::Int(count) }];
        out.point(&Point {
            name: self.name,
            database: self.empty,
            retention_policy: self.empty,
            group,
            tags: &group.tags,
            fields: (&fields).into(),
            time,
            series: SeriesNumber::NONE,
        })
    }
}

impl Operator for Stats {
    fn start(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let now = out.context.now;
        self.counted.started = Some(now);
        let base = if self.align { truncate(now, self.interval) } else { now };
        out.wake_at(base.saturating_add(self.interval));
        Ok(())
    }

    fn point(&mut self, _port: usize, point: &Point<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        *self.counted.groups.get_or_insert_with(point.group, || 0) += 1;
        Ok(())
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        *self.counted.groups.get_or_insert_with(batch.group, || 0) += batch.rows.len() as i64;
        Ok(())
    }

    fn barrier(&mut self, _port: usize, _barrier: &Barrier<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// The count of a group outlives it.
    fn delete_group(&mut self, _port: usize, _group: &Rc<Group>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn wake(&mut self, due: i64, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let shown = self.counted.started.take().filter(|_| self.align).unwrap_or(due);
        let time = if self.align { round(shown, self.interval) } else { shown };
        out.wake_at(due.saturating_add(self.interval));
        if self.counted.groups.is_empty() {
            // No group yet is a group without dimensions that has emitted nothing.
            return match out.context.groups.intern(None, crate::tags::TagSet::empty()) {
                Some(nil) => self.emit(&nil, 0, time, out),
                None => Ok(()),
            };
        }
        for (index, count) in self.counted.groups.iter() {
            let Some(group) = out.context.groups.get(index).cloned() else { continue };
            self.emit(&group, *count, time, out)?;
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.counted)
    }

    fn restore(&mut self, state: &[u8], _groups: &Groups) -> Result<(), SnapshotError> {
        self.counted = from_state(state)?;
        Ok(())
    }
}
