//! Windows by time. The clock is the points' time alone, and each group has its own.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{
    POINTS_MAX,
    buffer::{Buffer, Keep},
};
use crate::{
    gotime::truncate,
    group::{Group, GroupStates, Groups},
    name::Name,
    node::{Fault, Operator, Outlet, SnapshotError, from_state, to_state},
    point::{Barrier, Batch, Point},
};

/// When windows are emitted. Nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub period: i64,
    pub every: i64,
    pub align: bool,
    pub fill_period: bool,
}

impl Clock {
    /// The first emission of a group whose first point is at `time`.
    pub fn first(&self, time: i64) -> i64 {
        if self.every == 0 {
            return if self.fill_period { time.saturating_add(self.period) } else { time };
        }
        if !self.fill_period {
            return self.aligned(time.saturating_add(self.every));
        }
        let full = time.saturating_add(self.period);
        let next = self.aligned(full);
        // An aligned first window that is not behind the period waits for one more.
        if self.align && next <= full { next.saturating_add(self.every) } else { next }
    }

    /// The emission behind one that a point at `time` triggered.
    pub fn next(&self, time: i64) -> i64 {
        if self.every == 0 { time } else { self.aligned(time.saturating_add(self.every)) }
    }

    fn aligned(&self, time: i64) -> i64 {
        if self.align { truncate(time, self.every) } else { time }
    }
}

pub struct TimeWindow {
    clock: Clock,
    keep: Keep,
    windows: GroupStates<Window>,
}

#[derive(Serialize, Deserialize)]
struct Window {
    /// Of the group's first point, for ever.
    name: Name,
    next_emit: i64,
    points: Buffer,
}

impl TimeWindow {
    pub(super) fn new(clock: Clock, keep: Keep) -> Self {
        TimeWindow { clock, keep, windows: GroupStates::default() }
    }
}

impl Window {
    /// Drops rows from the front while `old` says so.
    fn purge(&mut self, old: impl Fn(i64) -> bool) {
        while self.points.front().is_some_and(&old) {
            self.points.pop_front();
        }
    }

    fn emit(&mut self, group: &Rc<Group>, time: i64, out: &mut Outlet<'_>) -> Result<(), Fault> {
        out.batch(&Batch { name: self.name, group, time, rows: self.points.rows() })
    }

    /// Time has reached `now`: emits the window that ends before it, if there is one.
    fn advance(&mut self, clock: Clock, group: &Rc<Group>, now: i64, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if now < self.next_emit {
            return Ok(());
        }
        let emit = if clock.every == 0 { now } else { self.next_emit };
        let start = emit.saturating_sub(clock.period);
        if clock.every == 0 {
            self.purge(|time| time <= start);
        } else {
            self.purge(|time| time < start);
        }
        self.next_emit = clock.next(now);
        self.emit(group, emit, out)
    }
}

impl Operator for TimeWindow {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let clock = self.clock;
        let new = || Window { name: point.name, next_emit: clock.first(point.time), points: self.keep.buffer() };
        let window = self.windows.get_or_insert_with(point.group, new);
        // A window without every has its right end inside.
        if clock.every == 0 {
            self.keep.push(&mut window.points, point);
            window.advance(clock, point.group, point.time, out)?;
        } else {
            window.advance(clock, point.group, point.time, out)?;
            self.keep.push(&mut window.points, point);
        }
        if window.points.len() > POINTS_MAX {
            window.points.pop_front();
            out.error("point dropped", &format_args!("a window of a group holds more than {POINTS_MAX} points"));
        }
        Ok(())
    }

    fn prefetch(&self, groups: &mut dyn Iterator<Item = u32>) {
        groups.for_each(|index| self.windows.prefetch(index));
    }

    fn batch(&mut self, _port: usize, _batch: &Batch<'_>, _out: &mut Outlet<'_>) -> Result<(), Fault> {
        Err(Fault::new("cannot window a batch"))
    }

    /// A barrier moves the clock like a point, and ends here.
    fn barrier(&mut self, _port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let clock = self.clock;
        let new = || Window { name: barrier.name, next_emit: clock.first(barrier.time), points: self.keep.buffer() };
        self.windows.get_or_insert_with(barrier.group, new).advance(clock, barrier.group, barrier.time, out)
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

#[cfg(test)]
mod tests {
    use proto::plan::{self, EdgeType, InfluxQl, InfluxQlFunction, NodeKind};

    use super::*;
    use crate::{
        node::testing::{Bench, SECOND, from, log},
        value::Value,
    };

    #[test]
    fn a_window_holds_so_many_points_of_a_group() {
        let window = |period| plan::Window::Time { period, every: 5_000 * SECOND, align: false, fill_period: false };
        let median = InfluxQl {
            function: InfluxQlFunction::Median,
            field: "v".into(),
            r#as: "v".into(),
            use_point_times: false,
        };
        let mut bench = Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &["host"])),
            (vec![1], EdgeType::Batch, NodeKind::Window(window(5_000 * SECOND))),
            (vec![2], EdgeType::Stream, NodeKind::InfluxQl(median)),
            (vec![3], EdgeType::Stream, log()),
        ]);
        let points = POINTS_MAX as i64 + 11;
        for n in 0..points {
            bench.point("m", "host=a", n, Value::Int(n), 0).point("m", "host=b", n / 2, Value::Int(n / 2), 0);
        }
        // Each group has lost what was too much.
        assert_eq!(bench.task.statistics()[2].errors, 22);
        bench.point("m", "host=a", 5_000, Value::Int(0), 0);
        assert_eq!(bench.out(), [format!("20 host=a v={}.5", 11 + (points - 12) / 2)]);
        let by_count = plan::Window::Count { period: POINTS_MAX as i64 + 1, every: 1, fill_period: false };
        assert!(crate::node::window::new(&by_count, None).is_err());
    }
}
