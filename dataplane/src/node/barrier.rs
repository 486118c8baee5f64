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

#[derive(Default, Serialize, Deserialize)]
struct State {
    clocks: GroupStates<Clock>,
    /// When to look at which group; one entry a group, and not later than its clock.
    due: BTreeSet<(i64, u32)>,
}

/// The clock of a group. Nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Clock {
    /// Of the group's first message.
    name: Name,
    /// The next barrier is due.
    due: i64,
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
    fn clock(&mut self, name: Name, group: &Group, out: &mut Outlet<'_>) -> &mut Clock {
        let now = out.context.now;
        let due = now.saturating_add(self.interval());
        let State { clocks, due: queue } = &mut self.state;
        clocks.get_or_insert_with(group, || {
            queue.insert((due, group.index));
            out.wake_at(due);
            Clock { name, due, base: now, mark: i64::MIN }
        })
    }

    /// A message of `time` has come to a group: an idle clock starts anew.
    fn arrived(&mut self, name: Name, group: &Group, time: i64, out: &mut Outlet<'_>) -> &mut Clock {
        let idle = matches!(self.clock, BarrierClock::Idle(_));
        let due = out.context.now.saturating_add(self.interval());
        let clock = self.clock(name, group, out);
        if idle {
            (clock.base, clock.due) = (time, due);
        }
        clock
    }

    fn forget(&mut self, group: &Group) {
        self.state.clocks.remove(group);
    }

    fn emit(&mut self, due: i64, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let (kind, interval) = (self.clock, self.interval());
        let Some(clock) = self.state.clocks.get_mut(group) else { return Ok(()) };
        let time = match kind {
            BarrierClock::Idle(_) => clock.base.saturating_add(interval),
            BarrierClock::Period(_) => due,
        };
        (clock.base, clock.mark, clock.due) = (time, time, due.saturating_add(interval));
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
            // Of a group that is gone nothing is left but this entry.
            let Some(group) = out.context.groups.get(index).cloned() else { continue };
            let Some(clock) = self.state.clocks.get_mut(&group) else { continue };
            if clock.due > due {
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

    fn cardinality(&self) -> u64 {
        self.state.clocks.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.state)
    }

    fn restore(&mut self, state: &[u8], _groups: &Groups) -> Result<(), SnapshotError> {
        self.state = from_state(state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::{EdgeType, NodeKind, Window};

    use super::*;
    use crate::{
        node::testing::{Bench, SECOND, from, log},
        value::Value,
    };

    /// `from` by host, a barrier, and what it lets through.
    fn bench(clock: BarrierClock, delete: bool) -> Bench {
        let barrier = NodeKind::Barrier(plan::Barrier { clock, delete });
        Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &["host"])),
            (vec![1], EdgeType::Stream, barrier),
            (vec![2], EdgeType::Stream, log()),
        ])
    }

    const V: Value = Value::Int(1);

    #[test]
    fn an_idle_group_moves_on_by_the_clock_and_drops_what_is_older() {
        let mut bench = bench(BarrierClock::Idle(5 * SECOND), false);
        bench.point("m", "host=a", 40, V, 100).point("m", "host=b", 40, V, 103);
        // The barrier of `a` is at 45: 44 is late, 45 is not; `b` has its own clock.
        bench.advance(105).point("m", "host=a", 44, V, 106).point("m", "host=a", 45, V, 106);
        bench.point("m", "host=b", 44, V, 107);
        assert_eq!(bench.out(), ["40 host=a v=1", "40 host=b v=1", "45 host=a v=1", "44 host=b v=1"]);
    }

    #[test]
    fn an_idle_clock_counts_from_the_last_point_even_a_late_one() {
        let mut bench = bench(BarrierClock::Idle(5 * SECOND), false);
        bench.point("m", "host=a", 40, V, 100).point("m", "host=a", 30, V, 104);
        // Due at 109, not at 105, and at time 35.
        bench.point("m", "host=a", 34, V, 108).advance(113).point("m", "host=a", 38, V, 113);
        bench.point("m", "host=a", 39, V, 113);
        assert_eq!(bench.out(), ["40 host=a v=1", "30 host=a v=1", "34 host=a v=1", "39 host=a v=1"]);
    }

    #[test]
    fn a_period_is_wall_time() {
        let mut bench = bench(BarrierClock::Period(10 * SECOND), false);
        bench.point("m", "host=a", 1, V, 20).advance(29).point("m", "host=a", 2, V, 29);
        bench.advance(30).point("m", "host=a", 29, V, 31).point("m", "host=a", 30, V, 31);
        assert_eq!(bench.out(), ["1 host=a v=1", "2 host=a v=1", "30 host=a v=1"]);
    }

    #[test]
    fn a_barrier_releases_a_window_and_deletes_its_group() {
        let window = Window::Time { period: 2 * SECOND, every: 2 * SECOND, align: false, fill_period: false };
        let barrier = plan::Barrier { clock: BarrierClock::Idle(3 * SECOND), delete: true };
        let mut bench = Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &["host"])),
            (vec![1], EdgeType::Stream, NodeKind::Barrier(barrier)),
            (vec![2], EdgeType::Batch, NodeKind::Window(window)),
            (vec![3], EdgeType::Stream, NodeKind::Trickle),
            (vec![4], EdgeType::Stream, log()),
        ]);
        bench.point("m", "host=a", 40, V, 100).point("m", "host=a", 41, V, 101).advance(104);
        assert_eq!(bench.out(), ["40 host=a v=1", "41 host=a v=1"]);
        let cardinality =
            |bench: &mut Bench| bench.task.statistics().iter().map(|node| node.working_cardinality).sum::<u64>();
        assert_eq!(cardinality(&mut bench), 0);
        // A deleted group begins anew: nothing of its mark is left.
        bench.point("m", "host=a", 1, V, 105).advance(108);
        assert_eq!(bench.out().len(), 3);
    }

    #[test]
    fn clocks_survive_a_checkpoint() {
        let mut one = bench(BarrierClock::Idle(5 * SECOND), false);
        one.point("m", "host=a", 40, V, 100).advance(105);
        let mut other = bench(BarrierClock::Idle(5 * SECOND), false);
        other.task.restore(one.task.snapshot().unwrap()).unwrap();
        other.point("m", "host=a", 44, V, 106);
        assert_eq!(other.out(), Vec::<String>::new());
    }
}
