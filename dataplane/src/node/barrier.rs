//! `barrier`: says by the clock that time has passed in a group (reference: nodes-alert-join-io §6.3).
//!
//! Each group has a clock of its own. What is older than the group's last barrier is dropped.

use std::{
    collections::{BTreeSet, HashSet},
    rc::Rc,
};

use proto::plan::{self, BarrierClock};
use serde::{Deserialize, Serialize};

use super::{Fault, Operator, Outlet, SnapshotError, from_state, to_state};
use crate::{
    group::{Group, GroupStates, Groups},
    name::Name,
    point::{self, Batch, Point, Row, Rows},
};

pub struct Barrier {
    clock: BarrierClock,
    delete: bool,
    state: State,
}

#[derive(Default)]
struct State {
    clocks: GroupStates<Clock>,
    /// When to look at which group; one entry a group.
    due: BTreeSet<(i64, u32)>,
}

/// The clock of a group. Nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Clock {
    /// Of the group's first message.
    name: Name,
    /// The next barrier is due.
    due: i64,
    /// When the clock is looked at; not later.
    queued: i64,
    /// Time that an idle barrier counts from.
    base: i64,
    /// The last barrier; older points are dropped.
    mark: i64,
}

impl Barrier {
    pub fn new(plan: plan::Barrier) -> Barrier {
        Barrier { clock: plan.clock, delete: plan.delete, state: State::default() }
    }

    fn interval(&self) -> i64 {
        match self.clock {
            BarrierClock::Idle(interval) | BarrierClock::Period(interval) => interval,
        }
    }

    /// The clock of a group, which starts with its first message.
    fn clock(&mut self, name: Name, group: &Rc<Group>, out: &mut Outlet<'_>) -> &mut Clock {
        let now = out.context.now;
        let due = now.saturating_add(self.interval());
        let State { clocks, due: queue } = &mut self.state;
        clocks.get_or_insert_with(group, || {
            queue.insert((due, group.index));
            out.wake_at(due);
            Clock { name, due, queued: due, base: now, mark: i64::MIN }
        })
    }

    /// A message of `time` has come to a group: an idle clock starts anew.
    fn arrived(&mut self, name: Name, group: &Rc<Group>, time: i64, out: &mut Outlet<'_>) -> &mut Clock {
        let idle = matches!(self.clock, BarrierClock::Idle(_));
        let due = out.context.now.saturating_add(self.interval());
        let clock = self.clock(name, group, out);
        if idle {
            (clock.base, clock.due) = (time, due);
        }
        clock
    }

    fn forget(&mut self, group: &Group) {
        if let Some(clock) = self.state.clocks.remove(group) {
            self.state.due.remove(&(clock.queued, group.index));
        }
    }

    fn emit(&mut self, due: i64, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let (kind, interval) = (self.clock, self.interval());
        let Some(clock) = self.state.clocks.get_mut(group) else { return Ok(()) };
        let time = match kind {
            BarrierClock::Idle(_) => clock.base.saturating_add(interval),
            BarrierClock::Period(_) => due,
        };
        (clock.base, clock.mark, clock.due) = (time, time, due.saturating_add(interval));
        clock.queued = clock.due;
        let name = clock.name;
        self.state.due.insert((clock.due, group.index));
        out.barrier(&point::Barrier { name, group, time })?;
        if self.delete {
            self.forget(group);
            out.delete_group(group)?;
        }
        Ok(())
    }
}

impl Operator for Barrier {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let clock = self.clock(point.name, point.group, out);
        if point.time < clock.mark {
            return Ok(());
        }
        self.arrived(point.name, point.group, point.time, out);
        out.point(point)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let mark = self.clock(batch.name, batch.group, out).mark;
        let late = batch.rows.iter().filter(|row| row.time() < mark).count();
        let last = batch.rows.iter().rev().map(|row| row.time()).find(|time| *time >= mark);
        // An empty batch starts a clock and does not set it back.
        if let Some(time) = last {
            self.arrived(batch.name, batch.group, time, out);
        }
        if late == 0 {
            return out.batch(batch);
        }
        let rows: Vec<Row> = batch.rows.iter().filter(|row| row.time() >= mark).map(|row| row.to_row()).collect();
        out.batch(&Batch { rows: Rows::new(&rows), ..*batch })
    }

    /// A barrier from above counts as a message, and moves the mark.
    fn barrier(&mut self, _port: usize, barrier: &point::Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if barrier.time < self.clock(barrier.name, barrier.group, out).mark {
            return Ok(());
        }
        self.arrived(barrier.name, barrier.group, barrier.time, out).mark = barrier.time;
        out.barrier(barrier)
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.forget(group);
        out.delete_group(group)
    }

    fn wake(&mut self, due: i64, out: &mut Outlet<'_>) -> Result<(), Fault> {
        // A group that is woken now is looked at again at the next time, even where that has come, too.
        let mut seen = HashSet::new();
        while let Some(&(time, index)) = self.state.due.first() {
            if time > due || !seen.insert(index) {
                break;
            }
            self.state.due.pop_first();
            let Some(group) = out.context.groups.get(index).cloned() else { continue };
            let Some(clock) = self.state.clocks.get_mut(&group) else { continue };
            if clock.due > due {
                clock.queued = clock.due;
                self.state.due.insert((clock.due, index));
            } else {
                self.emit(due, &group, out)?;
            }
        }
        if let Some(&(time, _)) = self.state.due.first() {
            out.wake_at(time);
        }
        Ok(())
    }

    fn set_back(&mut self, by: i64) {
        let periodic = matches!(self.clock, BarrierClock::Period(_));
        for (_, clock) in self.state.clocks.iter_mut() {
            (clock.due, clock.queued) = (clock.due - by, clock.queued - by);
            // Marks of the clock's own time; those of idle groups are of their points.
            if periodic && clock.mark != i64::MIN {
                clock.mark -= by;
            }
        }
        self.state.due =
            std::mem::take(&mut self.state.due).into_iter().map(|(time, group)| (time - by, group)).collect();
    }

    fn bytes(&self) -> usize {
        self.state.clocks.bytes(|_| 2 * size_of::<(i64, u32)>())
    }

    fn cardinality(&self) -> u64 {
        self.state.clocks.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&(&self.state.clocks, &self.state.due))
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let (clocks, due) = from_state(state)?;
        self.state = State { clocks: GroupStates::restore(clocks, groups), due };
        Ok(())
    }
}

#[cfg(test)]
mod tests;
